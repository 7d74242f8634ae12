"""Routes of statistics: each one call of the service."""

from typing import Annotated, Literal

from fastapi import Query

from services.registry.statistics import service
from services.registry.statistics.schemas import HouseholdsOut, PathwaysOut
from shared.http import Router, WorkDep, allow
from shared.roles import Role
from shared.scope import Level

router = Router(prefix="/registry/v1/statistics", tags=["statistics"])

Division = Annotated[str | None, Query(pattern=r"^\d{12}$", description="counts this division only")]


@router.get("/pathways", dependencies=[allow(*Role)])
async def count_pathways(
    work: WorkDep,
    scope: Annotated[str | None, Query(min_length=1, max_length=40, description="absent: each pathway's own")] = None,
    year: Annotated[int | None, Query(ge=2010, le=2100, description="absent: this year")] = None,
    division: Division = None,
) -> PathwaysOut:
    """Households and people of each pathway (脱贫路径) and sub-category, counted from the rows of the caller's area."""
    return await service.count_pathways(work, scope=scope, year=year, division=division)


@router.get("/households", dependencies=[allow(*Role)])
async def count_households(
    work: WorkDep, level: Literal["county", "town", "village"] = "town", division: Division = None
) -> HouseholdsOut:
    """Households and people of the caller's area (户数、人数) by division and status."""
    return await service.count_households(work, level=Level(level), division=division)
