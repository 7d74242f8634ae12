"""Routes of visits: each one call of the service."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.registry.visits import service
from services.registry.visits.schemas import BatchIn, BatchOut, VisitIn, VisitOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

router = Router(prefix="/registry/v1/visits", tags=["visits"])

VISITORS = (
    Role.FIRST_SECRETARY,
    Role.TEAM_MEMBER,
    Role.PAIRED_CADRE,
    Role.LIAISON,
    Role.VILLAGE_SECRETARY,
    Role.VILLAGE_CLERK,
    Role.TOWN_OFFICE,
    Role.POVERTY_OFFICE,
    Role.BACKEND,
)
READERS = (
    *VISITORS,
    Role.COUNTY_ADMIN,
    Role.STATISTICS,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.DISCIPLINE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.DEPARTMENT_CHIEF,
)


@router.post("", status_code=201, dependencies=[allow(*VISITORS)])
async def record_visit(work: WorkDep, order: VisitIn) -> VisitOut:
    """Records a visit (走访) of a cadre to a household."""
    return await service.record_visit(work, order)


@router.post("/batch", dependencies=[allow(*VISITORS)])
async def record_batch(work: WorkDep, order: BatchIn) -> BatchOut:
    """Records what a phone has gathered (批量走访): a result for each item, in their order."""
    return await service.record_batch(work, order)


@router.get("", dependencies=[allow(*READERS)])
async def list_visits(
    work: WorkDep,
    page: PageDep,
    household_id: UUID | None = None,
    cadre_no: Annotated[str | None, Query(max_length=32)] = None,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    since: date | None = None,
    until: date | None = None,
) -> Page[VisitOut]:
    """The visits to the caller's area (走访记录) by day; `since` and `until` are included."""
    return await service.list_visits(
        work, page, household_id=household_id, cadre_no=cadre_no, division=division, since=since, until=until
    )


@router.get("/{visit_id}", dependencies=[allow(*READERS)])
async def show_visit(work: WorkDep, visit_id: UUID) -> VisitOut:
    """One visit (走访记录)."""
    return await service.show_visit(work, visit_id)
