"""Routes of the directory. Cadres come in through the import (`imports.py`)."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.assessment.directory import service
from services.assessment.directory.domain import PostKind
from services.assessment.directory.schemas import CadreOut, EndingIn, PostIn
from shared.http import MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
READERS = (
    *OFFICE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.DEPARTMENT_CHIEF,
    Role.SUPERVISOR,
    Role.DISCIPLINE,
    Role.BACKEND,
)

router = Router(prefix="/assessment/v1", tags=["directory"])


@router.get("/cadres", dependencies=[allow(*READERS)])
async def list_cadres(
    work: WorkDep,
    page: PageDep,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    post: Annotated[PostKind | None, Query()] = None,
    on: Annotated[date | None, Query(description="only posts held on this day")] = None,
) -> Page[CadreOut]:
    """Who holds or held a post in the area (干部名录); names are masked."""
    return await service.list_cadres(work, page, division=division, post=post, on=on)


@router.get("/cadres/{cadre_no}", dependencies=[allow(*READERS)])
async def show(work: WorkDep, cadre_no: str, response: Response) -> CadreOut:
    """One cadre (干部名录)."""
    return _tagged(await service.show(work, cadre_no), response)


@router.post("/cadres/{cadre_no}/posts", status_code=201, dependencies=[allow(*OFFICE)])
async def appoint(work: WorkDep, cadre_no: str, order: PostIn, match: MatchDep, response: Response) -> CadreOut:
    """A cadre takes a further post (任职). Needs If-Match."""
    return _tagged(await service.appoint(work, cadre_no, order, match), response)


@router.post("/cadres/{cadre_no}/posts/{post_id}/endings", status_code=201, dependencies=[allow(*OFFICE)])
async def end_post(
    work: WorkDep, cadre_no: str, post_id: UUID, order: EndingIn, match: MatchDep, response: Response
) -> CadreOut:
    """A cadre leaves a post (离任). Needs If-Match."""
    return _tagged(await service.end_post(work, cadre_no, post_id, order, match), response)


def _tagged(cadre: CadreOut, response: Response) -> CadreOut:
    response.headers["etag"] = etag(cadre.version)
    return cadre
