"""Routes of weeks."""

from typing import Annotated

from fastapi import Path, Query

from services.notify.weeks import service
from services.notify.weeks.domain import WEEK_PATTERN
from services.notify.weeks.schemas import WeekOut, WeekRecipientOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

READERS = (
    Role.COUNTY_ADMIN,
    Role.POVERTY_OFFICE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.SUPERVISOR,
)

Week = Annotated[str, Path(pattern=WEEK_PATTERN)]

router = Router(prefix="/notify/v1/weeks", tags=["weeks"])


@router.get("/{week}", dependencies=[allow(*READERS)])
async def show(work: WorkDep, week: Week) -> WeekOut:
    """How a week went (每周汇总): due, sent, replied, on time, reminded, missing, and a reason for every prompt not sent."""
    return await service.show(work, week)


@router.get("/{week}/recipients", dependencies=[allow(*READERS)])
async def list_people(
    work: WorkDep, week: Week, page: PageDep, reported: Annotated[bool | None, Query()] = None
) -> Page[WeekRecipientOut]:
    """The week person by person (每周名单); `reported=false` lists who is missing."""
    return await service.list_people(work, week, page, reported=reported)
