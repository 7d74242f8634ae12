"""What assessment hears, and what each event does."""

from services.assessment.facts import service as facts
from services.assessment.register import service as register
from shared.consumer import Handler
from shared.events.base import Envelope
from shared.events.funds import FundAllocated, TranchePaid
from shared.events.notify import ReportMissed, ReportReceived
from shared.events.registry import (
    DivisionRecorded,
    HouseholdExited,
    HouseholdIdentified,
    HouseholdRecorded,
    VisitRecorded,
)
from shared.work import Work


async def on_division_recorded(work: Work, event: DivisionRecorded, envelope: Envelope) -> None:
    await register.hear_division(work, event, envelope)


async def on_household_recorded(work: Work, event: HouseholdRecorded, envelope: Envelope) -> None:
    await register.hear_household(work, event, envelope)


async def on_household_identified(work: Work, event: HouseholdIdentified, envelope: Envelope) -> None:
    await facts.hear_case(work, event, envelope)


async def on_household_exited(work: Work, event: HouseholdExited, envelope: Envelope) -> None:
    await facts.hear_case(work, event, envelope)


async def on_visit_recorded(work: Work, event: VisitRecorded, envelope: Envelope) -> None:
    await facts.hear_visit(work, event, envelope)


async def on_fund_allocated(work: Work, event: FundAllocated, envelope: Envelope) -> None:
    await facts.hear_allocation(work, event, envelope)


async def on_tranche_paid(work: Work, event: TranchePaid, envelope: Envelope) -> None:
    await facts.hear_payment(work, event, envelope)


async def on_report_received(work: Work, event: ReportReceived, envelope: Envelope) -> None:
    await facts.hear_report(work, event, envelope)


async def on_report_missed(work: Work, event: ReportMissed, envelope: Envelope) -> None:
    await facts.hear_missed_report(work, event, envelope)


HANDLERS: tuple[Handler, ...] = (
    Handler(DivisionRecorded, on_division_recorded),
    Handler(HouseholdRecorded, on_household_recorded),
    Handler(HouseholdIdentified, on_household_identified),
    Handler(HouseholdExited, on_household_exited),
    Handler(VisitRecorded, on_visit_recorded),
    Handler(FundAllocated, on_fund_allocated),
    Handler(TranchePaid, on_tranche_paid),
    Handler(ReportReceived, on_report_received),
    Handler(ReportMissed, on_report_missed),
)
