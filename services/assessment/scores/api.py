"""Routes of scores."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from services.assessment.periods.domain import PERIOD_PATTERN
from services.assessment.schemes.domain import Kind
from services.assessment.scores import service
from services.assessment.scores.schemas import AppealIn, ConfirmationIn, Explanation, RunIn, RunOut, ScoreItem
from shared.http import MAX_INT, MatchDep, Page, PageDep, Router, WorkDep, allow, etag
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
DECIDERS = (Role.POVERTY_OFFICE, Role.COUNTY_LEADER)
CADRES = (Role.FIRST_SECRETARY, Role.PAIRED_CADRE)
READERS = (*OFFICE, Role.COUNTY_LEADER, *service.ANSWERABLE, *CADRES, Role.SUPERVISOR, Role.AUDITOR, Role.DISCIPLINE)

Subject = Annotated[str, Path(max_length=64, description="town:<division code> or cadre:<number>")]
Period = Annotated[str, Query(pattern=PERIOD_PATTERN)]

router = Router(prefix="/assessment/v1/scores", tags=["scores"])


@router.post("/runs", status_code=201, dependencies=[allow(*OFFICE)])
async def run(work: WorkDep, order: RunIn) -> RunOut:
    """Score a county for a period now (计分). The clock-driven job does the same every night."""
    return await service.run(work, order)


@router.get("/runs", dependencies=[allow(*READERS)])
async def list_runs(
    work: WorkDep, page: PageDep, period: Annotated[str | None, Query(pattern=PERIOD_PATTERN)] = None
) -> Page[RunOut]:
    """The runs of the counties of the area (计分记录)."""
    return await service.list_runs(work, page, period=period)


@router.get("/runs/{run_id}/changes", dependencies=[allow(*READERS)])
async def list_changes(work: WorkDep, run_id: UUID, page: PageDep) -> Page[ScoreItem]:
    """Exactly the scores that a run changed (得分变动)."""
    return await service.list_changes(work, run_id, page)


@router.get("", dependencies=[allow(*READERS)])
async def list_scores(
    work: WorkDep,
    page: PageDep,
    period: Period,
    kind: Annotated[Kind | None, Query()] = None,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
) -> Page[ScoreItem]:
    """The scores of a period (考核得分), of towns and cadres in the area."""
    return await service.list_scores(work, page, period=period, kind=kind, division=division)


@router.get("/{subject}/explanation", dependencies=[allow(*READERS)])
async def explain(
    work: WorkDep,
    subject: Subject,
    period: Period,
    response: Response,
    version: Annotated[int | None, Query(ge=1, le=MAX_INT, description="an earlier version")] = None,
) -> Explanation:
    """A score down to the events it is made of (得分说明)."""
    return _tagged(await service.explain(work, subject, period, version=version), response)


@router.post("/{subject}/appeals", status_code=201, dependencies=[allow(*service.ANSWERABLE, own=CADRES)])
async def appeal(work: WorkDep, subject: Subject, order: AppealIn, match: MatchDep, response: Response) -> Explanation:
    """Object to a score (申诉), a cadre to his own. Needs If-Match."""
    return _tagged(await service.appeal(work, subject, order, match), response)


@router.post("/{subject}/confirmations", status_code=201, dependencies=[allow(*DECIDERS)])
async def confirm(
    work: WorkDep, subject: Subject, order: ConfirmationIn, match: MatchDep, response: Response
) -> Explanation:
    """Confirm a score, and answer an appeal (确认). Needs If-Match."""
    return _tagged(await service.confirm(work, subject, order, match), response)


def _tagged(score: Explanation, response: Response) -> Explanation:
    response.headers["etag"] = etag(score.version)
    return score
