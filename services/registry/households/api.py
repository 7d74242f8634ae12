"""Routes of households."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime

from services.registry.households import erasure, service
from services.registry.households.domain import Status
from services.registry.households.schemas import (
    Changes,
    ErasureIn,
    HistoryEntry,
    HouseholdBrief,
    HouseholdOut,
    HouseholdPatch,
    MemberAdd,
    MemberPatch,
    PastHousehold,
    Unmasked,
    UnmaskIn,
)
from shared.http import GlanceDep, MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

router = Router(prefix="/registry/v1/households", tags=["households"])

READERS = (
    Role.COUNTY_ADMIN,
    Role.POVERTY_OFFICE,
    Role.STATISTICS,
    Role.AUDITOR,
    Role.DISCIPLINE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.LIAISON,
    Role.VILLAGE_SECRETARY,
    Role.VILLAGE_CLERK,
    Role.FIRST_SECRETARY,
    Role.TEAM_MEMBER,
    Role.PAIRED_CADRE,
    Role.SUPERVISOR,
    Role.BACKEND,
    Role.PRIVACY,
)
WRITERS = (Role.STATISTICS, Role.TOWN_OFFICE, Role.VILLAGE_CLERK)
"""Registration is the statistics bureau's (REG-006); towns and villages keep their own files (REG-005, REG-008)."""


@router.get("", dependencies=[allow(*READERS)])
async def list_households(
    work: WorkDep,
    paging: PageDep,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    status: Status | None = None,
    household_no: Annotated[str | None, Query(max_length=32)] = None,
) -> Page[HouseholdBrief]:
    """Households of the caller's area (贫困户), by number."""
    return await service.list_households(work, paging, division=division, status=status, household_no=household_no)


@router.get("/changes", dependencies=[allow(*READERS)])
async def list_changes(work: WorkDep, paging: PageDep) -> Changes:
    """What changed since the cursor (增量同步): in order, tombstones included. For backends of mobile apps."""
    return await service.list_changes(work, paging)


@router.get("/{household_id}", dependencies=[allow(*READERS)], response_model=HouseholdOut)
async def show_household(glance: GlanceDep, household_id: UUID) -> Response:
    """The file of a household with its people (户档案)."""
    version, body = await service.show(glance, household_id)
    return Response(body, headers={"etag": etag(version)}, media_type="application/json")


@router.get("/{household_id}/as-of", dependencies=[allow(*READERS)])
async def show_past(
    work: WorkDep, household_id: UUID, valid_on: date | None = None, known_at: AwareDatetime | None = None
) -> PastHousehold:
    """The file as it was on a day, as far as it was known at an instant (历史查询). Both default to now."""
    return await service.show_past(work, household_id, valid_on=valid_on, known_at=known_at)


@router.get("/{household_id}/history", dependencies=[allow(*READERS)])
async def show_history(work: WorkDep, household_id: UUID, paging: PageDep) -> Page[HistoryEntry]:
    """Who changed what, when, why and from which day on (变更记录)."""
    return await service.show_history(work, household_id, paging)


@router.patch("/{household_id}", dependencies=[allow(*WRITERS)])
async def change_household(
    work: WorkDep, household_id: UUID, order: HouseholdPatch, match: MatchDep, response: Response
) -> HouseholdOut:
    """Change the file (动态调整). Needs If-Match. The status changes through procedures alone."""
    household = await service.change(work, household_id, order, match)
    response.headers["etag"] = etag(household.version)
    return household


@router.post("/{household_id}/members", status_code=201, dependencies=[allow(*WRITERS)])
async def add_member(
    work: WorkDep, household_id: UUID, order: MemberAdd, match: MatchDep, response: Response
) -> HouseholdOut:
    """A person joins the household (人员增加). Needs the household's ETag in If-Match."""
    household = await service.add_member(work, household_id, order, match)
    response.headers["etag"] = etag(household.version)
    return household


@router.patch("/{household_id}/members/{member_id}", dependencies=[allow(*WRITERS)])
async def change_member(
    work: WorkDep, household_id: UUID, member_id: UUID, order: MemberPatch, match: MatchDep, response: Response
) -> HouseholdOut:
    """Change a person's data, or end the membership (人员变更). Needs the household's ETag in If-Match."""
    household = await service.change_member(work, household_id, member_id, order, match)
    response.headers["etag"] = etag(household.version)
    return household


@router.post("/{household_id}/members/{member_id}/unmask", dependencies=[allow(Role.PRIVACY)])
async def unmask(work: WorkDep, household_id: UUID, member_id: UUID, order: UnmaskIn, response: Response) -> Unmasked:
    """See a person's ID number in full (查看明文). Who, when and why is put on record."""
    response.headers["cache-control"] = "no-store"
    return await service.unmask(work, household_id, member_id, order.reason)


@router.post("/{household_id}/members/{member_id}/erasure", status_code=201, dependencies=[allow(Role.PRIVACY)])
async def erase(
    work: WorkDep, household_id: UUID, member_id: UUID, order: ErasureIn, response: Response
) -> HouseholdOut:
    """Erase what is personal of somebody who left the household (删除个人信息). It cannot be undone; that it was done stays on record."""
    household = await erasure.erase(work, household_id, member_id, order.reason)
    response.headers["etag"] = etag(household.version)
    return household
