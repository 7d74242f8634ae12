"""Whose file an address of the registry names, for the record of looks (shared/seen)"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Column, ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.cases.store import cases
from services.registry.households.store import households
from services.registry.measures.store import measures
from services.registry.visits.store import visits
from shared.db import in_area
from shared.scope import Area
from shared.seen.record import Whom

NAMES: Mapping[str, tuple[Column[UUID], Column[UUID]]] = {
    "household_id": (households.c.id, households.c.id),
    "case_id": (cases.c.id, cases.c.household_id),
    "measure_id": (measures.c.id, measures.c.household_id),
    "visit_id": (visits.c.id, visits.c.household_id),
}
"""Parameter → the column it names a row by, and the household of that row."""


async def whom(tx: AsyncConnection, named: Mapping[str, str], area: Area) -> Whom | None:
    """The household that the parameters of a request name, if it lies in the area."""
    for name, (key, household) in NAMES.items():
        if name in named and (id := _uuid(named[name])) is not None:
            is_it = households.c.id == select(household).where(key == id).scalar_subquery()
            return await _found(tx, is_it, area)
    if "household_no" in named:
        return await _found(tx, households.c.household_no == named["household_no"], area)
    return None


async def _found(tx: AsyncConnection, is_it: ColumnElement[bool], area: Area) -> Whom | None:
    query = select(households.c.id, households.c.division).where(is_it, in_area(households.c.division, area))
    row = (await tx.execute(query)).one_or_none()
    return Whom(*row) if row else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
