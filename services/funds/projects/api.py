"""Routes of projects: each one call of the service."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.funds.approvals.schemas import DecisionIn, DecisionOut
from services.funds.orders.api import MoneyDep
from services.funds.projects import service
from services.funds.projects.schemas import AllocationIn, AllocationOut, ProjectIn, ProjectOut
from services.funds.sources.api import READERS as READERS_OF_FUNDS
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

DECIDERS = (Role.REVIEWER, Role.APPROVER)
READERS = (*READERS_OF_FUNDS, Role.TOWN_OFFICE, Role.LIAISON, Role.VILLAGE_SECRETARY, Role.VILLAGE_COUNCIL)
"""Liaison and village council follow projects through (XC-004)."""

router = Router(prefix="/funds/v1/projects", tags=["projects"])
money_router = Router(prefix="/funds/v1/projects", tags=["projects"], money=True)


@router.post("", status_code=201, dependencies=[allow(Role.APPLICANT)])
async def apply_for_project(work: WorkDep, order: ProjectIn) -> ProjectOut:
    """Apply for a project (项目申报)."""
    return await service.apply(work, order)


@router.get("", dependencies=[allow(*READERS)])
async def list_projects(
    work: WorkDep,
    page: PageDep,
    year: Annotated[int | None, Query(ge=2000, le=2100)] = None,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
) -> Page[ProjectOut]:
    """The projects of the caller's area (项目), by number."""
    return await service.list_projects(work, page, year=year, division=division)


@router.get("/{project_id}", dependencies=[allow(*READERS)])
async def show_project(work: WorkDep, project_id: UUID) -> ProjectOut:
    """A project (项目): where it stands and where its money is."""
    return await service.show(work, project_id)


@router.post("/{project_id}/decisions", status_code=201, dependencies=[allow(*DECIDERS)])
async def decide(work: WorkDep, project_id: UUID, order: DecisionIn) -> DecisionOut:
    """Review or approve a project (审核、审批)."""
    return await service.decide(work, project_id, order)


@money_router.post("/{project_id}/allocations", status_code=201, dependencies=[allow(Role.FINANCE)])
async def allocate(work: WorkDep, money: MoneyDep, project_id: UUID, order: AllocationIn) -> AllocationOut:
    """Allocate a fund's money to an approved project (资金分配)."""
    return await service.allocate(work, money, project_id, order)
