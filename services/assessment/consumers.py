"""What assessment hears: all of it is kept, in batches, as evidence or as what is known of the register."""

from services.assessment.facts import service as facts
from services.assessment.register import service as register
from shared import mandates
from shared.consumer import Handler
from shared.events.funds import FundAllocated, TranchePaid
from shared.events.notify import ReportMissed, ReportReceived
from shared.events.registry import (
    DivisionRecorded,
    HouseholdExited,
    HouseholdIdentified,
    HouseholdRecorded,
    VisitRecorded,
)

HANDLERS: tuple[Handler, ...] = (
    Handler(DivisionRecorded, batch=register.hear_divisions),
    Handler(HouseholdRecorded, batch=register.hear_households),
    Handler(HouseholdIdentified, batch=facts.hear_cases),
    Handler(HouseholdExited, batch=facts.hear_cases),
    Handler(VisitRecorded, batch=facts.hear_visits),
    Handler(FundAllocated, batch=facts.hear_allocations),
    Handler(TranchePaid, batch=facts.hear_payments),
    Handler(ReportReceived, batch=facts.hear_reports),
    Handler(ReportMissed, batch=facts.hear_missed_reports),
    mandates.HANDLER,
)
