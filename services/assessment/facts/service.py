"""Use cases of evidence: hear what happened, show it, withdraw it."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.assessment.facts import store
from services.assessment.facts.domain import AlreadyWithdrawn, Counts, Fact, require_withdrawer, what
from services.assessment.facts.schemas import AffectedOut, EffectOut, FactOut, WithdrawalIn, WithdrawalOut
from services.assessment.periods.domain import month_of, month_of_week
from services.assessment.register import store as register
from services.assessment.scores import service as scores
from shared.consumer import NotYet
from shared.errors import NotFound
from shared.events.base import Envelope
from shared.events.funds import FundAllocated, TranchePaid
from shared.events.notify import ReportMissed, ReportReceived
from shared.events.registry import HouseholdExited, HouseholdIdentified, VisitRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.scope import Area
from shared.work import Work


async def hear_visits(work: Work, heard: Sequence[tuple[VisitRecorded, Envelope]]) -> None:
    """A visit (走访) counts for its household, of its town and its cadre. Raises NotYet before its household was heard of."""
    numbers = await register.household_numbers(work.tx, [event.household_id for event, _ in heard])
    found = []
    for event, envelope in heard:
        if (household_no := numbers.get(event.household_id)) is None:
            raise NotYet
        fact = _fact(envelope, event.division, household_no, event.visited_on, Counts.DONE, cadre_no=event.cadre_no)
        found.append(fact)
    await store.add(work.tx, found)


async def hear_cases(work: Work, heard: Sequence[tuple[HouseholdIdentified | HouseholdExited, Envelope]]) -> None:
    """A household was identified (识别) or exited (脱贫退出)."""
    await store.add(
        work.tx,
        [_fact(envelope, e.division, e.household_no, e.decided_on, Counts.DONE) for e, envelope in heard],
    )


async def hear_allocations(work: Work, heard: Sequence[tuple[FundAllocated, Envelope]]) -> None:
    """Allocated money (资金分配) is due to be paid."""
    await store.add(
        work.tx,
        [
            _fact(envelope, e.division, e.project_no, e.allocated_on, Counts.DUE, quantity=e.amount_fen)
            for e, envelope in heard
        ],
    )


async def hear_payments(work: Work, heard: Sequence[tuple[TranchePaid, Envelope]]) -> None:
    """Money was paid to households (资金拨付到户)."""
    await store.add(
        work.tx,
        [
            _fact(envelope, e.division, e.project_no, e.paid_on, Counts.DONE, quantity=e.amount_fen)
            for e, envelope in heard
        ],
    )


async def hear_reports(work: Work, heard: Sequence[tuple[ReportReceived, Envelope]]) -> None:
    """A weekly report (每周报告). A late one is no more than due. Source: NTF-003, NTF-004."""
    await store.add(
        work.tx,
        [
            _week_fact(envelope, event, event.received_on, Counts.DONE if event.on_time else Counts.DUE)
            for event, envelope in heard
        ],
    )


async def hear_missed_reports(work: Work, heard: Sequence[tuple[ReportMissed, Envelope]]) -> None:
    await store.add(work.tx, [_week_fact(envelope, event, event.due_on, Counts.DUE) for event, envelope in heard])


async def list_facts(
    work: Work, page: PageQuery, *, division: str | None, type: str | None, cadre_no: str | None, period: str | None
) -> Page[FactOut]:
    """What was heard, in order of business date."""
    rows = await store.page(
        work.tx,
        work.area,
        within=Area.of([division]) if division else None,
        type=type,
        cadre_no=cadre_no,
        period=period,
        after=tuple(decode_cursor(page.after, date, UUID)) if page.after else None,
        limit=page.limit + 1,
    )
    items, following = page_of(
        [_out(row) for row in rows], page.limit, lambda fact: encode_cursor(fact.on, fact.event_id)
    )
    return Page(items=items, next=following)


async def show(work: Work, event_id: UUID) -> FactOut:
    """One fact. Raises NotFound."""
    return _out(await _load(work, event_id))


async def affected(work: Work, event_id: UUID) -> AffectedOut:
    """What taking this fact away would change; it changes nothing yet. Raises NotFound."""
    return AffectedOut(event_id=event_id, affected=await _effects(work, await _load(work, event_id)))


async def withdraw(work: Work, event_id: UUID, order: WithdrawalIn) -> WithdrawalOut:
    """Takes a fact away (撤销依据): it stays on record and counts no more from the next run on.

    Raises NotFound, SamePerson, AlreadyWithdrawn.
    """
    row = await _load(work, event_id)
    require_withdrawer(row["cadre_no"], work.caller.subject)
    effects = await _effects(work, row)
    if not await store.withdraw(work.tx, event_id, reason=order.reason, actor=work.caller.subject, at=work.now):
        raise AlreadyWithdrawn("This fact was withdrawn before and counts no more; there is nothing to do.")
    return WithdrawalOut(fact=await show(work, event_id), affected=effects)


async def _effects(work: Work, row: Any) -> list[EffectOut]:
    effects = await scores.effects_of(work, store.as_fact(row))
    return [
        EffectOut(subject=e.subject, period=e.period, score_milli=e.milli, score_milli_without=e.milli_without)
        for e in effects
    ]


def _week_fact(envelope: Envelope, event: ReportReceived | ReportMissed, on: date, counts: Counts) -> Fact:
    unit, period = f"{event.cadre_no} {event.week}", month_of_week(event.week)
    return _fact(envelope, event.division, unit, on, counts, cadre_no=event.cadre_no, period=period)


def _fact(
    envelope: Envelope,
    division: str,
    unit: str,
    on: date,
    counts: Counts,
    *,
    cadre_no: str | None = None,
    quantity: int = 1,
    period: str | None = None,
) -> Fact:
    return Fact(
        event_id=envelope.id,
        type=envelope.type,
        division=division,
        unit=unit,
        on=on,
        period=period or month_of(on),
        counts=counts,
        quantity=quantity,
        at=envelope.time,
        cadre_no=cadre_no,
    )


async def _load(work: Work, event_id: UUID) -> Any:
    row = await store.find(work.tx, event_id, work.area)
    if row is None:
        raise NotFound("There is no such fact in your area.")
    return row


def _out(row: Any) -> FactOut:
    zh, en = what(row["type"], row["unit"])
    return FactOut.model_validate({**row, "what": zh, "what_en": en}, extra="ignore")
