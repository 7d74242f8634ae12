"""Routes of cases: each one call of the service."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from services.registry.cases import service
from services.registry.cases.domain import CaseState
from services.registry.cases.procedure import CaseKind
from services.registry.cases.schemas import (
    CaseIn,
    CaseItem,
    CaseOut,
    DecisionIn,
    NoticeIn,
    NoticeOut,
    ObjectionIn,
    ObjectionOut,
    ObjectionReplyIn,
)
from shared.http import MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

router = Router(prefix="/registry/v1/cases", tags=["cases"])

ACTORS = (
    Role.VILLAGE_SECRETARY,
    Role.VILLAGE_CLERK,
    Role.FIRST_SECRETARY,
    Role.TEAM_MEMBER,
    Role.PAIRED_CADRE,
    Role.TOWN_OFFICE,
    Role.POVERTY_OFFICE,
    Role.STATISTICS,
    Role.REVIEWER,
    Role.APPROVER,
)
"""Who may be an actor of a step; which of them a step asks for stands in the pack, and the machine holds everybody to it."""

READERS = (
    *ACTORS,
    Role.COUNTY_ADMIN,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.DISCIPLINE,
    Role.TOWN_CHIEF,
    Role.COUNTY_LEADER,
    Role.LIAISON,
    Role.VILLAGE_COUNCIL,
    Role.BACKEND,
)

OBJECTORS = (
    *ACTORS,
    Role.LIAISON,
    Role.VILLAGE_COUNCIL,
    Role.SUPERVISOR,
    Role.DISCIPLINE,
    Role.COUNTY_ADMIN,
    Role.BACKEND,
)
"""Who may record an objection: of the villagers who speak to them, or their own."""

Division = Annotated[str | None, Query(pattern=r"^\d{12}$")]


@router.post("", status_code=201, dependencies=[allow(*ACTORS)])
async def open_case(work: WorkDep, order: CaseIn, response: Response) -> CaseOut:
    """Opens a case (立案): identification (识别) of a candidate, or exit (退出) of a registered household."""
    case = await service.open_case(work, order)
    response.headers["etag"] = etag(case.version)
    return case


@router.get("", dependencies=[allow(*READERS)])
async def list_cases(
    work: WorkDep,
    page: PageDep,
    kind: CaseKind | None = None,
    state: CaseState | None = None,
    division: Division = None,
    household_id: UUID | None = None,
) -> Page[CaseItem]:
    """The cases of the caller's area (个案), by case number."""
    return await service.list_cases(work, page, kind=kind, state=state, division=division, household_id=household_id)


@router.get("/{case_id}", dependencies=[allow(*READERS)])
async def show_case(work: WorkDep, case_id: UUID, response: Response) -> CaseOut:
    """A case (个案): its steps, what it waits for, by whom, and how many days are left."""
    case = await service.show_case(work, case_id)
    response.headers["etag"] = etag(case.version)
    return case


@router.post("/{case_id}/decisions", status_code=201, dependencies=[allow(*ACTORS)])
async def decide(work: WorkDep, case_id: UUID, order: DecisionIn, match: MatchDep, response: Response) -> CaseOut:
    """Passes or rejects the step that waits (评议、审核、认定). Needs If-Match."""
    case = await service.decide(work, case_id, order, match)
    response.headers["etag"] = etag(case.version)
    return case


@router.post("/{case_id}/notices", status_code=201, dependencies=[allow(*ACTORS)])
async def post_notice(work: WorkDep, case_id: UUID, order: NoticeIn, match: MatchDep) -> NoticeOut:
    """Posts the notice of a publicity (公示) or announcement (公告). The day of posting is day 0. Needs If-Match."""
    return await service.post_notice(work, case_id, order, match)


@router.get("/{case_id}/notices", dependencies=[allow(*READERS)])
async def list_notices(work: WorkDep, case_id: UUID) -> list[NoticeOut]:
    """The notices of a case (公示、公告) as they hung on the board."""
    return await service.list_notices(work, case_id)


@router.post("/{case_id}/objections", status_code=201, dependencies=[allow(*OBJECTORS)])
async def object_to(work: WorkDep, case_id: UUID, order: ObjectionIn) -> ObjectionOut:
    """Records an objection (异议) to what stands on the board."""
    return await service.object_to(work, case_id, order)


@router.post("/{case_id}/objections/{ref}/answers", status_code=201, dependencies=[allow(*ACTORS)])
async def answer_objection(
    work: WorkDep, case_id: UUID, ref: Annotated[int, Path(ge=1, le=10_000)], order: ObjectionReplyIn
) -> ObjectionOut:
    """Answers an objection (异议答复): by another person than the one who raised it."""
    return await service.answer_objection(work, case_id, ref, order)
