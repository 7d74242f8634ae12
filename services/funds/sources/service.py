"""Use cases of funds: register one, receive money, show where it is."""

from datetime import date
from typing import Any
from uuid import UUID

from services.funds.ledger.domain import AlreadyDone, Posted
from services.funds.orders.service import Money
from services.funds.sources import domain, store
from services.funds.sources.schemas import FIGURES, FundFigures, ReceiptIn, ReceiptOut, SourceIn, SourceOut
from shared.errors import FieldError, Malformed, NotFound
from shared.events.funds import FundReceived
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.money import yuan
from shared.work import Glance, Work


class SourceUnknown(NotFound):
    code = "source_unknown"


class DivisionUnknown(NotFound):
    code = "division_unknown"


def require_division(work: Work, division: str) -> None:
    """The caller may enter things of this division: it lies in his area, in a county. Raises DivisionUnknown, Malformed."""
    if not work.area.covers(division):
        raise DivisionUnknown("There is no such division in your area.")
    if not domain.below_county(division):
        raise Malformed(
            "Name a county or a division in it: each county has its own book.",
            errors=[FieldError("division", "not_in_a_county", "Give the 12 digits of a county, town or village.")],
        )


async def register(work: Work, order: SourceIn) -> SourceOut:
    """Registers a fund (资金). Raises FundNumberTaken, DivisionUnknown."""
    require_division(work, order.division)
    row = {**order.model_dump(), "level": order.level.value, "id": new_id()}
    if not await store.add(work.tx, {**row, "created_by": work.caller.subject, "created_at": work.now}):
        raise domain.FundNumberTaken("A fund has this number already. Use another.")
    return _out(row, domain.Figures())


async def receive(glance: Glance, money: Money, source_id: UUID, order: ReceiptIn) -> ReceiptOut:
    """Money arrives in a fund (资金到账). A voucher counts once.

    No gate before the ledger can change its mind, so a repeated request is left to the ledger to answer again.
    Raises SourceUnknown, VoucherEntered; 422 for a receipt of the future.
    """
    source = await store.remembered(glance.database, source_id, glance.area)
    if source is None:
        raise unknown()
    require_not_future(glance, order.received_on, "received_on")
    command = money.command(
        glance,
        kind="received",
        division=source["division"],
        postings=domain.receipt_postings(source["fund_no"], source["division"], order.amount_fen),
        memo=f"{source['name']} 到账 received",
        once=f"receipt:{source['fund_no']}:{order.voucher_no}",
        details={
            "fund_no": source["fund_no"],
            "fund_name": source["name"],
            "level": source["level"],
            "document_no": source["document_no"],
            "voucher_no": order.voucher_no,
            "received_on": order.received_on.isoformat(),
        },
    )
    try:
        posted = await money.post(
            glance,
            command,
            lambda seq: [glance.fact(_event(source, order, seq), division=source["division"], version=seq)],
        )
    except AlreadyDone as done:
        raise domain.VoucherEntered(
            "This voucher was entered before. Look at its entry, or correct the number.", **done.facts
        ) from None
    return _receipt(source, order, posted)


def require_not_future(work: Work | Glance, day: date, field: str) -> None:
    """Raises Malformed when a date of something that happened lies after today."""
    if day > work.today:
        raise Malformed(
            "A date of what happened is not after today.",
            errors=[FieldError(field, "in_the_future", "Correct the date.")],
        )


async def look(glance: Glance, source_id: UUID) -> dict[str, Any]:
    """A fund and where its money is, as SourceOut says it. Raises SourceUnknown."""
    found = await store.look_up(glance.database, source_id, glance.area)
    if found is None:
        raise unknown()
    source, figures = found
    fen = {name: getattr(figures, f"{name}_fen") for name in FIGURES}
    shown = {f"{name}_fen": amount for name, amount in fen.items()}
    figures_said = {**shown, "yuan": {name: yuan(amount) for name, amount in fen.items()}}
    return {"id": source_id, **source, "figures": figures_said}


async def show(work: Work, source_id: UUID) -> SourceOut:
    """A fund and where its money is."""
    source = await _load(work, source_id)
    return _out(source, (await store.figures(work.tx, work.area, [source["fund_no"]]))[source["fund_no"]])


async def list_sources(
    work: Work, page: PageQuery, *, year: int | None, level: domain.FundLevel | None
) -> Page[SourceOut]:
    """The funds of the area, by number."""
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.page(
        work.tx, work.area, year=year, level=level.value if level else None, after=after, limit=page.limit + 1
    )
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["fund_no"]))
    figures = await store.figures(work.tx, work.area, [row["fund_no"] for row in rows])
    return Page(items=[_out(row, figures[row["fund_no"]]) for row in rows], next=following)


async def _load(work: Work, source_id: UUID) -> dict[str, Any]:
    if found := await store.find(work.tx, source_id, work.area):
        return found
    raise unknown()


def unknown() -> SourceUnknown:
    return SourceUnknown("There is no such fund in your area.")


def _event(source: dict[str, Any], order: ReceiptIn, seq: int) -> FundReceived:
    return FundReceived(
        fund_id=source["id"],
        fund_no=source["fund_no"],
        level=source["level"],
        division=source["division"],
        amount_fen=order.amount_fen,
        received_on=order.received_on,
        entry_seq=seq,
    )


def _receipt(source: dict[str, Any], order: ReceiptIn, posted: Posted) -> ReceiptOut:
    return ReceiptOut(source_id=source["id"], fund_no=source["fund_no"], **order.model_dump(), entry_seq=posted.seq)


def figures_out(figures: domain.Figures) -> FundFigures:
    return FundFigures(**{name: getattr(figures, name) for name in FundFigures.model_fields})


def _out(row: dict[str, Any], figures: domain.Figures) -> SourceOut:
    return SourceOut.model_validate({**row, "figures": figures_out(figures)})
