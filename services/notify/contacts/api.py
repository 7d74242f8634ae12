"""Routes of contacts. Phones come in through the import (`imports.py`)."""

from services.notify.contacts import service
from services.notify.contacts.schemas import RecipientOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

OFFICE = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE)

router = Router(prefix="/notify/v1", tags=["contacts"])


@router.get("/contacts", dependencies=[allow(*OFFICE, Role.TOWN_OFFICE)])
async def list_recipients(work: WorkDep, page: PageDep) -> Page[RecipientOut]:
    """Who holds which post today and how he is reached (收信人); numbers are masked."""
    return await service.list_recipients(work, page)


@router.delete("/contacts/{cadre_no}/opt-out", status_code=204, dependencies=[allow(*OFFICE)])
async def opt_in(work: WorkDep, cadre_no: str) -> None:
    """Take an opt-out back at the person's wish (恢复接收)."""
    await service.opt_in(work, cadre_no)
