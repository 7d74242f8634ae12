"""Routes of tranches: each one call of the service."""

from uuid import UUID

from services.funds.approvals.schemas import DecisionIn, DecisionOut
from services.funds.orders.api import MoneyDep
from services.funds.projects.api import DECIDERS, READERS
from services.funds.tranches import service
from services.funds.tranches.schemas import LineOut, MovedOut, TrancheIn, TrancheOut, VoidIn
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

router = Router(prefix="/funds/v1", tags=["tranches"])
money_router = Router(prefix="/funds/v1/tranches", tags=["tranches"], money=True)


@router.post("/projects/{project_id}/tranches", status_code=201, dependencies=[allow(Role.APPLICANT)])
async def apply_for_tranche(work: WorkDep, project_id: UUID, order: TrancheIn) -> TrancheOut:
    """Draw up a tranche's list and apply for it (拨付申请)."""
    return await service.apply(work, project_id, order)


@router.get("/tranches", dependencies=[allow(*READERS)])
async def list_tranches(work: WorkDep, page: PageDep, project_id: UUID | None = None) -> Page[TrancheOut]:
    """The tranches of the caller's area (拨付批次), by number."""
    return await service.list_tranches(work, page, project_id=project_id)


@router.get("/tranches/{tranche_id}", dependencies=[allow(*READERS)])
async def show_tranche(work: WorkDep, tranche_id: UUID) -> TrancheOut:
    """A tranche (拨付批次): its decisions, its publicity, its money."""
    return await service.show(work, tranche_id)


@router.get("/tranches/{tranche_id}/lines", dependencies=[allow(*READERS)])
async def list_lines(work: WorkDep, page: PageDep, tranche_id: UUID) -> Page[LineOut]:
    """The households of a tranche (拨付名单) and their shares."""
    return await service.list_lines(work, tranche_id, page)


@router.post("/tranches/{tranche_id}/decisions", status_code=201, dependencies=[allow(*DECIDERS, Role.RELEASER)])
async def decide(work: WorkDep, tranche_id: UUID, order: DecisionIn) -> DecisionOut:
    """Review, approve or release a tranche (审核、审批、放行)."""
    return await service.decide(work, tranche_id, order)


@money_router.post("/{tranche_id}/holds", status_code=201, dependencies=[allow(Role.FINANCE)])
async def hold(work: WorkDep, money: MoneyDep, tranche_id: UUID) -> MovedOut:
    """Set a tranche's money aside (预留资金)."""
    return await service.hold(work, money, tranche_id)


@money_router.post("/{tranche_id}/voids", status_code=201, dependencies=[allow(Role.FINANCE)])
async def void(work: WorkDep, money: MoneyDep, tranche_id: UUID, order: VoidIn) -> MovedOut:
    """Give a tranche's held money back to its project (撤销)."""
    return await service.void(work, money, tranche_id, order)


@money_router.post("/{tranche_id}/payments", status_code=201, dependencies=[allow(Role.PAYER, Role.COUNTY_ADMIN)])
async def pay(work: WorkDep, money: MoneyDep, tranche_id: UUID) -> MovedOut:
    """Pay a tranche to its households (拨付到户). No condition bends for anybody."""
    return await service.pay(work, money, tranche_id)
