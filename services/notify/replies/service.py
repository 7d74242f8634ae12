"""Use cases of replies: what a phone answered, what the app reports, what the office reads."""

from datetime import datetime, timedelta
from typing import Any

from services.notify.alarms.domain import AlarmKind
from services.notify.alarms.service import raise_alarm
from services.notify.contacts import store as contacts
from services.notify.contacts.domain import Appointment, recipients
from services.notify.contacts.imports import mobile
from services.notify.contacts.service import PHONE
from services.notify.replies import domain, store
from services.notify.replies.domain import (
    AlreadyReported,
    Channel,
    FromTheFuture,
    InboundKind,
    NotYourReport,
    TooLongAgo,
    WeekNotOpen,
)
from services.notify.replies.schemas import InboundIn, InboundOut, InboundRow, ReportIn, ReportOut, ReportTaken
from services.notify.weeks.domain import WEEKS_BACK, fact_version, is_on_time, reported_week, week_after
from services.notify.weeks.policy import PromptPolicy
from shared.clock import business_date
from shared.errors import NotFound
from shared.events.notify import ReportReceived
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.pii import mask_phone
from shared.roles import Role
from shared.sheets import CellError
from shared.work import Work

CLOCK_SKEW = timedelta(minutes=5)
"""A gateway's clock may run ahead of ours by so much."""

MAX_DELAY = timedelta(weeks=WEEKS_BACK)
"""A message may have waited so long at the gateway."""

REPORT_STEP = 4
"""Of a cadre's facts of a week: the missed report is step 3, the report itself comes after it."""


async def receive(work: Work, message: InboundIn) -> InboundOut:
    """An SMS arrived: a report on the week, an opt-out, or from a number nobody has. The same `message_ref` takes effect once.

    Source: NTF-003. Raises FromTheFuture, TooLongAgo, Malformed (a gateway of several divisions).
    """
    if message.received_at > work.now + CLOCK_SKEW:
        raise FromTheFuture("`received_at` lies ahead of the county's clock. Correct the gateway's clock.")
    if message.received_at < work.now - MAX_DELAY:
        raise TooLongAgo(
            f"Messages are taken up to {MAX_DELAY.days} days late. Tell the office of this one another way."
        )
    division = work.caller.filing_division()
    phone = _phone(message.sender)
    cadre = await _cadre_of(work, phone)
    id = new_id()
    row = {
        "id": id,
        "client": work.caller.client,
        "message_ref": message.message_ref,
        "division": cadre.division if cadre else division,
        "kind": InboundKind.UNMATCHED,
        "cadre_no": cadre.cadre_no if cadre else None,
        "sender_sealed": work.vault.seal(phone, column="inbound_message.sender", row=id),
        "sender_masked": mask_phone(phone),
        "text_sealed": work.vault.seal(message.text, column="inbound_message.text", row=id),
        "received_at": message.received_at,
    }
    if not await store.add_inbound(work.tx, row):
        return await _first_outcome(work, message.message_ref)
    if cadre is None:
        return InboundOut(kind=InboundKind.UNMATCHED)
    if domain.is_opt_out(message.text):
        return await _opt_out(work, row, cadre)
    return await _report_by_sms(work, row, cadre, message)


async def report(work: Work, order: ReportIn) -> ReportTaken:
    """A report from the app, or one the office took on the telephone. An official reports only for himself, or for whom he stands in.

    Raises NotYourReport, NotFound, WeekNotOpen, AlreadyReported.
    """
    if not work.caller.has(Role.BACKEND, Role.POVERTY_OFFICE) and order.cadre_no not in work.caller.persons:
        raise NotYourReport("Report for yourself; the office enters the reports of others.")
    cadre = await _appointment(work, order.cadre_no)
    if cadre is None:
        raise NotFound("There is no such cadre in your area.")
    schedule = PromptPolicy.of(work.policies, cadre.county, work.today).schedule
    now_reported = reported_week(schedule, work.now)
    week = order.week or now_reported
    if week not in (now_reported, week_after(now_reported, -1)):
        raise WeekNotOpen("Reports are taken on the present week and the one before.", week=now_reported)
    given = await _take(work, cadre, week, order.text, Channel.APP, at=work.now)
    if given is None:
        raise AlreadyReported("The report on this week has arrived already.", week=week)
    return given


async def list_reports(work: Work, page: PageQuery, *, week: str) -> Page[ReportOut]:
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.report_page(work.tx, work.area, week=week, after=after, limit=page.limit + 1)
    shown, following = page_of(rows, page.limit, lambda row: encode_cursor(row["cadre_no"]))
    return Page(items=[_report_out(work, row) for row in shown], next=following)


