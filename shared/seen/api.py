"""The route of looks: who answers for the protection of people asks who looked at whom."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query

from shared.clock import county_instant
from shared.http import Page, PageDep, Router, WorkDep, allow, decode_cursor, encode_cursor, page_of
from shared.roles import Role
from shared.seen import store
from shared.seen.schemas import LookOut

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 1, 1)
"""Days that may be asked for: each has an instant in every zone."""

ASKERS = (Role.DISCIPLINE, Role.PRIVACY, Role.COUNTY_ADMIN)


def router(name: str) -> Router:
    """`/<name>/v1/looks` of a service."""
    routes = Router(prefix=f"/{name}/v1/looks", tags=["looks"])

    @routes.get("", dependencies=[allow(*ASKERS)])
    async def list_looks(
        work: WorkDep,
        paging: PageDep,
        household: UUID | None = None,
        person: UUID | None = None,
        by: Annotated[str | None, Query(min_length=1, max_length=100, description="the subject of a token")] = None,
        since: Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY)] = None,
        until: Annotated[date | None, Query(ge=FIRST_DAY, le=LAST_DAY, description="the last day, included")] = None,
    ) -> Page[LookOut]:
        """Who looked at whom (查阅记录): reading by auditors, inspectors and onlookers, and all that was unmasked."""
        rows = await store.page(
            work.tx,
            work.area,
            household=household,
            person=person,
            by=by,
            since=county_instant(since) if since else None,
            before=county_instant(until + timedelta(days=1)) if until else None,
            after=decode_cursor(paging.after, int)[0] if paging.after else 0,
            limit=paging.limit,
        )
        shown, following = page_of(rows, paging.limit, lambda row: encode_cursor(row["id"]))
        return Page(items=[LookOut.model_validate(dict(row)) for row in shown], next=following)

    return routes
