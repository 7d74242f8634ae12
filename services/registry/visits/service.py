"""Use cases of visits: record one, record what a phone has gathered, list."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from services.registry.client_refs import first_answer
from services.registry.households import service as households
from services.registry.visits import domain, store
from services.registry.visits.schemas import BatchIn, BatchOut, ItemError, ItemResult, VisitIn, VisitOut
from shared.errors import Malformed, NotFound, Refusal
from shared.events.registry import VisitRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.scope import Area
from shared.work import Work

CREATED = 201


class VisitUnknown(NotFound):
    code = "visit_unknown"


async def record_visit(work: Work, order: VisitIn) -> VisitOut:
    """Records a visit. The same client_ref of the same client gives the first visit again.

    Raises: NotFound (household), VisitInFuture, VisitTooOld, ClientRefTaken.
    """
    if order.client_ref and (first := await store.find_by_client_ref(work.tx, work.caller.client, order.client_ref)):
        return await first_answer(show_visit(work, first))
    household = await households.load(work, order.household_id)
    back_days: int = work.policies.value("registry.visit_back_days", household.division, work.today)
    domain.require_recent(order.visited_on, work.today, back_days)
    id = new_id()
    await store.add_visit(
        work.tx, id=id, recorded_at=work.now, actor=work.caller.subject, client=work.caller.client, **order.model_dump()
    )
    work.record(
        VisitRecorded(
            visit_id=id,
            household_id=household.id,
            division=household.division,
            cadre_no=order.cadre_no,
            visited_on=order.visited_on,
        ),
        division=household.division,
    )
    return await show_visit(work, id)


async def record_batch(work: Work, order: BatchIn) -> BatchOut:
    """Records the good ones of a batch, and says of each other one what is wrong with it."""
    results = []
    for index, item in enumerate(order.items):
        results.append(await _record_item(work, index, item))
        await asyncio.sleep(0)  # others get the loop between two items
    return BatchOut(results=results)


async def show_visit(work: Work, id: UUID) -> VisitOut:
    row = await store.find_visit(work.tx, id, work.area)
    if row is None:
        raise VisitUnknown("There is no such visit in your area.")
    return VisitOut.model_validate(dict(row))


async def list_visits(
    work: Work,
    page: PageQuery,
    *,
    household_id: UUID | None,
    cadre_no: str | None,
    division: str | None,
    since: date | None,
    until: date | None,
) -> Page[VisitOut]:
    rows = await store.list_visits(
        work.tx,
        work.area,
        household_id=household_id,
        cadre_no=cadre_no,
        within=Area.of([division]) if division else None,
        since=since,
        until=until,
        after=tuple(decode_cursor(page.after, date, UUID)) if page.after else None,
        limit=page.limit,
    )
    items = [VisitOut.model_validate(dict(row)) for row in rows]
    shown, following = page_of(items, page.limit, lambda visit: encode_cursor(visit.visited_on, visit.id))
    return Page(items=shown, next=following)


async def _record_item(work: Work, index: int, item: dict[str, Any]) -> ItemResult:
    """Every refusal comes before the first write, so a refused item leaves nothing behind."""
    try:
        visit = await record_visit(work, VisitIn.model_validate(item))
    except ValidationError as wrong:
        errors = [
            ItemError(field=".".join(map(str, e["loc"])), code=e["type"], message=e["msg"]) for e in wrong.errors()
        ]
        return ItemResult(index=index, status=Malformed.status, errors=errors)
    except Refusal as refusal:
        return ItemResult(
            index=index, status=refusal.status, errors=[ItemError(field="", code=refusal.code, message=refusal.detail)]
        )
    return ItemResult(index=index, status=CREATED, id=visit.id)
