"""Routes of contacts."""

from typing import Any

from fastapi import Request, Response

from services.notify.contacts import service
from services.notify.contacts.domain import Mode
from services.notify.contacts.schemas import ImportOut, RecipientOut
from services.notify.contacts.sheet import CONTACTS
from shared import sheets
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

router = Router(prefix="/notify/v1", tags=["contacts"])


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {XLSX: {}}}}


@router.post("/imports/contacts", status_code=201, dependencies=[allow(*OFFICE)], openapi_extra=_BODY)
async def import_contacts(work: WorkDep, request: Request, mode: Mode = Mode.ALL, dry_run: bool = False) -> ImportOut:
    """Import phones (导入联系方式): XLSX, or CSV in UTF-8 or GB18030. One wrong row and nothing is taken over, unless mode=valid."""
    return await service.import_contacts(work, await request.body(), mode=mode, dry_run=dry_run)


@router.get("/imports/contacts/template", dependencies=[allow(*OFFICE)], responses=_SHEET, response_class=Response)
async def template(_: WorkDep) -> Response:
    """The empty form (模板), as XLSX."""
    return Response(sheets.template([CONTACTS]), media_type=XLSX)


@router.get("/contacts", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE)])
async def list_recipients(work: WorkDep, page: PageDep) -> Page[RecipientOut]:
    """Who holds which post today and how he is reached; numbers are masked."""
    return await service.list_recipients(work, page)


@router.delete("/contacts/{cadre_no}/opt-out", status_code=204, dependencies=[allow(*OFFICE)])
async def opt_in(work: WorkDep, cadre_no: str) -> None:
    """Take an opt-out back at the person's wish (恢复接收)."""
    await service.opt_in(work, cadre_no)
