"""What a simulated phone shows."""

from services.notify.contacts import store as contacts
from services.notify.contacts.service import PHONE, open_phone
from services.notify.phones import store
from services.notify.phones.schemas import MessageOut
from shared.errors import NotFound
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.pii import forms
from shared.work import Work


async def show(work: Work, cadre_no: str, page: PageQuery) -> Page[MessageOut]:
    """The messages on a cadre's phone, oldest first. Raises NotFound when he has none in the caller's area."""
    phone = (await contacts.phones_of(work.tx, [cadre_no], work.area)).get(cadre_no)
    if phone is None:
        raise NotFound("There is no phone of this cadre in your area.")
    after = decode_cursor(page.after, int)[0] if page.after else 0
    number = open_phone(work, phone)
    indexes = forms([work.vault.blind(number, kind=PHONE)]) if number else {phone.phone_index: ""}
    rows = await store.of_phone(work.tx, indexes, after=after, limit=page.limit + 1)
    shown, following = page_of(rows, page.limit, lambda row: encode_cursor(row[0]))
    items = [MessageOut(text=text, parts=parts, received_at=at) for _, text, parts, at in shown]
    return Page(items=items, next=following)
