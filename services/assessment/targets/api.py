"""Routes of targets."""

from typing import Annotated

from fastapi import Query

from services.assessment.targets import service
from services.assessment.targets.schemas import TargetOut, TargetsIn, TargetsOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
READERS = (
    *OFFICE,
    Role.STATISTICS,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.DEPARTMENT_CHIEF,
    Role.SUPERVISOR,
    Role.AUDITOR,
)

router = Router(prefix="/assessment/v1/targets", tags=["targets"])


@router.post("", dependencies=[allow(*OFFICE)])
async def enter(work: WorkDep, order: TargetsIn) -> TargetsOut:
    """Enter or change planned values (目标任务), each with its own result."""
    return await service.enter(work, order)


@router.get("", dependencies=[allow(*READERS)])
async def list_targets(
    work: WorkDep,
    page: PageDep,
    year: Annotated[int | None, Query(ge=2014, le=2100)] = None,
    indicator: Annotated[str | None, Query(max_length=40)] = None,
) -> Page[TargetOut]:
    """The planned values of the area (目标任务), by division and year."""
    return await service.list_targets(work, page, year=year, indicator=indicator)
