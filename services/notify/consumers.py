"""What notify hears: who holds which post, and what places are called. Both are kept in batches."""

from services.notify.contacts import service as contacts
from shared.consumer import Handler
from shared.events.assessment import CadreAppointed
from shared.events.registry import DivisionRecorded

HANDLERS = (
    Handler(CadreAppointed, batch=contacts.hear_appointments),
    Handler(DivisionRecorded, batch=contacts.hear_divisions),
)
