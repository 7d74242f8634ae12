"""Table and queries of divisions."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Date, Index, Integer, RowMapping, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import metadata
from shared.db import DivisionCode, Json, chunked, in_area
from shared.scope import Area, Level

divisions = Table(
    "division",
    metadata,
    Column("code", DivisionCode, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("level", String(10), nullable=False),
    Column("parent", DivisionCode),
    Column("valid_from", Date),
    Column("valid_to", Date),
    # Codes of the divisions it was made from (撤并), so that old files can be read.
    Column("predecessors", Json, nullable=False),
    Column("version", Integer, nullable=False),
)
Index("ix_division_parent", divisions.c.parent)


async def villages(tx: AsyncConnection, area: Area) -> Sequence[RowMapping]:
    """The villages of the area, by code."""
    query = (
        select(divisions.c.code, divisions.c.valid_from, divisions.c.valid_to)
        .where(in_area(divisions.c.code, area), divisions.c.level == Level.VILLAGE)
        .order_by(divisions.c.code)
    )
    return (await tx.execute(query)).mappings().all()


async def with_codes(tx: AsyncConnection, codes: Iterable[str]) -> Sequence[RowMapping]:
    """Divisions by code, wherever they lie: the caller has read these codes in his own file. Locked until the transaction ends."""
    query = select(divisions).order_by(divisions.c.code).with_for_update()
    return [row async for row in chunked(tx, query, divisions.c.code, sorted(codes))]


async def find(tx: AsyncConnection, code: str, area: Area) -> RowMapping | None:
    query = select(divisions).where(divisions.c.code == code, in_area(divisions.c.code, area))
    return (await tx.execute(query)).mappings().one_or_none()


async def page(
    tx: AsyncConnection, area: Area, *, level: str | None, parent: str | None, after: str | None, limit: int
) -> Sequence[RowMapping]:
    """Divisions by code, and one more when another page follows."""
    query = select(divisions).where(in_area(divisions.c.code, area)).order_by(divisions.c.code).limit(limit + 1)
    if level:
        query = query.where(divisions.c.level == level)
    if parent:
        query = query.where(divisions.c.parent == parent)
    if after:
        query = query.where(divisions.c.code > after)
    return (await tx.execute(query)).mappings().all()


async def add(tx: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(insert(divisions), list(rows))


async def change(tx: AsyncConnection, code: str, values: dict[str, Any]) -> None:
    await tx.execute(update(divisions).where(divisions.c.code == code).values(**values))
