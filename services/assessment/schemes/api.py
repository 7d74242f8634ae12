"""Routes of schemes and weights."""

from typing import Annotated

from fastapi import Query, Response

from services.assessment.periods.domain import PERIOD_PATTERN
from services.assessment.schemes import service
from services.assessment.schemes.schemas import SchemesOut, WeightIn, WeightOut
from shared.http import MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
READERS = (*OFFICE, Role.COUNTY_LEADER, Role.SUPERVISOR, Role.AUDITOR, Role.DISCIPLINE, Role.DEPARTMENT_CHIEF)

router = Router(prefix="/assessment/v1", tags=["schemes"])


@router.get("/schemes", dependencies=[allow(*READERS)])
async def show(
    work: WorkDep,
    division: Annotated[str, Query(pattern=r"^\d{12}$")],
    period: Annotated[str, Query(pattern=PERIOD_PATTERN)],
) -> SchemesOut:
    """The schemes and grades of a county in a period (考核方案), and where they are written."""
    return service.show(work, division, period)


@router.post("/annual-weights", status_code=201, dependencies=[allow(*OFFICE)])
async def enter_weight(work: WorkDep, order: WeightIn, match: MatchDep, response: Response) -> WeightOut:
    """Enter the weight of poverty work in a year's assessment (考核权重). A changed one needs If-Match."""
    weight = await service.enter_weight(work, order, match)
    response.headers["etag"] = etag(weight.version)
    return weight


@router.get("/annual-weights", dependencies=[allow(*READERS)])
async def list_weights(
    work: WorkDep, page: PageDep, year: Annotated[int | None, Query(ge=2014, le=2100)] = None
) -> Page[WeightOut]:
    """The weights of the counties of the area (考核权重), by county and year."""
    return await service.list_weights(work, page, year=year)
