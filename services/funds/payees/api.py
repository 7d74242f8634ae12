"""Routes of payees: each one call of the service."""

from typing import Annotated

from fastapi import Query, Request, Response

from services.funds.payees import service
from services.funds.payees.schemas import ImportOut, Mode, PayeeOut
from services.funds.payees.sheet import PAYEES
from shared import sheets
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

KEEPERS = (Role.FINANCE, Role.POVERTY_OFFICE)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

router = Router(prefix="/funds/v1", tags=["payees"])


@router.post("/imports/payees", dependencies=[allow(*KEEPERS)])
async def import_payees(
    work: WorkDep, request: Request, mode: Annotated[Mode, Query()] = "all", dry_run: Annotated[bool, Query()] = False
) -> ImportOut:
    """Import accounts (导入收款账户): the file itself is the body, XLSX or CSV."""
    return await service.import_payees(work, await request.body(), mode=mode, dry_run=dry_run)


@router.get("/imports/payees/template", dependencies=[allow(*KEEPERS)])
async def template(_: WorkDep) -> Response:
    """An empty sheet to fill in."""
    return Response(sheets.template([PAYEES]), media_type=XLSX)


@router.get("/payees", dependencies=[allow(*KEEPERS, Role.PAYER, Role.AUDITOR, Role.DISCIPLINE)])
async def list_payees(
    work: WorkDep,
    page: PageDep,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    household_no: Annotated[str | None, Query(max_length=32)] = None,
) -> Page[PayeeOut]:
    """The accounts of the caller's area, masked."""
    return await service.list_payees(work, page, division=division, household_no=household_no)
