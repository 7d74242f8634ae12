"""What somebody wrote is kept for its period and no longer; that he reported stays."""

from sqlalchemy import select

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
