"""Tables and queries of mandates: given once, ended once, never changed."""

from collections.abc import Collection
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Date, ForeignKey, Index, String, Table, Text, Uuid, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import DivisionCode, Instant, Json, in_area
from shared.events.registry import MandateKind
from shared.scope import Area

given = Table(
    "mandate_given",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(16), nullable=False),
    # Of an engagement: its first auditor; all of them are in `holders`.
    Column("holder", String(100), nullable=False),
    Column("holders", Json, nullable=False),
    Column("absent", String(100)),
    Column("roles", Json, nullable=False),
    Column("divisions", Json, nullable=False),
    # The lowest that holds all of them: who may know of it.
    Column("division", DivisionCode, nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date, nullable=False),
    Column("object", String(200)),
    Column(
        "reason",
        Text,
        nullable=False,
        info=personal.plain("what people write", why="why somebody stands in", kept=personal.AS_HISTORY),
    ),
    Column("given_by", String(100), nullable=False),
    Column("given_at", Instant, nullable=False),
)
Index("ix_mandate_given_division", given.c.kind, given.c.division)
Index("ix_mandate_given_people", given.c.holder, given.c.absent)
protect(given)

ending = Table(
    "mandate_ending",
    metadata,
    Column("mandate_id", ForeignKey(given.c.id), primary_key=True),
    Column(
        "reason",
        Text,
        nullable=False,
        info=personal.plain("what people write", why="why somebody stands in", kept=personal.AS_HISTORY),
    ),
    Column("ended_by", String(100), nullable=False),
    Column("ended_at", Instant, nullable=False),
)
protect(ending)

_WHOLE = select(given, ending.c.ended_at, ending.c.ended_by, ending.c.reason.label("ending_reason")).select_from(
    given.outerjoin(ending, ending.c.mandate_id == given.c.id)
)


async def add(tx: AsyncConnection, row: dict[str, Any]) -> None:
    await tx.execute(insert(given).values(row))


async def end(tx: AsyncConnection, row: dict[str, Any]) -> None:
    """Raises IntegrityError when somebody ends it at the same moment."""
    await tx.execute(insert(ending).values(row))


async def find(
    tx: AsyncConnection, id: UUID, kind: MandateKind, area: Area, *, parties: Collection[str]
) -> dict[str, Any] | None:
    """A mandate of the area, or one that one of these is party to."""
    query = _WHOLE.where(given.c.id == id, given.c.kind == kind.value, _seen(area, kind, parties))
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else dict(row)


async def page(
    tx: AsyncConnection,
    kind: MandateKind,
    area: Area,
    *,
    parties: Collection[str],
    on: date | None,
    after: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Mandates of the area, or that one of these is party to, in the order they were given, and one more when another page follows.

    `on`: that hold on this day.
    """
    query = _WHOLE.where(given.c.kind == kind.value, _seen(area, kind, parties))
    if on is not None:
        query = query.where(given.c.since <= on, given.c.until >= on, ending.c.ended_at.is_(None))
    if after is not None:
        query = query.where(given.c.id > after)
    rows = await tx.execute(query.order_by(given.c.id).limit(limit + 1))
    return [dict(row) for row in rows.mappings()]


async def periods(tx: AsyncConnection, holder: str, absent: str) -> list[tuple[date, date]]:
    """First and last day of the mandates between two people that were not ended, wherever they hold."""
    query = select(given.c.since, given.c.until).where(
        given.c.holder == holder,
        given.c.absent == absent,
        ~select(ending.c.mandate_id).where(ending.c.mandate_id == given.c.id).exists(),
    )
    return [(row.since, row.until) for row in await tx.execute(query)]


_PARTIES = {
    MandateKind.ACTING: (given.c.holder, given.c.absent, given.c.given_by),
    MandateKind.AUDIT: (given.c.given_by,),  # an auditor sees what lies in the audit he reads under, and no other
}


def _seen(area: Area, kind: MandateKind, parties: Collection[str]) -> ColumnElement[bool]:
    """One of two towns belongs to their county, whose people alone its division shows it to: who is party to it sees it anyway."""
    return or_(in_area(given.c.division, area), *(column.in_(parties) for column in _PARTIES[kind]))
