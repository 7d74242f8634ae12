"""Tables and queries of the projection. Every question about households takes the caller's area."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index, Integer, String, Table, Uuid, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.tables import metadata
from shared import personal
from shared.db import DivisionCode, chunked, in_area
from shared.events.registry import HouseholdStatus
from shared.rows import upsert_rows
from shared.scope import Area
from shared.seen.record import Whom

PAYABLE = (HouseholdStatus.REGISTERED.value, HouseholdStatus.EXITED.value)
"""Who may be paid: on the register, or exited and still helped (脱贫不脱政策). A candidate is not on the register yet."""

household = Table(
    "household",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("household_no", String(32), nullable=False, unique=True),
    Column("division", DivisionCode, nullable=False),
    Column(
        "head_name_masked",
        String(40),
        nullable=False,
        info=personal.masked("head of the household (户主)", why="lists of households", kept=personal.ON_FILE),
    ),
    Column("people", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("version", Integer, nullable=False),  # of the registry's aggregate; it only moves forward
)
Index("ix_household_division", household.c.division, household.c.household_no)

division = Table(
    "division",
    metadata,
    Column("code", DivisionCode, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("level", String(16), nullable=False),
    Column("version", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Household:
    """A household (户) as far as money needs to know it; the head's name is masked."""

    household_no: str
    division: str
    head_name_masked: str
    people: int
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision changes of a household, and the version of the registry's aggregate from then on."""

    household_id: UUID
    people: int
    status: str
    version: int


_CHANGE = (
    household.update()
    .where(household.c.household_id == bindparam("id"), household.c.version <= bindparam("at"))
    .values(people=bindparam("now_people"), status=bindparam("now_status"), version=bindparam("at"))
)


async def put(tx: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Keeps households as a version of each says, unless a newer version is known."""
    await upsert_rows(tx, household, rows, keys=("household_id",), forward="version")


async def change(tx: AsyncConnection, changes: Sequence[Change]) -> None:
    """Changes households that are known, unless a newer version of one is."""
    rows = [{"id": c.household_id, "now_people": c.people, "now_status": c.status, "at": c.version} for c in changes]
    await tx.execute(_CHANGE, rows)


async def put_divisions(tx: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await upsert_rows(tx, division, rows, keys=("code",), forward="version")


async def division_names(tx: AsyncConnection, codes: Sequence[str]) -> dict[str, str]:
    """Code → name. Names of divisions are public, so this asks no area."""
    query = select(division.c.code, division.c.name)
    return {row["code"]: row["name"] async for row in chunked(tx, query, division.c.code, codes)}


_FIELDS = (
    household.c.household_no,
    household.c.division,
    household.c.head_name_masked,
    household.c.people,
    household.c.status,
)


async def by_numbers(tx: AsyncConnection, numbers: Sequence[str], area: Area) -> dict[str, Household]:
    """Household number → household, for those that exist in the area."""
    query = select(*_FIELDS).where(in_area(household.c.division, area))
    rows = chunked(tx, query, household.c.household_no, numbers)
    return {row["household_no"]: Household(**row) async for row in rows}


async def payable_in(tx: AsyncConnection, where: Area, area: Area, limit: int) -> list[Household]:
    """The payable households of a division that also lie in the caller's area, by number."""
    query = (
        select(*_FIELDS)
        .where(
            in_area(household.c.division, where), in_area(household.c.division, area), household.c.status.in_(PAYABLE)
        )
        .order_by(household.c.household_no)
        .limit(limit)
    )
    return [Household(*row) for row in await tx.execute(query)]


async def whom(tx: AsyncConnection, named: Mapping[str, str], area: Area) -> Whom | None:
    """The household of the area that a request names, for the record of looks."""
    if (number := named.get("household_no")) is None:
        return None
    query = select(household.c.household_id, household.c.division).where(
        household.c.household_no == number, in_area(household.c.division, area)
    )
    row = (await tx.execute(query)).one_or_none()
    return Whom(*row) if row else None
