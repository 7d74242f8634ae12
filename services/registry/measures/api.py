"""Routes of measures: each one call of the service."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from services.registry.measures import service
from services.registry.measures.schemas import EndIn, MeasureIn, MeasureOut
from shared.http import MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

router = Router(prefix="/registry/v1/measures", tags=["measures"])

WRITERS = (Role.POVERTY_OFFICE, Role.TOWN_OFFICE, Role.COUNTY_ADMIN)
READERS = (
    *WRITERS,
    Role.STATISTICS,
    Role.LIAISON,
    Role.VILLAGE_SECRETARY,
    Role.VILLAGE_CLERK,
    Role.VILLAGE_COUNCIL,
    Role.FIRST_SECRETARY,
    Role.TEAM_MEMBER,
    Role.PAIRED_CADRE,
    Role.SUPERVISOR,
    Role.AUDITOR,
    Role.DISCIPLINE,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.DEPARTMENT_CHIEF,
    Role.BACKEND,
)

Word = Annotated[str | None, Query(min_length=1, max_length=40)]


@router.post("", status_code=201, dependencies=[allow(*WRITERS)])
async def give_measure(work: WorkDep, order: MeasureIn, response: Response) -> MeasureOut:
    """Gives a household a measure (落实帮扶措施) of the county's catalogue."""
    measure = await service.give_measure(work, order)
    response.headers["etag"] = etag(measure.version)
    return measure


@router.get("", dependencies=[allow(*READERS)])
async def list_measures(
    work: WorkDep,
    page: PageDep,
    household_id: UUID | None = None,
    pathway: Word = None,
    scope: Word = None,
    year: Annotated[int | None, Query(ge=1900, le=2100)] = None,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
) -> Page[MeasureOut]:
    """The measures of the caller's area (帮扶措施) by household number, ended ones included."""
    return await service.list_measures(
        work, page, household_id=household_id, pathway=pathway, scope=scope, year=year, division=division
    )


@router.get("/{measure_id}", dependencies=[allow(*READERS)])
async def show_measure(work: WorkDep, measure_id: UUID, response: Response) -> MeasureOut:
    """One measure (帮扶措施)."""
    measure = await service.show_measure(work, measure_id)
    response.headers["etag"] = etag(measure.version)
    return measure


@router.post("/{measure_id}/end", dependencies=[allow(*WRITERS)])
async def end_measure(work: WorkDep, measure_id: UUID, order: EndIn, match: MatchDep, response: Response) -> MeasureOut:
    """Takes a measure away (措施终止). From that day on it is not counted. Needs If-Match."""
    measure = await service.end_measure(work, measure_id, order, match)
    response.headers["etag"] = etag(measure.version)
    return measure
