"""Routes of publicity: each one call of the service."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.funds.publicity import service
from services.funds.publicity.schemas import (
    SUBJECT,
    AnswerIn,
    LineOut,
    NoticeIn,
    NoticeOut,
    ObjectionIn,
    ObjectionOut,
    ObjectionWords,
)
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

POSTERS = (
    Role.POVERTY_OFFICE,
    Role.FINANCE,
    Role.TOWN_OFFICE,
    Role.VILLAGE_SECRETARY,
    Role.VILLAGE_CLERK,
    Role.APPLICANT,
)
ANSWERERS = (Role.POVERTY_OFFICE, Role.FINANCE, Role.TOWN_OFFICE, Role.DISCIPLINE)
OBJECTION_READERS = (
    *ANSWERERS,
    Role.VILLAGE_COUNCIL,
    Role.AUDITOR,
    Role.SUPERVISOR,
    Role.APPROVER,
    Role.PAYER,
    Role.RELEASER,
    Role.COUNTY_ADMIN,
)
EVERYBODY = tuple(Role)
OBJECTORS = tuple(role for role in Role if role is not Role.AUDITOR)
"""What hangs on the board is for all who have a token; what objections say is not."""

router = Router(prefix="/funds/v1/notices", tags=["publicity"])


@router.post("", status_code=201, dependencies=[allow(*POSTERS)])
async def post_notice(work: WorkDep, order: NoticeIn) -> NoticeOut:
    """Post a notice (公示) of a project's allocation or a tranche's list; today is day 0."""
    return await service.post_notice(work, order)


@router.get("", dependencies=[allow(*EVERYBODY)])
async def list_notices(
    work: WorkDep, page: PageDep, subject: Annotated[str | None, Query(pattern=SUBJECT)] = None
) -> Page[NoticeOut]:
    """The notices of the caller's area (公示)."""
    return await service.list_notices(work, page, subject=subject)


@router.get("/{notice_id}", dependencies=[allow(*EVERYBODY)])
async def show_notice(work: WorkDep, notice_id: UUID) -> NoticeOut:
    """A notice (公示) and the days it has left."""
    return await service.show_notice(work, notice_id)


@router.get("/{notice_id}/lines", dependencies=[allow(*EVERYBODY)])
async def list_lines(work: WorkDep, page: PageDep, notice_id: UUID) -> Page[LineOut]:
    """The published payment list (公示名单), names masked."""
    return await service.list_lines(work, notice_id, page)


@router.post("/{notice_id}/objections", status_code=201, dependencies=[allow(*OBJECTORS)])
async def raise_objection(work: WorkDep, notice_id: UUID, order: ObjectionIn) -> ObjectionOut:
    """Object to what a notice says (异议), for oneself or for a villager."""
    return await service.raise_objection(work, notice_id, order)


@router.get("/{notice_id}/objections", dependencies=[allow(*OBJECTION_READERS)])
async def list_objections(work: WorkDep, page: PageDep, notice_id: UUID) -> Page[ObjectionWords]:
    """The objections to a notice (异议) and their answers, in the order raised."""
    return await service.list_objections(work, notice_id, page)


@router.post("/{notice_id}/objections/{objection_id}/answers", status_code=201, dependencies=[allow(*ANSWERERS)])
async def answer_objection(work: WorkDep, notice_id: UUID, objection_id: UUID, order: AnswerIn) -> ObjectionOut:
    """Answer an objection (异议处理): by another person than who raised it."""
    return await service.answer_objection(work, notice_id, objection_id, order)
