"""Tables and queries of the projection. Every question about households takes the caller's area."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Index, Integer, String, Table, Uuid, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.tables import metadata
from shared.db import DivisionCode, in_area, upsert
from shared.events.registry import HouseholdStatus
from shared.scope import Area

IN_LIMIT = 500
"""Most values of one IN list: far below what either database takes in one statement."""

PAYABLE = (HouseholdStatus.REGISTERED.value, HouseholdStatus.EXITED.value)
"""Who may be paid: on the register, or exited and still helped (脱贫不脱政策). A candidate is not on the register yet."""

household = Table(
    "household",
    metadata,
    Column("household_id", Uuid, primary_key=True),
    Column("household_no", String(32), nullable=False, unique=True),
    Column("division", DivisionCode, nullable=False),
    Column("head_name_masked", String(40), nullable=False),
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


async def version_of(tx: AsyncConnection, household_id: UUID) -> int | None:
    return (
        await tx.execute(select(household.c.version).where(household.c.household_id == household_id))
    ).scalar_one_or_none()


async def put(tx: AsyncConnection, row: dict[str, Any]) -> None:
    """Keeps a household as a version of it says, unless a newer version is known."""
    await tx.execute(upsert(tx, household, keys=("household_id",), forward="version"), row)


async def change(tx: AsyncConnection, household_id: UUID, changes: dict[str, Any]) -> None:
    await tx.execute(household.update().where(household.c.household_id == household_id).values(changes))


async def division_version(tx: AsyncConnection, code: str) -> int | None:
    return (await tx.execute(select(division.c.version).where(division.c.code == code))).scalar_one_or_none()


async def put_division(tx: AsyncConnection, row: dict[str, Any]) -> None:
    await tx.execute(upsert(tx, division, keys=("code",), forward="version"), row)


async def division_names(tx: AsyncConnection, codes: Sequence[str]) -> dict[str, str]:
    """Code → name. Names of divisions are public, so this asks no area."""
    names: dict[str, str] = {}
    for start in range(0, len(codes), IN_LIMIT):
        query = select(division.c.code, division.c.name).where(division.c.code.in_(codes[start : start + IN_LIMIT]))
        names |= {row.code: row.name for row in await tx.execute(query)}
    return names


_FIELDS = (
    household.c.household_no,
    household.c.division,
    household.c.head_name_masked,
    household.c.people,
    household.c.status,
)


async def by_numbers(tx: AsyncConnection, numbers: Sequence[str], area: Area) -> dict[str, Household]:
    """Household number → household, for those that exist in the area."""
    found: dict[str, Household] = {}
    for start in range(0, len(numbers), IN_LIMIT):
        query = select(*_FIELDS).where(
            household.c.household_no.in_(numbers[start : start + IN_LIMIT]), in_area(household.c.division, area)
        )
        found |= {row.household_no: Household(*row) for row in await tx.execute(query)}
    return found


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
