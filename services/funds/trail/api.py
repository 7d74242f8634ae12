"""Routes of the trail: each one call of the service."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from services.funds.ledger.api import CHECKERS
from services.funds.proofs.api import as_zip
from services.funds.trail import service
from services.funds.trail.schemas import FundTrail, Gap, HouseholdTrail, ProjectTrail, TrancheTrail
from shared.http import GlanceDep, Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

WATCHERS = allow(
    Role.AUDITOR,
    Role.FINANCE,
    Role.DISCIPLINE,
    Role.COUNTY_ADMIN,
    Role.POVERTY_OFFICE,
    Role.SUPERVISOR,
    Role.COUNTY_LEADER,
    Role.TOWN_CHIEF,
    Role.TOWN_OFFICE,
    Role.LIAISON,
    Role.VILLAGE_COUNCIL,
)
HouseholdNo = Annotated[str, Path(min_length=1, max_length=32)]

router = Router(prefix="/funds/v1/trail", tags=["trail"])


@router.get("/funds/{source_id}", dependencies=[WATCHERS], response_model=FundTrail)
async def trail_of_fund(glance: GlanceDep, page: PageDep, source_id: UUID) -> Response:
    """From a fund to its projects (追溯)."""
    return _json(await service.fund(glance, source_id, page))


@router.get("/funds/{source_id}/projects/{project_id}", dependencies=[WATCHERS], response_model=ProjectTrail)
async def trail_of_project(glance: GlanceDep, page: PageDep, source_id: UUID, project_id: UUID) -> Response:
    """From a project to its tranches (追溯), one fund's money."""
    return _json(await service.project(glance, source_id, project_id, page))


@router.get("/funds/{source_id}/tranches/{tranche_id}", dependencies=[WATCHERS], response_model=TrancheTrail)
async def trail_of_tranche(glance: GlanceDep, page: PageDep, source_id: UUID, tranche_id: UUID) -> Response:
    """From a tranche to its households (追溯), one fund's money."""
    return _json(await service.tranche(glance, source_id, tranche_id, page))


@router.get("/funds/{source_id}/bundle", dependencies=[CHECKERS], response_class=Response)
async def bundle_of_fund(work: WorkDep, source_id: UUID) -> Response:
    """The proofs of every entry of a fund (存证包): check with `daohu verify bundle.zip --key funds.vkey`."""
    return as_zip(await service.fund_bundle(work, source_id))


@router.get("/households/{household_no}", dependencies=[WATCHERS], response_model=HouseholdTrail)
async def trail_of_household(glance: GlanceDep, page: PageDep, household_no: HouseholdNo) -> Response:
    """From a household up to the funds it was paid from (追溯)."""
    return _json(await service.household(glance, household_no, page))


@router.get("/households/{household_no}/bundle", dependencies=[CHECKERS], response_class=Response)
async def bundle_of_household(work: WorkDep, household_no: HouseholdNo) -> Response:
    """The proofs of what a household was paid (存证包), up to the receipts of the funds."""
    return as_zip(await service.household_bundle(work, household_no))


@router.get("/gaps", dependencies=[WATCHERS])
async def list_gaps(
    work: WorkDep, page: PageDep, year: Annotated[int | None, Query(ge=2000, le=2100)] = None
) -> Page[Gap]:
    """Money that is not where it should end (资金缺口)."""
    return await service.gaps(work, page, year=year)


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
