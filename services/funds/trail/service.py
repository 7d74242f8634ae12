"""Use cases of the trail: down from a fund, up from a household, the proofs, and the gaps."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from services.funds.ledger.domain import book_of
from services.funds.ledger.service import seal_said
from services.funds.projects import service as projects
from services.funds.proofs import service as proofs
from services.funds.proofs.bundle import MAX_ENTRIES
from services.funds.sources import service as sources
from services.funds.trail import domain, downward, store, upward
from services.funds.trail.schemas import (
    Gap,
)
from services.funds.tranches import service as tranches
from shared.errors import NotFound
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.money import yuan
from shared.scope import Area
from shared.work import Glance, Work


class HouseholdUnknown(NotFound):
    code = "household_unknown"


class NothingFromThisFund(NotFound):
    """The project or tranche exists, but no money of this fund is in it."""

    code = "nothing_from_this_fund"


def _after(page: PageQuery) -> str:
    number: str = decode_cursor(page.after, str)[0] if page.after else ""
    return number


async def fund(glance: Glance, source_id: UUID, page: PageQuery) -> bytes:
    """A fund and the projects its money went to: a FundTrail as JSON. Raises SourceUnknown."""
    shown = await sources.look(glance, source_id)
    rows = await downward.projects(
        glance.database, shown["fund_no"], glance.area, after=_after(page), limit=page.limit + 1
    )
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row.project_no))
    return orjson.dumps({"fund": shown, "items": [_project_node(row) for row in rows], "next": following})


async def project(glance: Glance, source_id: UUID, project_id: UUID, page: PageQuery) -> bytes:
    """A fund's money in a project, tranche by tranche: a ProjectTrail as JSON.

    Raises SourceUnknown, ProjectUnknown, NothingFromThisFund.
    """
    fund_no, row, rows = await downward.project(
        glance.database, source_id, project_id, glance.area, after=_after(page), limit=page.limit + 1
    )
    if fund_no is None:
        raise sources.unknown()
    if row is None:
        raise projects.unknown()
    node = _project_node(row)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row.tranche_no))
    items = [row._asdict() for row in rows]
    return orjson.dumps({"fund_no": fund_no, "project": node, "items": items, "next": following})


async def tranche(glance: Glance, source_id: UUID, tranche_id: UUID, page: PageQuery) -> bytes:
    """A fund's money in a tranche, household by household: a TrancheTrail as JSON.

    Raises SourceUnknown, TrancheUnknown, NothingFromThisFund.
    """
    fund_no, row, meant, rows = await downward.tranche(
        glance.database, source_id, tranche_id, glance.area, after=_after(page), limit=page.limit + 1
    )
    if fund_no is None:
        raise sources.unknown()
    if row is None:
        raise tranches.unknown()
    if not meant:
        raise NothingFromThisFund("No money of this fund is in this tranche.")
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row.household_no))
    items = [{**row._asdict(), "amount_yuan": yuan(row.amount_fen)} for row in rows]
    return orjson.dumps({"fund_no": fund_no, "tranche": row._asdict(), "items": items, "next": following})


async def household(glance: Glance, household_no: str, page: PageQuery) -> bytes:
    """What a household was paid, and through which tranche and project out of which fund: a HouseholdTrail as JSON.

    Raises HouseholdUnknown.
    """
    seq, fund_no = decode_cursor(page.after, int, str) if page.after else (0, "")
    found = await upward.find(glance.database, household_no, glance.area, after=(seq, fund_no), limit=page.limit + 1)
    if found is None:
        raise _household_unknown()
    rows, following = page_of(found.payments, page.limit, lambda row: encode_cursor(row.seq, row.fund_no))
    if page.after or following:
        by_fund = await upward.by_fund(glance.database, household_no, glance.area)
    else:
        by_fund = _by_fund(rows)
    paid_fen = sum(fen for _, fen in by_fund)
    return orjson.dumps({
        "amount_fen": paid_fen,
        "household_no": household_no,
        "division": found.division,
        "head_name_masked": found.head_name_masked,
        "people": found.people,
        "by_fund": [{"amount_fen": fen, "fund_no": number, "amount_yuan": yuan(fen)} for number, fen in by_fund],
        "items": [_payment(row, glance.area, found.sealed) for row in rows],
        "next": following,
        "amount_yuan": yuan(paid_fen),
    })  # fmt: skip


async def household_bundle(work: Work, household_no: str) -> bytes:
    """The proofs (zip) of everything a household was paid: payments, holds, allocations, receipts of their funds.

    Raises HouseholdUnknown, NotFound (nothing paid yet, or its entries belong to the county), NotSealedYet.
    """
    found = await _household(work, household_no)
    book = book_of(found["division"])
    payments = await store.payments_of(work.tx, household_no, work.area)
    return await proofs.build_bundle(work, book, await store.chain_seqs(work.tx, book, payments, work.area))


async def fund_bundle(work: Work, source_id: UUID) -> bytes:
    """The proofs (zip) of every entry that moved money of a fund. Raises SourceUnknown, NotSealedYet, TooLarge."""
    shown = await sources.show(work, source_id)
    book = book_of(shown.division)
    seqs = await store.fund_seqs(work.tx, book, shown.fund_no, work.area, MAX_ENTRIES + 1)
    return await proofs.build_bundle(work, book, seqs)


async def gaps(work: Work, page: PageQuery, *, year: int | None) -> Page[Gap]:
    """Where money of the area is not where it should end (资金缺口), by kind and number."""
    kind, number = decode_cursor(page.after, str, str) if page.after else ("", "")
    found = await store.gaps(work.tx, work.area, year=year)
    rows, following = page_of(
        domain.page_of_gaps(found, (kind, number), page.limit + 1), page.limit, lambda gap: encode_cursor(*gap.key)
    )
    return Page(items=[_gap(gap) for gap in rows], next=following)


def _gap(gap: domain.Gap) -> Gap:
    zh, en = domain.TEXTS[gap.kind]
    return Gap.model_validate(
        {
            "kind": gap.kind,
            "number": gap.number,
            "division": gap.division,
            "amount_fen": gap.amount_fen,
            "count": gap.count,
            "zh": zh,
            "en": en,
        }
    )


async def _household(work: Work, household_no: str) -> Mapping[str, Any]:
    found = await store.find_household(work.tx, household_no, work.area)
    if found is None:
        raise _household_unknown()
    return found


def _household_unknown() -> HouseholdUnknown:
    return HouseholdUnknown("There is no such household in your area.")


def _project_node(row: downward.Project) -> dict[str, Any]:
    if row.allocated_fen is None or row.left_fen is None:
        raise NothingFromThisFund("No money of this fund is in this project.")
    return {**row._asdict(), "paid_fen": row.allocated_fen - row.left_fen - row.held_fen}


def _by_fund(payments: Sequence[upward.Payment]) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for row in payments:
        sums[row.fund_no] = sums.get(row.fund_no, 0) + row.amount_fen
    return sorted(sums.items())


def _payment(row: upward.Payment, area: Area, sealed: int) -> dict[str, Any]:
    """A PaymentNode."""
    ours = area.covers(row.division)
    return {
        "amount_fen": row.amount_fen,
        "book": row.book,
        "entry_seq": row.seq,
        "sealed": seal_said(row.book, row.seq, sealed),
        "paid_on": row.paid_on,
        "fund_no": row.fund_no,
        "fund_name": row.fund_name,
        "fund_level": row.fund_level,
        "project_id": row.project_id if ours else None,
        "project_no": row.project_no,
        "project_name": row.project_name,
        "tranche_id": row.tranche_id if ours else None,
        "tranche_no": row.tranche_no,
        "amount_yuan": yuan(row.amount_fen),
    }
