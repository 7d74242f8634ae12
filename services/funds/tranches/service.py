"""Use cases of tranches: draw up the list, decide on it, hold its money, void or pay it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.funds.approvals import service as approvals
from services.funds.approvals.domain import HOLD, PAYEES, require_alive, require_approved, state
from services.funds.approvals.schemas import DecisionIn, DecisionOut
from services.funds.households import store as households
from services.funds.households.store import PAYABLE, Household
from services.funds.ledger.domain import AlreadyDone, Command, InsufficientFunds, Posted, Posting, book_of, row_digest
from services.funds.orders.service import Money
from services.funds.payees import store as payees
from services.funds.projects import service as projects
from services.funds.projects import store as project_store
from services.funds.projects.domain import subject_of as project_subject
from services.funds.publicity import store as publicity
from services.funds.publicity.domain import NOTICE_BOUND, OBJECTION_BOUND, Notice
from services.funds.tranches import domain, store
from services.funds.tranches.domain import Basis, Claim, Line
from services.funds.tranches.schemas import (
    MAX_HOUSEHOLDS,
    FundPartOut,
    LineOut,
    MovedOut,
    TrancheIn,
    TrancheMoney,
    TrancheNotice,
    TrancheOut,
    VoidIn,
)
from shared.clock import business_date
from shared.errors import FieldError, NotFound, Refusal
from shared.events.funds import TranchePaid
from shared.http import Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.scope import Area
from shared.work import Work


class TrancheUnknown(NotFound):
    code = "tranche_unknown"


class HouseholdsUnknown(Refusal):
    """The list names households that cannot be paid here."""

    code = "households_unknown"


def subject_of(tranche_id: object) -> str:
    """How decisions and notices name a tranche."""
    return f"tranche:{tranche_id}"


async def apply(work: Work, project_id: UUID, order: TrancheIn) -> TrancheOut:
    """Draws up a tranche of an approved project and applies for it (申报): the list stands from now on.

    Shares by largest remainder; each share over the funds in proportion to what the project has left of each.
    Raises ProjectUnknown, NotApproved, TrancheNumberTaken, HouseholdsUnknown, and what `domain.draft` raises.
    """
    project = await projects.load(work, project_id)
    decisions = await approvals.taken(work, project_subject(project_id))
    require_approved(approvals.chain_of(work, project_subject(project_id), project["division"]), decisions)
    shares = (await project_store.shares(work.tx, work.area, [project["project_no"]])).get(project["project_no"], [])
    claims = await _claims(work, order, project["division"])
    left = {share.fund_no: share.left_fen for share in shares}
    draft = await asyncio.to_thread(domain.draft, order.tranche_no, order.amount_fen, claims, left)
    row = {
        "id": new_id(),
        "tranche_no": order.tranche_no,
        "project_id": project_id,
        "project_no": project["project_no"],
        "division": project["division"],
        "basis": order.basis.value,
        "amount_fen": order.amount_fen,
        "households": len(draft.lines),
        "people": draft.people,
        "funds": dict(draft.funds),
        "digest": draft.digest,
        "applied_on": work.today,
        "created_by": work.caller.subject,
        "created_at": work.now,
    }
    if not await store.add(work.tx, row, draft.lines):
        raise domain.TrancheNumberTaken("A tranche has this number already. Use another.")
    await approvals.apply(work, subject_of(row["id"]), project["division"])
    return (await _out(work, [row]))[0]


async def _claims(work: Work, order: TrancheIn, project_division: str) -> list[Claim]:
    """Who is to be paid: payable households of the project's division, by number."""
    where = Area.of([project_division])
    if order.households is None:
        if order.division is not None and not where.covers(order.division):
            raise HouseholdsUnknown("The division lies outside the project's. Name one inside it.")
        within = Area.of([order.division]) if order.division else where
        found: Sequence[Household] = await households.payable_in(work.tx, within, work.area, MAX_HOUSEHOLDS + 1)
        return [_claim(household, order.basis, 0) for household in found]
    known = await households.by_numbers(work.tx, order.households, work.area)
    wrong = [
        number
        for number in order.households
        if number not in known or known[number].status not in PAYABLE or not where.covers(known[number].division)
    ]
    if wrong:
        raise HouseholdsUnknown(
            "Some households are not on the register of the project's division. Take them off the list.",
            errors=[
                FieldError(f"household:{n}", "household_unknown", "Correct its number.")
                for n in wrong[: domain.ERRORS_SHOWN]
            ],
            count=len(wrong),
        )
    weights = order.weights or [0] * len(order.households)
    return [_claim(known[n], order.basis, weight) for n, weight in zip(order.households, weights, strict=True)]


