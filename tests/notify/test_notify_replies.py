"""What comes back."""

from datetime import date

import pytest

from services.notify.replies.domain import is_opt_out, readable
from shared.events.registry import MandateRecorded
from shared.ids import new_id
from shared.roles import Role
from shared.testing import OTHER_TOWN, TOWN

PHONE, STRANGER = "19900000001", "19900000099"


@pytest.mark.parametrize("text", ["退订", " t ", "TD", "Ｔ", "ｔｄ", "R", "退订。", "r!"])
def test_words_of_opting_out_wide_or_narrow(text):
    assert is_opt_out(text)


@pytest.mark.parametrize("text", ["", "退订的事已办", "TDX", "tr", "已完成"])
def test_other_texts_are_no_opt_out(text):
    assert not is_opt_out(text)


@pytest.mark.parametrize("text", ["退\u200b订\x00", "\u202eTD\u202c", "\x1bTD", "TD\ud83d", "\udc00td", "\ufeff退订"])
def test_what_a_phone_or_a_gateway_puts_into_a_text_hides_no_word(text):
    assert is_opt_out(readable(text))


def test_all_else_of_a_text_is_kept():
    assert readable("第一户\r\n第二户：𠮷家\t完成　了") == "第一户\r\n第二户：𠮷家\t完成　了"


async def test_a_message_with_control_characters_is_not_lost(prompted):
    assert (await prompted.reply(PHONE, "退\u200b订\x00", ref="1")).json()["kind"] == "opt_out"


@pytest.fixture
async def prompted(county):
    """One town chief, prompted on Monday; it is Wednesday at ten."""
    await county.person("T", PHONE)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    await county.clock_shows(9, 10)
    return county


@pytest.mark.rule("NTF-003")
async def test_a_reply_from_a_known_phone_is_the_report_of_the_week(prompted):
    answer = await prompted.reply(PHONE, "已完成核实", ref="1")
    assert answer.json() == {"kind": "report", "cadre_no": "T", "week": "2016-W45", "on_time": True}
    (fact,) = await prompted.recorded("notify.report_received.v1")
    assert (fact["cadre_no"], fact["received_on"], fact["on_time"]) == ("T", "2016-11-09", True)


@pytest.mark.parametrize("written", ["+8619900000001", "8619900000001", "１９９００００００01"])
async def test_a_gateway_may_spell_the_number_its_own_way(prompted, written):
    assert (await prompted.reply(written, "已完成", ref="1")).json()["kind"] == "report"


async def test_the_same_message_twice_takes_effect_once(prompted):
    first = await prompted.reply(PHONE, "已完成", ref="1")
    again = await prompted.reply(PHONE, "已完成", ref="1")
    assert again.json() == first.json()
    assert len(await prompted.recorded("notify.report_received.v1")) == 1


@pytest.mark.rule("NTF-003")
async def test_a_second_message_of_the_week_is_kept_beside_the_report(prompted):
    await prompted.reply(PHONE, "已完成", ref="1")
    assert (await prompted.reply(PHONE, "补充：两户已入住", ref="2")).json()["kind"] == "further"
    assert len(await prompted.recorded("notify.report_received.v1")) == 1
    texts = [item["text"] for item in (await prompted.office.get("/notify/v1/inbound", kind="further")).json()["items"]]
    assert texts == ["补充：两户已入住"]


async def test_a_report_after_the_due_time_is_late(prompted):
    await prompted.clock_shows(11, 19)
    answer = await prompted.reply(PHONE, "迟报", ref="1", day=11, hour=19)
    assert (answer.json()["kind"], answer.json()["on_time"]) == ("report", False)


async def test_opting_out_is_recorded_and_told_to_the_office(prompted):
    assert (await prompted.reply(PHONE, "ｔｄ", ref="1")).json()["kind"] == "opt_out"
    assert await prompted.alarms() == ["opted_out"]
    assert await prompted.recorded("notify.report_received.v1") == []
    await prompted.clock_shows(11, 18)
    assert (await prompted.prompts())["reminder", "T"] == ("skipped", "opted_out")


async def test_an_unknown_number_is_kept_sealed_for_the_office(prompted):
    assert (await prompted.reply(STRANGER, "你好", ref="1")).json()["kind"] == "unmatched"
    listed = await prompted.office.get("/notify/v1/inbound", kind="unmatched")
    assert [(item["text"], item["cadre_no"]) for item in listed.json()["items"]] == [("你好", None)]
    assert STRANGER not in listed.text
    async with prompted.live.service.database.read() as tx:
        rows = str((await tx.exec_driver_sql("select * from inbound_message")).all())
    assert STRANGER not in rows
    assert "你好" not in rows


