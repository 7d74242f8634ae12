"""Use cases of contacts: hear posts and places, import phones, show who is reached how."""

import asyncio
from dataclasses import dataclass
from datetime import date

from services.notify.contacts import store
from services.notify.contacts.domain import Appointment, Mode, State, import_state
from services.notify.contacts.schemas import ImportOut, RecipientOut, RowProblem
from services.notify.contacts.sheet import CONTACTS
from services.notify.contacts.store import Phone
from services.notify.outbound.text import Language
from shared import sheets
from shared.errors import NotFound
from shared.events.assessment import CadreAppointed
from shared.events.registry import DivisionRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.pii import mask_phone
from shared.scope import EVERYWHERE, Level, at_level
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work

SHOWN_ERRORS = 100
"""Row errors in one answer."""

PHONE = "phone"
"""Kind of the blind index."""


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
    """Enters the phones of a file (导入联系方式). With mode `all` one wrong row and nothing is taken over.

    Raises WrongFile or FileTooLarge for a file that cannot be read as this sheet.
    """
    checked = await asyncio.to_thread(lambda: sheets.check(sheets.read(data, CONTACTS)))
    plan = await _plan(work, checked)
    state = import_state(mode, dry_run=dry_run, wrong=plan.checked.rejected)
    if state is State.APPLIED:
        await store.keep_phones(work.tx, [*plan.created, *plan.changed], at=work.now)
    accepted, applied = len(plan.checked.valid), state is State.APPLIED
    return ImportOut(
        mode=mode,
        dry_run=dry_run,
        state=state,
        rows=accepted + plan.checked.rejected,
        accepted=accepted,
        rejected=plan.checked.rejected,
        created=len(plan.created) if applied else 0,
        changed=len(plan.changed) if applied else 0,
        unchanged=accepted - len(plan.created) - len(plan.changed) if applied else 0,
        errors=[_problem(error) for error in plan.checked.errors[:SHOWN_ERRORS]],
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What taking a file over would do: rows sorted by the database too, and the phones to enter, sealed."""

    checked: Checked
    created: list[Phone]
    changed: list[Phone]


async def _plan(work: Work, checked: Checked) -> Plan:
    known = await _known(work, checked)
    indexes = {row.number: work.vault.blind(row.values["phone"], kind=PHONE) for row in checked.valid}
    # A number is taken wherever its holder is: the caller learns that it is taken, not by whom.
    holders = await store.cadres_by_phone(work.tx, indexes.values(), EVERYWHERE)
    while errors := [
        error for row in checked.valid if (error := _refused(checked, row, known, holders.get(indexes[row.number])))
    ]:
        checked = checked.without(errors)  # a row that fails may have been about to free the number of another
    before = await store.phones_of(work.tx, [row.values["cadre_no"] for row in checked.valid], work.area)
    plan = Plan(checked, [], [])
    for row in checked.valid:
        old = before.get(row.values["cadre_no"])
        if old is None:
            plan.created.append(_seal(work, row, indexes[row.number]))
        elif (old.phone_index, old.language) != (indexes[row.number], row.values["language"] or Language.ZH):
            plan.changed.append(_seal(work, row, indexes[row.number]))
    return plan


async def _known(work: Work, checked: Checked) -> set[str]:
    cadre_nos = [row.values["cadre_no"] for row in checked.valid]
    return {appointment.cadre_no for appointment in await store.appointments_of(work.tx, cadre_nos, work.area)}


def _problem(error: RowError) -> RowProblem:
    return RowProblem(
        sheet=error.sheet,
        row=error.row,
        column=error.column,
        code=error.code,
        zh=error.zh,
        en=error.en,
        message=f"{error.zh} {error.en}",
    )


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
