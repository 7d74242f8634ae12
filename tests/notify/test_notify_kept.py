"""What somebody wrote is kept for its period and no longer; that he reported stays."""

from datetime import date

from sqlalchemy import select

from services.notify import jobs
from services.notify.contacts.store import KEPT_AFTER_POST, contacts
from services.notify.replies.store import inbound, reports
from services.notify.tables import metadata
from shared import retention
from shared.personal import ERASED, marked

PHONE = "19900000001"


async def test_words_and_senders_are_erased_when_their_period_is_over_and_not_a_day_before(county):
    await county.person("T", PHONE)
    await county.enter_brief()
    await county.clock_shows(9, 11)
    assert (await county.reply(PHONE, "已入户。", ref="1")).json()["kind"] == "report"
    [days] = {mark.erased.days for column, mark in marked(metadata) if column.table is inbound and mark.erased}
    received = county.live.clock.now().replace(day=9)
    kept = {}
    for passed in (days - 3, 6):
        county.live.pass_days(passed)
        async with county.live.service.work() as work:
            assert (work.now - received).days != days
            await retention.forget_personal(work.tx, metadata, now=work.now)
        async with county.live.service.database.read() as tx:
            words = (await tx.execute(select(inbound.c.sender_sealed, inbound.c.text_sealed))).one()
            report = (await tx.execute(select(reports.c.text_sealed, reports.c.cadre_no))).one()
        kept[passed] = ([value != ERASED for value in (*words, report.text_sealed)], report.cadre_no)
    assert kept == {days - 3: ([True, True, True], "T"), 6: ([False, False, False], "T")}


async def test_a_phone_is_kept_as_long_as_somebody_holds_a_post_and_some_time_after(county):
    await county.person("STAYS", "19900000002")
    await county.person("LEFT", PHONE)
    await county.appoint("LEFT", until=date(2016, 11, 2))
    kept = []
    for days in (KEPT_AFTER_POST.days - 1, 1):
        county.live.pass_days(days)
        await jobs.forget_phones(county.live.service)
        async with county.live.service.database.read() as tx:
            kept.append(sorted((await tx.execute(select(contacts.c.cadre_no))).scalars()))
    assert kept == [["LEFT", "STAYS"], ["STAYS"]]
    await county.appoint("LEFT", since=date(2017, 3, 1))
    assert (await county.enter_phones({"LEFT": PHONE})).json()["created"] == 1
