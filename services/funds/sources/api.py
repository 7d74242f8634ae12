"""Routes of funds: each one call of the service."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Query, Response

from services.funds.orders.api import MoneyDep
from services.funds.sources import service
from services.funds.sources.domain import FundLevel
from services.funds.sources.schemas import ReceiptIn, ReceiptOut, SourceIn, SourceOut
from shared.http import GlanceDep, Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

READERS = (
    Role.FINANCE,
    Role.POVERTY_OFFICE,
    Role.APPLICANT,
    Role.REVIEWER,
    Role.APPROVER,
    Role.PAYER,
    Role.RELEASER,
    Role.AUDITOR,
    Role.DISCIPLINE,
    Role.SUPERVISOR,
    Role.COUNTY_LEADER,
    Role.COUNTY_ADMIN,
)

router = Router(prefix="/funds/v1/sources", tags=["sources"])
money_router = Router(prefix="/funds/v1/sources", tags=["sources"], money=True)


@router.post("", status_code=201, dependencies=[allow(Role.FINANCE)])
async def register_source(work: WorkDep, order: SourceIn) -> SourceOut:
    """Register a fund (资金来源)."""
    return await service.register(work, order)


@router.get("", dependencies=[allow(*READERS)])
async def list_sources(
    work: WorkDep,
    page: PageDep,
    year: Annotated[int | None, Query(ge=2000, le=2100)] = None,
    level: FundLevel | None = None,
) -> Page[SourceOut]:
    """The funds (资金来源) of the caller's area, by number."""
    return await service.list_sources(work, page, year=year, level=level)


@router.get("/{source_id}", dependencies=[allow(*READERS)], response_model=SourceOut)
async def show_source(glance: GlanceDep, source_id: UUID) -> Response:
    """A fund (资金来源) with what it received, allocated, paid and has left."""
    return Response(orjson.dumps(await service.look(glance, source_id)), media_type="application/json")


@money_router.post("/{source_id}/receipts", status_code=201, dependencies=[allow(Role.FINANCE)])
async def receive(glance: GlanceDep, money: MoneyDep, source_id: UUID, order: ReceiptIn) -> ReceiptOut:
    """Enter money that arrived in a fund (资金到账)."""
    return await service.receive(glance, money, source_id, order)