def _claim(household: Household, basis: Basis, weight: int) -> Claim:
    return Claim(
        household.household_no,
        household.division,
        household.head_name_masked,
        household.people,
        domain.weight_of(basis, household.people, weight),
    )


async def decide(work: Work, tranche_id: UUID, order: DecisionIn) -> DecisionOut:
    """Reviews or approves a tranche, by another person than before. Raises what the control chain raises."""
    tranche = await load(work, tranche_id)
    return await approvals.decide(work, subject_of(tranche_id), tranche["division"], order)


async def hold(work: Work, money: Money, tranche_id: UUID) -> MovedOut:
    """Sets the tranche's money aside (预留). Raises AlreadyHeld, Rejected, InsufficientFunds (with `available_fen`)."""
    tranche = await load(work, tranche_id)
    if (first := await money.first(work, tranche["division"])) is not None:
        return _moved(tranche, "hold", first)
    decisions = await approvals.taken(work, subject_of(tranche_id))
    require_alive(decisions)
    postings = domain.hold_postings(tranche["project_no"], tranche["tranche_no"], tranche["division"], tranche["funds"])
    once = store.held_once(tranche["tranche_no"])
    command = _command(work, money, tranche, "hold", once, postings, decided=approvals.said(decisions))
    try:
        return _moved(tranche, "hold", await money.post(work, command))
    except AlreadyDone as done:
        raise domain.AlreadyHeld(
            "Its money is set aside already. Go on to its publicity and payment.", entry_seq=done.facts["seq"]
        ) from None


async def void(work: Work, money: Money, tranche_id: UUID, order: VoidIn) -> MovedOut:
    """Gives the held money back to the project; the tranche will not be paid (撤销). Raises NotHeld, AlreadyPaid, Voided."""
    tranche = await load(work, tranche_id)
    if (first := await money.first(work, tranche["division"])) is not None:
        return _moved(tranche, "hold_voided", first)
    _require_open(tranche, await store.moved(work.tx, book_of(tranche["division"]), [tranche["tranche_no"]]), held=True)
    postings = domain.void_postings(tranche["project_no"], tranche["tranche_no"], tranche["division"], tranche["funds"])
    once = store.voided_once(tranche["tranche_no"])
    command = _command(work, money, tranche, "hold_voided", once, postings, reason=order.reason)
    try:
        return _moved(tranche, "hold_voided", await money.post(work, command))
    except AlreadyDone as done:
        raise _voided(done.facts["seq"]) from None
    except InsufficientFunds:  # the hold was there a moment ago
        raise _already_paid(None) from None


async def pay(work: Work, money: Money, tranche_id: UUID) -> MovedOut:
    """Pays the tranche to its households in one entry (拨付到户), once every condition holds. A refusal is put on record.

    Raises AlreadyPaid, Voided, and what `domain.require_payable` raises.
    """
    tranche = await load(work, tranche_id)
    if (first := await money.first(work, tranche["division"])) is not None:
        return _moved(tranche, "paid", first)
    moved = await store.moved(work.tx, book_of(tranche["division"]), [tranche["tranche_no"]])
    rows = await store.lines(work.tx, tranche_id, work.area)
    lines = [store.as_line(row) for row in rows]
    accounts = await payees.current(work.tx, [line.household_no for line in lines], work.area)
    found = await publicity.notice_of(work.tx, subject_of(tranche_id), work.area)
    notice = publicity.as_notice(found) if found else None
    objections = await publicity.all_objections(work.tx, found["id"], work.area) if found else []
    decisions = await approvals.taken(work, subject_of(tranche_id))
    prepared = await _prepared(work, tranche, lines)

    def compose() -> Command:
        return _command(
            work,
            money,
            tranche,
            "paid",
            store.paid_once(tranche["tranche_no"]),
            domain.payment_postings(tranche["tranche_no"], tranche["division"], tranche["funds"], lines),
            decided=approvals.said(decisions),
            notice=_notice_said(found, objections) if found else None,
            payees=domain.payees_said(lines, accounts),
        )

    command = await asyncio.to_thread(compose)  # thousands of postings take a while
    try:
        _require_open(tranche, moved, held=False)
        domain.require_payable(
            notice=notice,
            today=work.today,
            chain=approvals.chain_of(work, subject_of(tranche_id), tranche["division"]),
            decisions=decisions,
            payer=work.caller,
            division=tranche["division"],
            prepared=prepared,
            held=store.held_once(tranche["tranche_no"]) in moved,
            tranche_no=tranche["tranche_no"],
            listed=tranche["digest"],
            lines=lines,
            payees=accounts,
        )
    except Refusal as refusal:
        raise await money.refuse(work, command, refusal) from None
    event = _paid(work, tranche)
    try:
        posted = await money.post(
            work, command, lambda seq: [work.fact(event(seq), division=tranche["division"], version=seq)]
        )
    except AlreadyDone as done:
        raise await money.refuse(work, command, _already_paid(done.facts["seq"])) from None
    except InsufficientFunds:  # the hold was there a moment ago
        raise _voided(None) from None
    return _moved(tranche, "paid", posted)


