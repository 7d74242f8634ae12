"""Table and queries of targets."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Integer, String, Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.tables import metadata
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.scope import Area

targets = Table(
    "target",
    metadata,
    Column("division", DivisionCode, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("indicator", String(40), primary_key=True),
    Column("planned", Integer, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
)
_KEY = (targets.c.division, targets.c.year, targets.c.indicator)


async def find(tx: AsyncConnection, division: str, year: int, indicator: str, area: Area) -> Mapping[str, Any] | None:
    inside = (targets.c.division == division, targets.c.year == year, targets.c.indicator == indicator)
    row = (await tx.execute(select(targets).where(*inside, in_area(targets.c.division, area)))).mappings().one_or_none()
    return dict(row) if row else None


async def add(tx: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """False when somebody else entered it at the same time."""
    return (await tx.execute(insert_ignoring(tx, targets), dict(row))).rowcount == 1


async def change(tx: AsyncConnection, row: Mapping[str, Any], *, version: int) -> bool:
    """False when somebody else changed it since that version."""
    same = [column == row[column.name] for column in _KEY]
    query = update(targets).where(*same, targets.c.version == version).values(**row)
    return (await tx.execute(query)).rowcount == 1


async def of_year(tx: AsyncConnection, area: Area, year: int) -> dict[tuple[str, str], int]:
    """(division, indicator) → planned value of the year."""
    query = select(targets).where(targets.c.year == year, in_area(targets.c.division, area))
    return {(row.division, row.indicator): row.planned for row in await tx.execute(query)}


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    year: int | None,
    indicator: str | None,
    after: tuple[str, int, str] | None,
    limit: int,
) -> list[Mapping[str, Any]]:
    """In order of division, year, indicator."""
    query = select(targets).where(in_area(targets.c.division, area)).order_by(*_KEY).limit(limit)
    if year is not None:
        query = query.where(targets.c.year == year)
    if indicator is not None:
        query = query.where(targets.c.indicator == indicator)
    if after is not None:
        query = query.where(tuple_(*_KEY) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]
