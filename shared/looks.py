"""What the kit looks up when somebody scrapes a service: its outbox, dead letters, place on the bus, connections, issuers."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from shared import tables
from shared.dead_letters import DEAD, PARKED
from shared.metrics import (
    CONSUMER_LAG,
    CONSUMER_POLL_AGE,
    DB_IN_USE,
    DB_MAX,
    DEAD_LETTERS,
    ISSUER_KEYS_AGE,
    OUTBOX_AGE,
    OUTBOX_UNPUBLISHED,
    Look,
    Looks,
    Reading,
)

if TYPE_CHECKING:
    from shared.service import Service

MAX_COUNTED = 100_000
"""Rows of an outbox that are counted; a longer queue shows as this many."""

_o, _d = tables.outbox.c, tables.dead_letter.c
_UNPUBLISHED = select(_o.id).where(_o.published_at.is_(None))
_OLDEST = select(_o.recorded_at).where(_o.published_at.is_(None)).order_by(_o.id).limit(1)


OwnLook = Callable[["Service"], Awaitable[Iterable[Reading]]]
"""A look of one service's own."""


def looks_of(service: "Service", own: Mapping[str, OwnLook]) -> Looks:
    """The looks of a service in this process: what its loops do is seen where they run."""

    async def outbox() -> Iterable[Reading]:
        async with service.database.read() as tx:
            waiting = _UNPUBLISHED.limit(MAX_COUNTED).subquery()
            count = await tx.scalar(select(func.count()).select_from(waiting)) or 0
            oldest = await tx.scalar(_OLDEST)
        age = 0.0 if oldest is None else (service.clock.now() - oldest).total_seconds()
        return [Reading(OUTBOX_UNPUBLISHED, count), Reading(OUTBOX_AGE, max(0.0, age))]

    async def dead_letters() -> Iterable[Reading]:
        query = select(_d.state, func.count()).where(_d.group == service.group.name, tables.OPEN).group_by(_d.state)
        async with service.database.read() as tx:
            found = {row[0]: row[1] for row in await tx.execute(query)}
        return [Reading(DEAD_LETTERS, found.get(state, 0), (state,)) for state in (DEAD, PARKED)]

    async def consumer() -> Iterable[Reading]:
        return [Reading(CONSUMER_POLL_AGE, service.group.still_s)]

    async def lag() -> Iterable[Reading]:
        return [Reading(CONSUMER_LAG, await service.group.lag())]

    async def connections() -> Iterable[Reading]:
        return [
            Reading(gauge, value, (pool,))
            for pool, (used, most) in service.database.connections().items()
            for gauge, value in ((DB_IN_USE, used), (DB_MAX, most))
        ]

    async def issuers() -> Iterable[Reading]:
        service.verifier.attend()  # a house that nobody asks for anything else fetches them for the scrape
        return [Reading(ISSUER_KEYS_AGE, age, (name,)) for name, age in service.verifier.keys_ages_s().items()]

    looks: dict[str, Look] = {"connections": connections, "issuers": issuers}
    if service.settings.role != "api":
        looks |= {"outbox": outbox, **{name: partial(look, service) for name, look in own.items()}}
        if service.handlers:
            looks |= {"dead_letters": dead_letters, "consumer": consumer, "lag": lag}
    return Looks(service.name, looks)
