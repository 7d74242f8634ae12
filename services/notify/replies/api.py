"""Routes of replies."""

from typing import Annotated

from fastapi import Query

from services.notify.replies import service
from services.notify.replies.domain import InboundKind
from services.notify.replies.schemas import InboundIn, InboundOut, InboundRow, ReportIn, ReportOut, ReportTaken
from services.notify.weeks.domain import WEEK_PATTERN
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
CHIEFS = (Role.COUNTY_LEADER, Role.TOWN_CHIEF, Role.DEPARTMENT_CHIEF)

router = Router(prefix="/notify/v1", tags=["replies"])


@router.post("/inbound", status_code=201, dependencies=[allow(Role.BACKEND)])
async def receive(work: WorkDep, message: InboundIn) -> InboundOut:
    """An SMS from a phone (上行短信), brought by the gateway."""
    return await service.receive(work, message)


@router.get("/inbound", dependencies=[allow(*OFFICE)])
async def list_inbound(
    work: WorkDep,
    page: PageDep,
    kind: Annotated[InboundKind | None, Query()] = None,
    week: Annotated[str | None, Query(pattern=WEEK_PATTERN)] = None,
) -> Page[InboundRow]:
    """Inbound messages (上行短信), those of unknown numbers among them."""
    return await service.list_inbound(work, page, kind=kind, week=week)


@router.post("/reports", status_code=201, dependencies=[allow(Role.BACKEND, Role.POVERTY_OFFICE, own=CHIEFS)])
async def report(work: WorkDep, order: ReportIn) -> ReportTaken:
    """Report on the week (每周报告)."""
    return await service.report(work, order)


@router.get("/reports", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE, Role.SUPERVISOR, Role.COUNTY_LEADER)])
async def list_reports(
    work: WorkDep, page: PageDep, week: Annotated[str, Query(pattern=WEEK_PATTERN)]
) -> Page[ReportOut]:
    """Reports on a week (每周报告)."""
    return await service.list_reports(work, page, week=week)
