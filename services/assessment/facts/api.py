"""Routes of evidence."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.assessment.facts import service
from services.assessment.facts.schemas import AffectedOut, FactOut, WithdrawalIn, WithdrawalOut
from services.assessment.periods.domain import PERIOD_PATTERN
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

WITHDRAWERS = (Role.COUNTY_ADMIN, Role.SUPERVISOR)
READERS = (
    *WITHDRAWERS,
    Role.POVERTY_OFFICE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.DEPARTMENT_CHIEF,
    Role.AUDITOR,
    Role.DISCIPLINE,
)

router = Router(prefix="/assessment/v1/facts", tags=["facts"])


@router.get("", dependencies=[allow(*READERS)])
async def list_facts(
    work: WorkDep,
    page: PageDep,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    type: Annotated[str | None, Query(max_length=100)] = None,
    cadre_no: Annotated[str | None, Query(max_length=32)] = None,
    period: Annotated[str | None, Query(pattern=PERIOD_PATTERN)] = None,
) -> Page[FactOut]:
    """The evidence of the scores (考核依据), by business date."""
    return await service.list_facts(work, page, division=division, type=type, cadre_no=cadre_no, period=period)


@router.get("/{event_id}", dependencies=[allow(*READERS)])
async def show(work: WorkDep, event_id: UUID) -> FactOut:
    """One fact (考核依据)."""
    return await service.show(work, event_id)


@router.get("/{event_id}/affected", dependencies=[allow(*WITHDRAWERS)])
async def affected(work: WorkDep, event_id: UUID) -> AffectedOut:
    """What would change if this fact were taken away (撤销影响)."""
    return await service.affected(work, event_id)


@router.post("/{event_id}/withdrawals", status_code=201, dependencies=[allow(*WITHDRAWERS)])
async def withdraw(work: WorkDep, event_id: UUID, order: WithdrawalIn) -> WithdrawalOut:
    """Take a fact away (撤销依据). The answer lists exactly the scores that the next run changes for it."""
    return await service.withdraw(work, event_id, order)
