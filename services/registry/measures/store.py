"""Table and queries of measures. A measure lies where its household lies."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    and_,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households.store import households
from services.registry.tables import metadata
from shared import personal
from shared.db import Instant, chunked, in_area
from shared.scope import Area

measures = Table(
    "measure",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_id", ForeignKey(households.c.id), nullable=False),
    Column("pathway", String(40), nullable=False),
    Column("sub", String(40), nullable=False),
    Column("scope", String(40), nullable=False),
    Column("year", Integer, nullable=False),
    Column("persons", Integer),
    Column("started_on", Date, nullable=False),
    # Last day of its policy's validity (有效期至); ended_on is the first day on which it is no longer given.
    Column("valid_until", Date),
    Column("ended_on", Date),
    Column(
        "ended_reason",
        String(1000),
        info=personal.plain("what people write", why="why a measure ended", kept=personal.AS_HISTORY),
    ),
    Column(
        "remark", String(1000), info=personal.plain("what people write", why="the measure", kept=personal.AS_HISTORY)
    ),
    Column("actor", String(100), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("client", String(100)),
    Column("client_ref", String(100)),
    Column("version", Integer, nullable=False),
    UniqueConstraint("client", "client_ref"),
)
Index("ix_measure_household", measures.c.household_id)
Index(
    "uq_measure_held",
    measures.c.household_id,
    measures.c.pathway,
    measures.c.sub,
    measures.c.scope,
    measures.c.year,
    unique=True,
    sqlite_where=measures.c.ended_on.is_(None),
    postgresql_where=measures.c.ended_on.is_(None),
)

_SHOWN = (measures, households.c.household_no, households.c.division)
_WITH_HOUSEHOLD = measures.join(households, households.c.id == measures.c.household_id)


async def add_measures(tx: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await tx.execute(insert(measures), list(rows))


async def end_measure(tx: AsyncConnection, id: UUID, *, seen: int, ended_on: date, reason: str) -> bool:
    """False when somebody changed it since version `seen`."""
    ended = await tx.execute(
        update(measures)
        .where(measures.c.id == id, measures.c.version == seen)
        .values(ended_on=ended_on, ended_reason=reason, version=seen + 1)
    )
    return ended.rowcount == 1


async def find_measure(tx: AsyncConnection, id: UUID, area: Area) -> RowMapping | None:
    query = (
        select(*_SHOWN).select_from(_WITH_HOUSEHOLD).where(measures.c.id == id, in_area(households.c.division, area))
    )
    return (await tx.execute(query)).mappings().one_or_none()


async def find_by_client_ref(tx: AsyncConnection, client: str, client_ref: str) -> UUID | None:
    """The id of the measure that this program entered under this reference, wherever it lies."""
    query = select(measures.c.id).where(measures.c.client == client, measures.c.client_ref == client_ref)
    return (await tx.execute(query)).scalar_one_or_none()


async def held_by(tx: AsyncConnection, household_ids: Collection[UUID], area: Area) -> Sequence[RowMapping]:
    """The measures these households hold that have not ended."""
    query = (
        select(*_SHOWN)
        .select_from(_WITH_HOUSEHOLD)
        .where(measures.c.ended_on.is_(None), in_area(households.c.division, area))
    )
    return [row async for row in chunked(tx, query, measures.c.household_id, household_ids)]


async def list_measures(
    tx: AsyncConnection,
    area: Area,
    *,
    household_id: UUID | None,
    pathway: str | None,
    scope: str | None,
    year: int | None,
    within: Area | None,
    after: tuple[str, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """A page of measures by household number and age, and one more row when another page follows."""
    number = households.c.household_no
    query = (
        select(*_SHOWN)
        .select_from(_WITH_HOUSEHOLD)
        .where(in_area(households.c.division, area))
        .order_by(number, measures.c.id)
        .limit(limit + 1)
    )
    for column, value in (
        (measures.c.household_id, household_id),
        (measures.c.pathway, pathway),
        (measures.c.scope, scope),
        (measures.c.year, year),
    ):
        if value is not None:
            query = query.where(column == value)
    if within is not None:
        query = query.where(in_area(households.c.division, within))
    if after is not None:
        query = query.where(or_(number > after[0], and_(number == after[0], measures.c.id > after[1])))
    return (await tx.execute(query)).mappings().all()
