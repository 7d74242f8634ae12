"""Routes of prompts."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from services.notify.outbound import service
from services.notify.outbound.domain import State
from services.notify.outbound.schemas import DecisionIn, PromptOut, ReceiptIn
from services.notify.weeks.domain import WEEK_PATTERN, Campaign
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)

router = Router(prefix="/notify/v1", tags=["prompts"])


@router.get("/prompts", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE, Role.SUPERVISOR)])
async def list_prompts(
    work: WorkDep,
    page: PageDep,
    week: Annotated[str | None, Query(pattern=WEEK_PATTERN)] = None,
    campaign: Annotated[Campaign | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
) -> Page[PromptOut]:
    """Prompts (短信提示) with their state and the reason of every one that was not sent."""
    return await service.list_prompts(work, page, week=week, campaign=campaign, state=state)


@router.get("/prompts/{prompt_id}", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE, Role.SUPERVISOR)])
async def show(work: WorkDep, prompt_id: UUID) -> PromptOut:
    """One prompt (短信提示)."""
    return await service.show(work, prompt_id)


@router.post("/prompts/{prompt_id}/decisions", status_code=201, dependencies=[allow(*OFFICE)])
async def decide(work: WorkDep, prompt_id: UUID, order: DecisionIn) -> PromptOut:
    """Decide on a prompt that is unknown or failed: send it again, or give it up (人工处理)."""
    return await service.decide(work, prompt_id, order.decision)


@router.post("/receipts", status_code=204, dependencies=[allow(Role.BACKEND)])
async def receive_receipt(work: WorkDep, receipt: ReceiptIn) -> None:
    """A gateway's receipt (回执). It may come twice and in any order."""
    await service.receive_receipt(work, receipt.message_id, receipt.type)
