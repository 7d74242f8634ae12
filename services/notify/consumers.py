"""What notify hears: who holds which post, what places are called (both kept in batches), what was paid to households, and mandates."""

from services.notify.contacts import service as contacts
from services.notify.payments import service as payments
from shared import mandates
from shared.consumer import Handler
from shared.events.assessment import CadreAppointed
from shared.events.funds import TranchePaid
from shared.events.registry import DivisionRecorded

HANDLERS = (
    Handler(CadreAppointed, batch=contacts.hear_appointments),
    Handler(DivisionRecorded, batch=contacts.hear_divisions),
    Handler(TranchePaid, run=payments.hear_paid),
    mandates.HANDLER,
)