async def list_inbound(work: Work, page: PageQuery, *, kind: InboundKind | None, week: str | None) -> Page[InboundRow]:
    """Inbound messages with their texts, numbers masked."""
    after = tuple(decode_cursor(page.after, str, str)) if page.after else None
    rows = await store.inbound_page(work.tx, work.area, kind=kind, week=week, after=after, limit=page.limit + 1)
    shown, following = page_of(rows, page.limit, lambda row: encode_cursor(row["client"], row["message_ref"]))
    items = [
        InboundRow.model_validate(
            {**row, "text": work.vault.open_if_here(row["text_sealed"], column="inbound_message.text", row=row["id"])},
            extra="ignore",
        )
        for row in shown
    ]
    return Page(items=items, next=following)


async def _cadre_of(work: Work, phone: str) -> Appointment | None:
    index = work.vault.blind(phone, kind=PHONE)
    cadre_no = (await contacts.cadres_by_phone(work.tx, [index], work.area)).get(index)
    return await _appointment(work, cadre_no) if cadre_no else None


async def _appointment(work: Work, cadre_no: str) -> Appointment | None:
    """The post under which a cadre reports: the one he is prompted for, else another he holds, else the last he held."""
    posts = await contacts.appointments_of(work.tx, [cadre_no], work.area)
    if not posts:
        return None
    latest = max(posts, key=lambda a: (a.since, a.post, a.unit))
    prompted = PromptPolicy.of(work.policies, latest.county, work.today).posts
    held = recipients(posts, (*prompted, *sorted({a.post for a in posts} - set(prompted))), work.today)
    return held.get(cadre_no) or latest


async def _opt_out(work: Work, row: dict[str, Any], cadre: Appointment) -> InboundOut:
    await store.classify(work.tx, row["id"], kind=InboundKind.OPT_OUT)
    await contacts.opt_out(work.tx, cadre.cadre_no, at=work.now)
    await raise_alarm(
        work, AlarmKind.OPTED_OUT, f"{cadre.cadre_no}/{work.today}", division=cadre.division, cadre_no=cadre.cadre_no
    )
    return InboundOut(kind=InboundKind.OPT_OUT, cadre_no=cadre.cadre_no)


async def _report_by_sms(work: Work, row: dict[str, Any], cadre: Appointment, message: InboundIn) -> InboundOut:
    schedule = PromptPolicy.of(work.policies, cadre.county, work.today).schedule
    week = reported_week(schedule, message.received_at)
    given = await _take(work, cadre, week, message.text, Channel.SMS, at=message.received_at)
    outcome = InboundOut(
        kind=InboundKind.REPORT if given else InboundKind.FURTHER,
        cadre_no=cadre.cadre_no,
        week=week,
        on_time=given.on_time if given else None,
    )
    await store.classify(work.tx, row["id"], kind=outcome.kind, week=week, on_time=outcome.on_time)
    return outcome


async def _take(
    work: Work, cadre: Appointment, week: str, text: str, channel: Channel, *, at: datetime
) -> ReportTaken | None:
    """Enters the week's report and records the fact; None when there is one already."""
    schedule = PromptPolicy.of(work.policies, cadre.county, work.today).schedule
    id, on_time = new_id(), is_on_time(schedule, week, at)
    row = {
        "id": id,
        "week": week,
        "cadre_no": cadre.cadre_no,
        "division": cadre.division,
        "channel": channel,
        "text_sealed": work.vault.seal(text, column="report.text", row=id),
        "received_at": at,
        "on_time": on_time,
    }
    if not await store.add_report(work.tx, row):
        return None
    received = ReportReceived(
        report_id=id,
        cadre_no=cadre.cadre_no,
        division=cadre.division,
        week=week,
        received_on=business_date(at),
        on_time=on_time,
    )
    work.record(received, division=cadre.division, version=fact_version(week, REPORT_STEP))
    return ReportTaken.model_validate(row, extra="ignore")


async def _first_outcome(work: Work, message_ref: str) -> InboundOut:
    row = await store.find_inbound(work.tx, work.caller.client, message_ref, work.area)
    if row is None:
        raise NotFound("This client brought a message of this number from outside your area.")
    return InboundOut.model_validate(row, extra="ignore")


def _phone(sender: str) -> str:
    """The number as contacts keep it; what is no mobile number stays as it came and matches nobody."""
    try:
        return mobile(sender)
    except CellError:
        return sender


def _report_out(work: Work, row: dict[str, Any]) -> ReportOut:
    text = work.vault.open_if_here(row["text_sealed"], column="report.text", row=row["id"])
    return ReportOut.model_validate({**row, "text": text}, extra="ignore")
