"""Use cases of contacts: hear posts and places, import phones, show who is reached how."""

from datetime import date
from typing import Literal

from services.notify.contacts import store
from services.notify.contacts.domain import Appointment
from services.notify.contacts.schemas import ImportOut, RecipientOut, RowProblem
from services.notify.contacts.sheet import CONTACTS
from services.notify.contacts.store import Phone
from services.notify.outbound.text import Language
from shared import sheets
from shared.errors import NotFound, Refusal
from shared.events.assessment import CadreAppointed
from shared.events.registry import DivisionRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.pii import mask_phone
from shared.scope import EVERYWHERE, Level, at_level
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work

MAX_ERRORS = 100
"""Row errors in one answer."""

PHONE = "phone"
"""Kind of the blind index."""

Mode = Literal["all", "valid"]


class FileHasErrors(Refusal):
    """A file with wrong rows changes nothing unless the good ones are asked for."""

    code = "file_has_errors"


async def hear_appointment(work: Work, event: CadreAppointed) -> None:
    """A cadre holds a post, or left it: he is prompted, or no longer. From the first one on, campaigns are owed to his county."""
    county = at_level(event.division, Level.COUNTY) or event.division
    appointment = Appointment(
        event.cadre_no, event.post.value, event.unit, event.division, county, since=event.since, until=event.until
    )
    await store.keep_appointment(work.tx, appointment)
    await store.watch(work.tx, county, since=work.now)


async def hear_division(work: Work, event: DivisionRecorded) -> None:
    await store.keep_place(work.tx, event.code, event.name)


async def import_contacts(work: Work, data: bytes, *, mode: Mode, dry_run: bool) -> ImportOut:
    """Enters the phones of a file. With `mode="all"` a file with wrong rows changes nothing.

    Raises WrongFile, FileTooLarge (the file as a whole), FileHasErrors (409, with the errors by row and column).
    """
    checked = sheets.check(sheets.read(data, CONTACTS))
    rows = len(checked.valid) + checked.rejected
    checked, sealed, unchanged = await _against_database(work, checked)
    outcome = ImportOut(
        rows=rows,
        accepted=len(checked.valid),
        unchanged=unchanged,
        rejected=checked.rejected,
        applied=not dry_run and (mode == "valid" or not checked.errors),
        errors=[
            RowProblem(row=e.row, column=e.column, code=e.code, zh=e.zh, en=e.en) for e in checked.errors[:MAX_ERRORS]
        ],
    )
    if checked.errors and mode == "all" and not dry_run:
        raise FileHasErrors(
            "Correct the rows named here, or import the good ones with mode=valid.", import_result=outcome.model_dump()
        )
    if outcome.applied:
        await store.keep_phones(work.tx, sealed, at=work.now)
    return outcome


async def _against_database(work: Work, checked: Checked) -> tuple[Checked, list[Phone], int]:
    """Good rows that the database refuses become errors. Returns what is new or different, sealed, and how many rows change nothing."""
    cadre_nos = [row.values["cadre_no"] for row in checked.valid]
    known = {a.cadre_no for a in await store.appointments_of(work.tx, cadre_nos, work.area)}
    indexes = {row.number: work.vault.blind(row.values["phone"], kind=PHONE) for row in checked.valid}
    # A number is taken wherever its holder is: the county must not learn whose it is, only that it is taken.
    holders = await store.cadres_by_phone(work.tx, indexes.values(), EVERYWHERE)
    while errors := [
        error for row in checked.valid if (error := _refused(checked, row, known, holders.get(indexes[row.number])))
    ]:
        checked = checked.without(errors)  # a row that fails may have been about to free the number of another
    before = await store.phones_of(work.tx, [row.values["cadre_no"] for row in checked.valid], work.area)
    changed = [row for row in checked.valid if not _same(before.get(row.values["cadre_no"]), row, indexes[row.number])]
    return checked, [_seal(work, row, indexes[row.number]) for row in changed], len(checked.valid) - len(changed)


def _refused(checked: Checked, row: ValidRow, known: set[str], holder: str | None) -> RowError | None:
    cadre_no = row.values["cadre_no"]
    if cadre_no not in known:
        return checked.error(
            row, "cadre_no", "unknown_cadre", "干部名录中没有此编号。", "The directory has no cadre of this number."
        )
    freed = (
        any(other.values["cadre_no"] == holder for other in checked.valid) if holder not in (None, cadre_no) else True
    )
    if not freed:
        return checked.error(
            row, "phone", "phone_taken", "此手机号已登记给其他干部。", "This number belongs to another cadre."
        )
    return None


def _same(before: Phone | None, row: ValidRow, index: str) -> bool:
    return (
        before is not None
        and before.phone_index == index
        and before.language == (row.values["language"] or Language.ZH)
    )


def _seal(work: Work, row: ValidRow, index: str) -> Phone:
    cadre_no, phone = row.values["cadre_no"], row.values["phone"]
    sealed = work.vault.seal(phone, column="contact.phone", row=cadre_no)
    return Phone(cadre_no, sealed, index, mask_phone(phone), row.values["language"] or Language.ZH)


def open_phone(work: Work, phone: Phone) -> str:
    """The number itself, for the gateway only."""
    return work.vault.open(phone.phone_sealed, column="contact.phone", row=phone.cadre_no)


async def list_recipients(work: Work, page: PageQuery) -> Page[RecipientOut]:
    """Who holds which post today, and how he is reached."""
    after = None
    if page.after:
        cadre_no, post, unit, since = decode_cursor(page.after, str, str, str, int)
        after = (cadre_no, post, unit, date.fromordinal(max(1, min(since, date.max.toordinal()))))
    rows = await store.list_recipients(work.tx, work.area, day=work.today, after=after, limit=page.limit + 1)
    items, following = page_of(
        [RecipientOut.model_validate(row, extra="ignore") for row in rows],
        page.limit,
        lambda r: encode_cursor(r.cadre_no, r.post, r.unit, r.since.toordinal()),
    )
    return Page(items=items, next=following)


async def opt_in(work: Work, cadre_no: str) -> None:
    """Takes an opt-out back at the person's wish (恢复接收). Raises NotFound when there is none in the area."""
    if not await store.opt_in(work.tx, cadre_no, work.area):
        raise NotFound("Nobody of this number in your area has opted out.")
