"""The table of looks (shared/tables.py): added to, asked, never changed. Every question takes the asker's area."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import in_area
from shared.roles import FOR
from shared.scope import Area
from shared.tables import look
from shared.work import Work


@dataclass(frozen=True, slots=True)
class Look:
    """One look, as it is kept. `division` decides who may know of it."""

    at: datetime
    actor: str
    client: str
    action: str
    division: str
    objects: dict[str, str] = field(default_factory=dict)
    filters: dict[str, str] = field(default_factory=dict)
    household: UUID | None = None
    person: UUID | None = None
    mandate: UUID | None = None
    reason: str | None = None


async def add(tx: AsyncConnection, seen: Look) -> None:
    await tx.execute(insert(look).values({name: getattr(seen, name) for name in Look.__slots__}))


async def add_unmasking(work: Work, *, household: UUID, person: UUID, division: str, field: str, reason: str) -> None:
    """Puts on record, in the transaction that shows it, that personal data was seen in full (查看明文), by whom and why."""
    caller = work.caller
    seen = Look(
        at=work.now,
        actor=caller.subject,
        client=caller.client,
        action=f"unmask {field}",
        division=division,
        household=household,
        person=person,
        reason=reason,
    )
    await add(work.tx, seen)


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    household: UUID | None,
    person: UUID | None,
    by: str | None,
    since: datetime | None,
    before: datetime | None,
    after: int,
    limit: int,
) -> list[RowMapping]:
    """Looks at what lies in the area, in their order. `by`: also those made standing in for somebody; `before` is not included."""
    query = select(look).where(look.c.id > after, in_area(look.c.division, area)).order_by(look.c.id).limit(limit + 1)
    wanted: list[Any] = []
    if household is not None:
        wanted.append(look.c.household == household)
    if person is not None:
        wanted.append(look.c.person == person)
    if by is not None:
        wanted.append(or_(look.c.actor == by, look.c.actor.startswith(by + FOR, autoescape=True)))
    if since is not None:
        wanted.append(look.c.at >= since)
    if before is not None:
        wanted.append(look.c.at < before)
    return list((await tx.execute(query.where(*wanted))).mappings())
