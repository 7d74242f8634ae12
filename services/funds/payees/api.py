"""Routes of payees: each one call of the service."""

from typing import Annotated

from fastapi import Query

from services.funds.payees import service
from services.funds.payees.schemas import PayeeOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

READERS = (Role.FINANCE, Role.POVERTY_OFFICE, Role.PAYER, Role.RELEASER, Role.AUDITOR, Role.DISCIPLINE)

router = Router(prefix="/funds/v1", tags=["payees"])


@router.get("/payees", dependencies=[allow(*READERS)])
async def list_payees(
    work: WorkDep,
    page: PageDep,
    division: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
    household_no: Annotated[str | None, Query(max_length=32)] = None,
) -> Page[PayeeOut]:
    """The accounts of the caller's area (收款账户), masked."""
    return await service.list_payees(work, page, division=division, household_no=household_no)
