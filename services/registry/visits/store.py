"""Table and queries of visits. A visit lies where its household lies."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    and_,
    insert,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households.store import households
from services.registry.tables import metadata
from shared import personal
from shared.db import Instant, in_area
from shared.scope import Area

visits = Table(
    "visit",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_id", ForeignKey(households.c.id), nullable=False),
    Column("cadre_no", String(32), nullable=False),
    Column("visited_on", Date, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("note", String(1000), info=personal.plain("what people write", why="the visit", kept=personal.AS_HISTORY)),
    # Two clocks: the phone's own time beside ours, so that a phone with a wrong clock can be told.
    Column("device_time", Instant),
    Column("recorded_at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("client", String(100), nullable=False),
    Column("client_ref", String(100)),
    UniqueConstraint("client", "client_ref"),
)
Index("ix_visit_household", visits.c.household_id, visits.c.visited_on)
Index("ix_visit_cadre", visits.c.cadre_no, visits.c.visited_on)

_SHOWN = (visits, households.c.household_no, households.c.division)
_WITH_HOUSEHOLD = visits.join(households, households.c.id == visits.c.household_id)


async def add_visit(tx: AsyncConnection, **values: Any) -> None:
    await tx.execute(insert(visits).values(**values))


async def find_visit(tx: AsyncConnection, id: UUID, area: Area) -> RowMapping | None:
    query = select(*_SHOWN).select_from(_WITH_HOUSEHOLD).where(visits.c.id == id, in_area(households.c.division, area))
    return (await tx.execute(query)).mappings().one_or_none()


async def find_by_client_ref(tx: AsyncConnection, client: str, client_ref: str) -> UUID | None:
    """The id of the visit that this program entered under this reference, wherever it lies."""
    query = select(visits.c.id).where(visits.c.client == client, visits.c.client_ref == client_ref)
    return (await tx.execute(query)).scalar_one_or_none()


async def list_visits(
    tx: AsyncConnection,
    area: Area,
    *,
    household_id: UUID | None,
    cadre_no: str | None,
    within: Area | None,
    since: date | None,
    until: date | None,
    after: tuple[date, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """A page of visits by day and age, and one more row when another page follows. `since` and `until` are included."""
    day = visits.c.visited_on
    query = (
        select(*_SHOWN)
        .select_from(_WITH_HOUSEHOLD)
        .where(in_area(households.c.division, area))
        .order_by(day, visits.c.id)
        .limit(limit + 1)
    )
    if household_id is not None:
        query = query.where(visits.c.household_id == household_id)
    if cadre_no is not None:
        query = query.where(visits.c.cadre_no == cadre_no)
    if within is not None:
        query = query.where(in_area(households.c.division, within))
    if since is not None:
        query = query.where(day >= since)
    if until is not None:
        query = query.where(day <= until)
    if after is not None:
        query = query.where(or_(day > after[0], and_(day == after[0], visits.c.id > after[1])))
    return (await tx.execute(query)).mappings().all()
