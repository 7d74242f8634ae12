"""Table and queries of the annual weights."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, String, Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.tables import metadata
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.scope import Area

weights = Table(
    "annual_weight",
    metadata,
    Column("division", DivisionCode, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("units", String(16), primary_key=True),
    Column("percent", Integer, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
)
_KEY = (weights.c.division, weights.c.year, weights.c.units)


async def find(tx: AsyncConnection, division: str, year: int, units: str, area: Area) -> Mapping[str, Any] | None:
    inside = (weights.c.division == division, weights.c.year == year, weights.c.units == units)
    query = select(weights).where(*inside, in_area(weights.c.division, area))
    row = (await tx.execute(query)).mappings().one_or_none()
    return dict(row) if row else None


async def add(tx: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """False when somebody else entered it at the same time."""
    return (await tx.execute(insert_ignoring(tx, weights), dict(row))).rowcount == 1


async def change(tx: AsyncConnection, row: Mapping[str, Any], *, version: int) -> bool:
    """False when somebody else changed it since that version."""
    same = [column == row[column.name] for column in _KEY]
    query = update(weights).where(*same, weights.c.version == version).values(**row)
    return (await tx.execute(query)).rowcount == 1


async def page(
    tx: AsyncConnection, area: Area, *, year: int | None, after: tuple[str, int, str] | None, limit: int
) -> list[Mapping[str, Any]]:
    query = select(weights).where(in_area(weights.c.division, area)).order_by(*_KEY).limit(limit)
    if year is not None:
        query = query.where(weights.c.year == year)
    if after is not None:
        query = query.where(tuple_(*_KEY) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]
