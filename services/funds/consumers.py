"""What funds hears. Each function runs once per event, in one transaction with its effect."""

from services.funds.households import service as households
from shared.consumer import Handler
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded, HouseholdExited, HouseholdIdentified, HouseholdRecorded
from shared.work import Work


async def on_division_recorded(work: Work, event: DivisionRecorded, envelope: Envelope) -> None:
    await households.record_division(work, event, envelope)


async def on_household_recorded(work: Work, event: HouseholdRecorded, envelope: Envelope) -> None:
    await households.record(work, event, envelope)


async def on_household_identified(work: Work, event: HouseholdIdentified, envelope: Envelope) -> None:
    await households.identified(work, event, envelope)


async def on_household_exited(work: Work, event: HouseholdExited, envelope: Envelope) -> None:
    await households.exited(work, event, envelope)


HANDLERS = (
    Handler(DivisionRecorded, on_division_recorded),
    Handler(HouseholdRecorded, on_household_recorded),
    Handler(HouseholdIdentified, on_household_identified),
    Handler(HouseholdExited, on_household_exited),
)
