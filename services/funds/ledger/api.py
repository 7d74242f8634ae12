"""Routes of the ledger, for those who check it."""

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import Field

from services.funds.ledger import service
from services.funds.ledger.schemas import EntryDetail, EntryOut
from services.funds.ledger.writer import Writer
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role

router = Router(prefix="/funds/v1/entries", tags=["ledger"])

CHECKING = (Role.AUDITOR, Role.FINANCE, Role.DISCIPLINE, Role.COUNTY_ADMIN)
CHECKERS = allow(*CHECKING)

BookQuery = Annotated[
    str | None, Query(pattern=r"^\d{6}$", description="county code; needed when your area has several books")
]

MAX_SEQ = 2**53 - 1

Seq = Annotated[int, Field(ge=1, le=MAX_SEQ, description="number of an entry in its book")]


def _writer(request: Request) -> Writer:
    writer: Writer = request.app.state.ledger
    return writer


LedgerDep = Annotated[Writer, Depends(_writer)]
"""The ledger writer of this process, for money routes."""


@router.get("", dependencies=[CHECKERS])
async def list_entries(
    work: WorkDep,
    page: PageDep,
    book: BookQuery = None,
    kind: Annotated[str | None, Query(max_length=32)] = None,
    account: Annotated[str | None, Query(max_length=200, description="kind/owner/fund, e.g. project/P-1/F-1")] = None,
) -> Page[EntryOut]:
    """Entries (分录) of a book in order, also those of one account."""
    return await service.list_entries(work, page, book=book, kind=kind, account=account)


@router.get("/{seq}", dependencies=[CHECKERS])
async def show_entry(work: WorkDep, seq: Seq, book: BookQuery = None) -> EntryDetail:
    """One entry (分录) with its postings, approvals, notice, and where it is sealed."""
    return await service.show_entry(work, seq, book=book)
