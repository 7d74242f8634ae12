"""What funds hears: all of it for a projection, in batches. One transaction holds a batch and its effect."""

from services.funds.households import service as households
from shared import mandates
from shared.consumer import Handler
from shared.events.registry import DivisionRecorded, HouseholdExited, HouseholdIdentified, HouseholdRecorded

HANDLERS = (
    Handler(DivisionRecorded, batch=households.record_divisions),
    Handler(HouseholdRecorded, batch=households.record),
    Handler(HouseholdIdentified, batch=households.identified),
    Handler(HouseholdExited, batch=households.exited),
    mandates.HANDLER,
)
