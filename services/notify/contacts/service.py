"""Use cases of contacts: hear posts and places, seal phones, show who is reached how."""

from collections.abc import Sequence
from datetime import date

from services.notify.contacts import store
from services.notify.contacts.domain import Appointment
from services.notify.contacts.schemas import RecipientOut
from services.notify.contacts.store import Phone
from shared.errors import NotFound
from shared.events.assessment import CadreAppointed
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.pii import mask_phone
from shared.scope import Level, at_level
from shared.work import Work

PHONE = "phone"
"""Kind of the blind index."""

_COLUMN = "contact.phone"


async def hear_appointments(work: Work, heard: Sequence[tuple[CadreAppointed, Envelope]]) -> None:
    """A cadre holds a post, or left it: he is prompted, or no longer. From the first one on, campaigns are owed to his county."""
    appointments = [
        Appointment(
            cadre_no=event.cadre_no,
            post=event.post.value,
            unit=event.unit,
            division=event.division,
            county=at_level(event.division, Level.COUNTY) or event.division,
            since=event.since,
            until=event.until,
        )
        for event, _ in heard
    ]
    await store.keep_appointments(work.tx, appointments)
    await store.watch(work.tx, {appointment.county for appointment in appointments}, since=work.now)


async def hear_divisions(work: Work, heard: Sequence[tuple[DivisionRecorded, Envelope]]) -> None:
    await store.keep_places(work.tx, [{"code": event.code, "name": event.name} for event, _ in heard])


def seal_phone(work: Work, cadre_no: str, phone: str, *, index: str, language: str) -> Phone:
    """A number as it is stored."""
    sealed = work.vault.seal(phone, column=_COLUMN, row=cadre_no)
    return Phone(cadre_no, sealed, index, mask_phone(phone), language)


def open_phone(work: Work, phone: Phone) -> str | None:
    """The number itself, for the gateway only; None when its key is lost."""
    return work.vault.open_if_here(phone.phone_sealed, column=_COLUMN, row=phone.cadre_no)


async def list_recipients(work: Work, page: PageQuery) -> Page[RecipientOut]:
    """Who holds which post today, and how he is reached."""
    after = tuple(decode_cursor(page.after, str, str, str, date)) if page.after else None
    rows = await store.list_recipients(work.tx, work.area, day=work.today, after=after, limit=page.limit + 1)
    items, following = page_of(
        [RecipientOut.model_validate(row, extra="ignore") for row in rows],
        page.limit,
        lambda r: encode_cursor(r.cadre_no, r.post, r.unit, r.since),
    )
    return Page(items=items, next=following)


async def opt_in(work: Work, cadre_no: str) -> None:
    """Takes an opt-out back at the person's wish (恢复接收). Raises NotFound when there is none in the area."""
    if not await store.opt_in(work.tx, cadre_no, work.area):
        raise NotFound("Nobody of this number in your area has opted out.")
