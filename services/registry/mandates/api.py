"""Routes of mandates and of audits."""

from datetime import date
from uuid import UUID

from services.registry.mandates import service
from services.registry.mandates.schemas import EndingIn, EngagementIn, EngagementOut, MandateIn, MandateOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OPENERS = (Role.COUNTY_ADMIN, Role.COUNTY_LEADER)
READERS = (*OPENERS, Role.DISCIPLINE, Role.PRIVACY, Role.AUDITOR)
LENDERS = tuple(role for role in Role if role is not Role.AUDITOR)
"""Everybody lends his own roles; that the administrator alone lends another's is for the domain to say."""

router = Router(prefix="/registry/v1/mandates", tags=["mandates"])
engagements = Router(prefix="/registry/v1/engagements", tags=["mandates"])


@router.post("", status_code=201, dependencies=[allow(*LENDERS)])
async def give_mandate(work: WorkDep, order: MandateIn) -> MandateOut:
    """Let somebody act for a person who is absent (代理), with some of that person's roles, from a first to a last day."""
    return await service.give(work, order)


@router.get("", dependencies=[allow(*Role)])
async def list_mandates(work: WorkDep, paging: PageDep, on: date | None = None) -> Page[MandateOut]:
    """Who may act for whom (代理): one's own mandates, and for who oversees them all of the area. `on`: that hold on this day."""
    return await service.list_mandates(work, paging, on=on)


@router.get("/{mandate_id}", dependencies=[allow(*sorted(service.OVERVIEW))])
async def show_mandate(work: WorkDep, mandate_id: UUID) -> MandateOut:
    """One mandate to act for somebody (代理)."""
    return await service.show(work, mandate_id)


@router.post("/{mandate_id}/endings", status_code=201, dependencies=[allow(*LENDERS)])
async def end_mandate(work: WorkDep, mandate_id: UUID, order: EndingIn) -> MandateOut:
    """End a mandate before its last day (终止代理). It holds no longer from this moment on."""
    return await service.end(work, mandate_id, order)


@engagements.post("", status_code=201, dependencies=[allow(*OPENERS)])
async def open_engagement(work: WorkDep, order: EngagementIn) -> EngagementOut:
    """Open an audit (审计立项): named auditors may read in these divisions, from a first to a last day."""
    return await service.open_engagement(work, order)


@engagements.get("", dependencies=[allow(*READERS)])
async def list_engagements(work: WorkDep, paging: PageDep, on: date | None = None) -> Page[EngagementOut]:
    """Which audits there are (审计项目). `on`: only what is open on this day."""
    return await service.list_engagements(work, paging, on=on)


@engagements.get("/{mandate_id}", dependencies=[allow(*READERS)])
async def show_engagement(work: WorkDep, mandate_id: UUID) -> EngagementOut:
    """One audit (审计项目)."""
    return await service.show_engagement(work, mandate_id)


@engagements.post("/{mandate_id}/endings", status_code=201, dependencies=[allow(*OPENERS)])
async def close_engagement(work: WorkDep, mandate_id: UUID, order: EndingIn) -> EngagementOut:
    """Close an audit before its last day (审计结项). Its auditors read nothing from this moment on."""
    return await service.close_engagement(work, mandate_id, order)