async def test_a_number_that_was_replaced_is_nobodys(prompted):
    """A leader's phone is lost: from the day the office enters another number, the old one says nothing in his name."""
    await prompted.enter_phones({"T": STRANGER})
    assert (await prompted.reply(PHONE, "已完成", ref="1")).json()["kind"] == "unmatched"
    assert (await prompted.reply(STRANGER, "已完成", ref="2")).json()["kind"] == "report"


async def test_a_message_from_the_future_is_refused(prompted):
    answer = await prompted.reply(PHONE, "已完成", ref="1", day=10)
    assert (answer.status_code, answer.json()["code"]) == (409, "from_the_future")


@pytest.mark.parametrize("received_at", ["0001-01-01T00:00:00+14:00", "2016-09-13T10:00:00+08:00"])
async def test_a_message_of_long_ago_is_refused(prompted, received_at):
    order = {"from": PHONE, "text": "已完成", "received_at": received_at, "message_ref": "1"}
    answer = await prompted.gateway.post("/notify/v1/inbound", order)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_long_ago")


async def test_a_gateway_of_several_divisions_is_told_so_before_anything_is_filed(prompted):
    gateway = prompted.live.as_(Role.BACKEND, division=(OTHER_TOWN, TOWN), client="gateway")
    order = {"from": STRANGER, "text": "你好", "received_at": "2016-11-09T09:00:00+08:00", "message_ref": "1"}
    answer = await gateway.post("/notify/v1/inbound", order)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "division_unclear")
    assert (await prompted.office.get("/notify/v1/inbound")).json()["items"] == []


async def test_a_backend_of_another_area_matches_nobody_of_ours(prompted):
    other = prompted.live.as_(Role.BACKEND, division=OTHER_TOWN, client="other")
    order = {"from": PHONE, "text": "x", "received_at": "2016-11-09T01:00:00Z", "message_ref": "1"}
    assert (await other.post("/notify/v1/inbound", order)).json()["kind"] == "unmatched"


async def test_the_text_of_a_report_stands_nowhere_in_the_clear(prompted):
    """Neither in its column nor in the answer that is kept to be given again."""
    answer = await prompted.gateway.post("/notify/v1/reports", {"cadre_no": "T", "text": "张三家已搬"})
    assert "text" not in answer.json()
    async with prompted.live.service.database.read() as tx:
        for table in ("report", "idempotency", "outbox"):
            rows = (await tx.exec_driver_sql(f"select * from {table}")).all()
            assert rows
            assert "张三家已搬" not in str(
                [[c.decode(errors="replace") if isinstance(c, bytes) else c for c in row] for row in rows]
            )


async def test_a_report_from_the_app(prompted):
    answer = await prompted.gateway.post("/notify/v1/reports", {"cadre_no": "T", "text": "已完成"})
    assert (answer.status_code, answer.json()["channel"], answer.json()["on_time"]) == (201, "app", True)
    again = await prompted.gateway.post("/notify/v1/reports", {"cadre_no": "T", "text": "已完成"})
    assert (again.status_code, again.json()["code"]) == (409, "already_reported")


async def test_an_official_reports_for_himself_only(prompted):
    chief = prompted.live.as_(Role.TOWN_CHIEF, division=TOWN, subject="T")
    other = prompted.live.as_(Role.TOWN_CHIEF, division=TOWN, subject="U")
    order = {"cadre_no": "T", "text": "已完成"}
    assert (await other.post("/notify/v1/reports", order)).json()["code"] == "not_your_report"
    assert (await chief.post("/notify/v1/reports", order)).status_code == 201


async def test_who_stands_in_for_an_official_reports_for_him(prompted):
    mandate = MandateRecorded(
        mandate_id=new_id(), kind="acting", holders=["U"], absent="T", roles=["town_chief"], divisions=[TOWN],
        since=date(2016, 11, 1), until=date(2016, 11, 30),
    )  # fmt: skip
    await prompted.live.hear(mandate)
    deputy = prompted.live.as_(Role.TOWN_OFFICE, division=TOWN, subject="U")
    order, headers = {"cadre_no": "T", "text": "已完成"}, {"daohu-acting-for": "T"}
    assert (await deputy.post("/notify/v1/reports", order, headers=headers)).status_code == 201


async def test_a_report_on_a_week_long_past_is_refused(prompted):
    answer = await prompted.gateway.post("/notify/v1/reports", {"cadre_no": "T", "text": "x", "week": "2016-W40"})
    assert (answer.status_code, answer.json()["code"]) == (409, "week_not_open")


async def test_reports_are_read_in_the_area_only(prompted):
    await prompted.reply(PHONE, "已完成", ref="1")
    ours = prompted.live.as_(Role.TOWN_OFFICE, division=TOWN)
    theirs = prompted.live.as_(Role.TOWN_OFFICE, division=OTHER_TOWN)
    lists = [(await who.get("/notify/v1/reports", week="2016-W45")).json()["items"] for who in (ours, theirs)]
    assert [[row["text"] for row in rows] for rows in lists] == [["已完成"], []]
