"""What notify hears: who holds which post, and what places are called."""

from services.notify.contacts import service as contacts
from shared.consumer import Handler
from shared.events.assessment import CadreAppointed
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.work import Work


async def on_cadre_appointed(work: Work, event: CadreAppointed, _: Envelope) -> None:
    await contacts.hear_appointment(work, event)


async def on_division_recorded(work: Work, event: DivisionRecorded, _: Envelope) -> None:
    await contacts.hear_division(work, event)


HANDLERS = (Handler(CadreAppointed, on_cadre_appointed), Handler(DivisionRecorded, on_division_recorded))
