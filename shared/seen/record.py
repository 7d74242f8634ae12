"""Puts looks on record before they are answered: all reading of auditors and discipline inspection, and of onlookers single files."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from shared import mandates
from shared.mandates import AuditorReadsOnly
from shared.roles import Caller, Role
from shared.scope import Area
from shared.seen import store
from shared.seen.domain import kept
from shared.seen.store import Look

OVERSEERS = frozenset({Role.AUDITOR, Role.DISCIPLINE})
"""Whose every reading is on record. Discipline inspection needs no engagement: those it looks into would have to open it."""

ONLOOKERS = frozenset(
    {Role.COUNTY_ADMIN, Role.COUNTY_LEADER, Role.TOWN_CHIEF, Role.DEPARTMENT_CHIEF, Role.SUPERVISOR, Role.PRIVACY}
)
"""Who answers for others' work and keeps no files himself: what they read of one household is on record."""

ONE_HOUSEHOLD = ("{household_id}", "{household_no}")
"""In a path: its answer is about one household."""

READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Whom:
    """The household that a request names, and where it lies."""

    household: UUID
    division: str


Finds = Callable[[AsyncConnection, Mapping[str, str], Area], Awaitable[Whom | None]]
"""What a service knows of the names in its addresses: (parameters of path and query, the caller's area) → whom they are about."""


def on_record(path: str) -> frozenset[Role]:
    """The roles whose reading of this route is put on record."""
    return OVERSEERS | ONLOOKERS if any(name in path for name in ONE_HOUSEHOLD) else OVERSEERS


async def nobody(_: AsyncConnection, __: Mapping[str, str], ___: Area) -> Whom | None:
    """Of a service whose addresses name no household."""
    return None


async def overseen(request: Request, caller: Caller, action: str) -> Caller:
    """The caller as he may read, after his request is on record. `action`: the route, without what the request names.

    It is kept in a transaction of its own that ends before the reading begins: what cannot be recorded is not answered, and what
    was not found is on record too. Raises NoEngagement, EngagementUnclear, AuditorReadsOnly, DBAPIError, OSError.
    """
    reads = request.method in READING
    if caller.has(Role.AUDITOR) and not reads:
        raise AuditorReadsOnly(
            "An auditor reads and checks; what must be written is written by who is responsible for it."
        )
    if not reads:
        return caller
    service: Any = request.app.state.service
    now = service.clock.now()
    async with service.database.write() as tx:
        engagement = None
        if caller.has(Role.AUDITOR):
            named = mandates.header(request.scope, mandates.ENGAGEMENT)
            caller, engagement = await mandates.engaged(tx, caller, named, now)
        asked = {**request.query_params, **request.path_params}
        whom = await request.app.state.finds(tx, asked, caller.area)
        seen = Look(
            at=now,
            actor=caller.subject,
            client=caller.client,
            action=action,
            division=whom.division if whom else caller.area.narrowest,
            objects=kept(request.path_params.items()),
            filters=kept(request.query_params.multi_items()),
            household=whom.household if whom else None,
            mandate=engagement,
        )
        await store.add(tx, seen)
    request.state.caller = caller
    return caller
