"""Routes of briefs."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.notify.briefs import service
from services.notify.briefs.schemas import BriefChange, BriefIn, BriefOut
from services.notify.weeks.domain import WEEK_PATTERN
from shared.http import MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)

router = Router(prefix="/notify/v1/briefs", tags=["briefs"])


@router.post("", status_code=201, dependencies=[allow(*OFFICE)])
async def enter(work: WorkDep, order: BriefIn, response: Response) -> BriefOut:
    """Enter the key tasks of a week (本周重点工作)."""
    return _tagged(await service.enter(work, order), response)


@router.get("", dependencies=[allow(*OFFICE, Role.SUPERVISOR)])
async def list_briefs(
    work: WorkDep, page: PageDep, week: Annotated[str | None, Query(pattern=WEEK_PATTERN)] = None
) -> Page[BriefOut]:
    """Briefs (本周重点工作), by week and county."""
    return await service.list_briefs(work, page, week=week)


@router.get("/{brief_id}", dependencies=[allow(*OFFICE, Role.SUPERVISOR)])
async def show(work: WorkDep, brief_id: UUID, response: Response) -> BriefOut:
    """One brief (本周重点工作), with the message as it will be sent."""
    return _tagged(await service.show(work, brief_id), response)


@router.put("/{brief_id}", dependencies=[allow(*OFFICE)])
async def correct(work: WorkDep, brief_id: UUID, change: BriefChange, match: MatchDep, response: Response) -> BriefOut:
    """Correct the tasks (更正重点工作), while no prompt carries them yet."""
    return _tagged(await service.correct(work, brief_id, change, match), response)


def _tagged(brief: BriefOut, response: Response) -> BriefOut:
    response.headers["etag"] = etag(brief.version)
    return brief