async def _prepared(work: Work, tranche: Mapping[str, Any], lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Who set the money aside, and who entered the accounts: (act, actor) pairs."""
    held_by = await store.held_by(work.tx, book_of(tranche["division"]), tranche["tranche_no"])
    entered_by = await payees.entered_by(work.tx, [line.household_no for line in lines], work.area)
    return [*([(HOLD, held_by)] if held_by else []), *((PAYEES, actor) for actor in sorted(entered_by))]


async def show(work: Work, tranche_id: UUID) -> TrancheOut:
    """A tranche: where it stands in its control chain, its publicity and its money."""
    return (await _out(work, [await load(work, tranche_id)]))[0]


async def list_tranches(work: Work, page: PageQuery, *, project_id: UUID | None) -> Page[TrancheOut]:
    """The tranches of the area, by number."""
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.page(work.tx, work.area, project_id=project_id, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["tranche_no"]))
    return Page(items=await _out(work, rows), next=following)


async def list_lines(work: Work, tranche_id: UUID, page: PageQuery) -> Page[LineOut]:
    """The households of a tranche and their shares, in the order of the list."""
    await load(work, tranche_id)
    after = decode_cursor(page.after, Small)[0] if page.after else 0
    rows = await store.lines(work.tx, tranche_id, work.area, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["line"]))
    accounts = await payees.current(work.tx, [row["household_no"] for row in rows], work.area)
    last4 = {number: account.card_last4 for number, account in accounts.items()}
    items = [LineOut.model_validate({**row, "payee_last4": last4.get(row["household_no"])}) for row in rows]
    return Page(items=items, next=following)


async def load(work: Work, tranche_id: UUID) -> dict[str, Any]:
    """The row of a tranche of the area. Raises TrancheUnknown."""
    if found := await store.find(work.tx, tranche_id, work.area):
        return found
    raise unknown()


def unknown() -> TrancheUnknown:
    return TrancheUnknown("There is no such tranche in your area.")


def _require_open(tranche: Mapping[str, Any], moved: Mapping[str, int], *, held: bool) -> None:
    """Neither paid nor voided yet, and held when that is needed. Raises AlreadyPaid, Voided, NotHeld."""
    number = tranche["tranche_no"]
    if (seq := moved.get(store.paid_once(number))) is not None:
        raise _already_paid(seq)
    if (seq := moved.get(store.voided_once(number))) is not None:
        raise _voided(seq)
    if held and store.held_once(number) not in moved:
        raise domain.NotHeld("Its money is not set aside, so there is nothing to give back. Apply for a new tranche.")


def _already_paid(seq: int | None) -> domain.AlreadyPaid:
    return domain.AlreadyPaid("This tranche is paid. Look at its entry instead of paying again.", entry_seq=seq)


def _voided(seq: int | None) -> domain.Voided:
    return domain.Voided("This tranche was voided. Apply for a new one.", entry_seq=seq)


def _command(
    work: Work,
    money: Money,
    tranche: Mapping[str, Any],
    kind: str,
    once: str,
    postings: Sequence[Posting],
    *,
    decided: Sequence[Mapping[str, Any]] = (),
    notice: Mapping[str, Any] | None = None,
    **details: Any,
) -> Command:
    """The entry of one act on a tranche. It binds the list by its digest and says everything shown to people about it."""
    return money.command(
        work,
        kind=kind,
        division=tranche["division"],
        postings=postings,
        memo=f"{tranche['project_no']} {tranche['tranche_no']} {kind}",
        once=once,
        approvals=decided,
        notice=notice,
        details={
            "project_no": tranche["project_no"],
            "tranche_no": tranche["tranche_no"],
            "basis": tranche["basis"],
            "amount_fen": tranche["amount_fen"],
            "households": tranche["households"],
            "people": tranche["people"],
            "list_digest": tranche["digest"],
            **details,
        },
    )


def _notice_said(row: dict[str, Any], objections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    notice = publicity.as_notice(row)
    return {
        "id": str(notice.id),
        "posted_on": notice.posted_on.isoformat(),
        "days": notice.days,
        "ends_on": notice.ends_on.isoformat(),
        "digest": notice.digest,
        "open_objections": notice.open_objections,
        "record": row_digest(row, NOTICE_BOUND),
        "objections": [row_digest(objection, OBJECTION_BOUND) for objection in objections],
    }


def _paid(work: Work, tranche: Mapping[str, Any]) -> Callable[[int], TranchePaid]:
    def event(seq: int) -> TranchePaid:
        return TranchePaid(
            project_id=tranche["project_id"],
            project_no=tranche["project_no"],
            tranche_id=tranche["id"],
            division=tranche["division"],
            amount_fen=tranche["amount_fen"],
            households=tranche["households"],
            paid_on=work.today,
            entry_seq=seq,
        )

    return event


def _moved(tranche: Mapping[str, Any], kind: str, posted: Posted) -> MovedOut:
    return MovedOut(
        tranche_id=tranche["id"],
        tranche_no=tranche["tranche_no"],
        kind=kind,
        amount_fen=tranche["amount_fen"],
        households=tranche["households"],
        on=business_date(posted.recorded_at),
        entry_seq=posted.seq,
    )


async def _out(work: Work, rows: Sequence[dict[str, Any]]) -> list[TrancheOut]:
    subjects = [subject_of(row["id"]) for row in rows]
    shown = await approvals.shown(work, subjects)
    notices = await publicity.notices_of(work.tx, subjects, work.area)
    moved = await moved_of(work, rows)
    items = []
    for row, subject in zip(rows, subjects, strict=True):
        chain, taken = approvals.chain_of(work, subject, row["division"]), approvals.as_decisions(shown[subject])
        money = moved[row["tranche_no"]]
        settled = "paid" if money.paid_seq else "voided" if money.voided_seq else None
        extra = {
            "funds": [FundPartOut(fund_no=fund_no, amount_fen=fen) for fund_no, fen in sorted(row["funds"].items())],
            "state": settled or state(chain, taken),
            "next": None if settled else approvals.next_of(chain, taken),
            "decisions": shown[subject],
            "notice": _notice_out(publicity.as_notice(notices[subject]), work) if subject in notices else None,
            "money": money,
        }
        items.append(TrancheOut.model_validate({**row, **extra}))
    return items


async def moved_of(work: Work, rows: Sequence[Mapping[str, Any]]) -> dict[str, TrancheMoney]:
    """Tranche number → the entries that held, paid or voided it. Ask it for tranches already found in the area."""
    by_book: dict[str, list[str]] = {}
    for row in rows:
        by_book.setdefault(book_of(row["division"]), []).append(row["tranche_no"])
    seqs: dict[str, int] = {}
    for book, numbers in by_book.items():
        seqs |= await store.moved(work.tx, book, numbers)
    return {
        row["tranche_no"]: TrancheMoney(
            held_seq=seqs.get(store.held_once(row["tranche_no"])),
            paid_seq=seqs.get(store.paid_once(row["tranche_no"])),
            voided_seq=seqs.get(store.voided_once(row["tranche_no"])),
        )
        for row in rows
    }


def _notice_out(notice: Notice, work: Work) -> TrancheNotice:
    return TrancheNotice(
        id=notice.id,
        posted_on=notice.posted_on,
        ends_on=notice.ends_on,
        days_left=notice.days_left(work.today),
        open_objections=notice.open_objections,
        upheld_objections=notice.upheld_objections,
    )
