"""Table and queries of funds. What they received and gave is read from the ledger, never kept here."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Integer, String, Table, Uuid, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.ledger import sums
from services.funds.ledger.domain import AccountKind
from services.funds.sources.domain import Figures
from services.funds.tables import metadata
from shared.db import Database, DivisionCode, Instant, area_bounds, in_area, in_area_text, insert_ignoring
from shared.scope import Area

MAX_REMEMBERED = 10_000
"""Funds kept in memory; a county has some hundreds."""

source = Table(
    "source",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("fund_no", String(32), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("level", String(16), nullable=False),
    Column("year", Integer, nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("document_no", String(100), nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("created_at", Instant, nullable=False),
)


async def add(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when the number is taken: fund numbers name accounts, so they are unique everywhere, whoever asks."""
    return bool((await tx.execute(insert_ignoring(tx, source), row)).rowcount)


async def find(tx: AsyncConnection, source_id: UUID, area: Area) -> dict[str, Any] | None:
    query = select(source).where(source.c.id == source_id, in_area(source.c.division, area))
    found = (await tx.execute(query)).mappings().one_or_none()
    return dict(found) if found else None


_SHOWN = ("fund_no", "name", "level", "year", "division", "document_no")
_LASTING = ("fund_no", "name", "level", "division", "document_no")
_READ = "select fund_no, name, level, division, document_no from source where id = $1"
_remembered: dict[UUID, dict[str, Any]] = {}


async def remembered(database: Database, source_id: UUID, area: Area) -> dict[str, Any] | None:
    """A fund of the area as it was registered, for those who move its money. It never changes, so it is read once a process."""
    row = _remembered.get(source_id)
    if row is None:
        found = await database.look_up(_READ, [source_id])
        if found is None:
            return None
        if len(_remembered) >= MAX_REMEMBERED:
            del _remembered[next(iter(_remembered))]
        row = _remembered[source_id] = {"id": source_id, **dict(zip(_LASTING, found, strict=True))}
    return row if area.covers(row["division"]) else None


async def page(
    tx: AsyncConnection, area: Area, *, year: int | None, level: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Funds of the area by number, above `after`."""
    query = select(source).where(in_area(source.c.division, area)).order_by(source.c.fund_no).limit(limit)
    for column, value in ((source.c.year, year), (source.c.level, level)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(source.c.fund_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def names(tx: AsyncConnection, fund_nos: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Number → {name, level} of funds. Both stand on every public notice, so this asks no area."""
    query = select(source.c.fund_no, source.c.name, source.c.level).where(source.c.fund_no.in_(fund_nos))
    return {row.fund_no: {"name": row.name, "level": row.level} for row in await tx.execute(query)}


async def figures(tx: AsyncConnection, area: Area, fund_nos: Sequence[str]) -> dict[str, Figures]:
    """Number → where the fund's money is, summed over the accounts of the area."""
    found = await sums.sums(tx, area, fund_nos)
    return {fund_no: _figures(found, fund_no) for fund_no in fund_nos}


def _figures(found: sums.Sums, fund_no: str) -> Figures:
    return Figures(
        left_fen=found.get((fund_no, AccountKind.FUND), 0),
        in_projects_fen=found.get((fund_no, AccountKind.PROJECT), 0),
        held_fen=found.get((fund_no, AccountKind.HOLD), 0),
        paid_fen=found.get((fund_no, AccountKind.HOUSEHOLD), 0),
    )


async def look_up(database: Database, source_id: UUID, area: Area) -> tuple[dict[str, Any], Figures] | None:
    """A fund of the area and where its money is, in one statement."""
    row = await database.look_up(_with_sums(database.sqlite, len(area.prefixes)), [source_id, *area_bounds(area)])
    if row is None:
        return None
    *shown, said = row
    fund = dict(zip(_SHOWN, shown, strict=True))
    return fund, _figures(sums.read(said), fund["fund_no"])


@cache
def _with_sums(sqlite: bool, prefixes: int) -> str:
    """Takes the id and the bounds of so many prefixes of an area."""
    summed = sums.as_text(sqlite, prefixes, "= s.fund_no")
    columns = ", ".join(f"s.{name}" for name in _SHOWN)
    return f"select {columns}, {summed} from source s where s.id = $1 and {in_area_text('s.division', prefixes, 2)}"  # noqa: S608
