"""Routes of contacts."""

from typing import Annotated

from fastapi import Query, Request, Response

from services.notify.contacts import service
from services.notify.contacts.schemas import ImportOut, RecipientOut
from services.notify.contacts.service import Mode
from services.notify.contacts.sheet import CONTACTS
from shared import sheets
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

router = Router(prefix="/notify/v1", tags=["contacts"])


@router.post("/imports/contacts", dependencies=[allow(*OFFICE)])
async def import_contacts(
    work: WorkDep, request: Request, mode: Annotated[Mode, Query()] = "all", dry_run: Annotated[bool, Query()] = False
) -> ImportOut:
    """Import phones (导入联系方式): the file itself is the body, XLSX or CSV."""
    return await service.import_contacts(work, await request.body(), mode=mode, dry_run=dry_run)


@router.get("/imports/contacts/template", dependencies=[allow(*OFFICE)])
async def template(_: WorkDep) -> Response:
    """An empty sheet to fill in."""
    return Response(sheets.template([CONTACTS]), media_type=XLSX)


@router.get("/contacts", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE)])
async def list_recipients(work: WorkDep, page: PageDep) -> Page[RecipientOut]:
    """Who holds which post today and how he is reached; numbers are masked."""
    return await service.list_recipients(work, page)


@router.delete("/contacts/{cadre_no}/opt-out", status_code=204, dependencies=[allow(*OFFICE)])
async def opt_in(work: WorkDep, cadre_no: str) -> None:
    """Take an opt-out back at the person's wish (恢复接收)."""
    await service.opt_in(work, cadre_no)
