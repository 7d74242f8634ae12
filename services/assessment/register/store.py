"""Tables and queries of the register as heard: divisions, households, and since when each has its status."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.tables import metadata
from shared.db import BigId, DivisionCode, Instant, chunked, in_area, insert_ignoring
from shared.rows import insert_rows, upsert_rows
from shared.scope import Area, Level

REGISTERED = "registered"

divisions = Table(
    "division",
    metadata,
    Column("code", DivisionCode, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("level", String(10), nullable=False),
    # When the registry first said that it exists.
    Column("recorded_at", Instant, nullable=False),
)

households = Table(
    "household",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("household_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("status", String(16), nullable=False),
    Column("people", Integer, nullable=False),
    Column("version", Integer, nullable=False),
)

statuses = Table(
    "household_status",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("household_id", Uuid, nullable=False),
    Column("household_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("status", String(16), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
)
Index("ix_household_status_household", statuses.c.household_id, statuses.c.until)
Index("ix_household_status_no", statuses.c.household_no)
Index("ix_household_status_division", statuses.c.status, statuses.c.division)


@dataclass(frozen=True, slots=True)
class Household:
    """A household as last heard."""

    household_id: UUID
    household_no: str
    division: str
    status: str
    people: int
    version: int


_RENAME = (
    update(divisions)
    .where(divisions.c.code == bindparam("known"))
    .values(name=bindparam("new_name"), level=bindparam("new_level"))
)
_END = (
    update(statuses)
    .where(statuses.c.household_id == bindparam("household"), statuses.c.until.is_(None))
    .values(until=bindparam("at"))
)


async def keep_divisions(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Enters divisions, or their new names; each stays known since the first time."""
    await tx.execute(insert_ignoring(tx, divisions), rows)
    await tx.execute(_RENAME, [{"known": r["code"], "new_name": r["name"], "new_level": r["level"]} for r in rows])


async def known_divisions(tx: AsyncConnection, codes: Collection[str], area: Area) -> set[str]:
    query = select(divisions.c.code).where(in_area(divisions.c.code, area))
    return {row["code"] async for row in chunked(tx, query, divisions.c.code, codes)}


async def divisions_of(
    tx: AsyncConnection, level: Level, area: Area, *, before: datetime | None
) -> list[tuple[str, str]]:
    """(code, name) of the divisions of a level in the area, known before an instant, in order of code."""
    query = select(divisions.c.code, divisions.c.name).where(
        divisions.c.level == level, in_area(divisions.c.code, area)
    )
    if before is not None:
        query = query.where(divisions.c.recorded_at < before)
    return [(row.code, row.name) for row in await tx.execute(query.order_by(divisions.c.code))]


async def find_households(tx: AsyncConnection, household_ids: Collection[UUID]) -> dict[UUID, Household]:
    """Those of them that were heard of."""
    rows = chunked(tx, select(households), households.c.household_id, household_ids)
    return {row["household_id"]: Household(**row) async for row in rows}


async def household_numbers(tx: AsyncConnection, household_ids: Collection[UUID]) -> dict[UUID, str]:
    query = select(households.c.household_id, households.c.household_no)
    rows = chunked(tx, query, households.c.household_id, household_ids)
    return {row["household_id"]: row["household_no"] async for row in rows}


async def keep_households(tx: AsyncConnection, found: Sequence[Household]) -> None:
    """As they are now, unless a newer version is known."""
    rows = [{name: getattr(household, name) for name in Household.__slots__} for household in found]
    await upsert_rows(tx, households, rows, keys=("household_id",), forward="version")


def status_of(household: Household, *, since: datetime) -> dict[str, Any]:
    """The row that says that the household has its status in its division from an instant on."""
    row = {name: getattr(household, name) for name in ("household_id", "household_no", "division", "status")}
    return row | {"since": since, "until": None}


async def keep_statuses(
    tx: AsyncConnection, *, ended: Sequence[Mapping[str, Any]], begun: Sequence[Mapping[str, Any]]
) -> None:
    """`ended`: (household, at) of those whose present status ends. `begun`: the rows of `status_of`, entered after that."""
    if ended:
        await tx.execute(_END, ended)
    await insert_rows(tx, statuses, begun)


async def registered(tx: AsyncConnection, area: Area, *, before: datetime | None) -> dict[str, int]:
    """Village code → households on the register (建档立卡户) just before an instant, or now."""
    query = select(statuses.c.division, func.count().label("n")).where(
        _registered(before), in_area(statuses.c.division, area)
    )
    return {row.division: row.n for row in await tx.execute(query.group_by(statuses.c.division))}


async def registered_among(
    tx: AsyncConnection, household_nos: Collection[str], area: Area, *, before: datetime | None
) -> dict[str, str]:
    """Household number → village code, of those that are on the register just before an instant, or now."""
    query = select(statuses.c.household_no, statuses.c.division)
    query = query.where(_registered(before), in_area(statuses.c.division, area))
    rows = chunked(tx, query, statuses.c.household_no, household_nos)
    return {row["household_no"]: row["division"] async for row in rows}


def _registered(before: datetime | None) -> ColumnElement[bool]:
    if before is None:
        return and_(statuses.c.status == REGISTERED, statuses.c.until.is_(None))
    still = statuses.c.until.is_(None) | (statuses.c.until >= before)
    return and_(statuses.c.status == REGISTERED, statuses.c.since < before, still)
