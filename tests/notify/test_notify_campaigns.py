"""The weekly prompt and the reminder, by the clock."""

import asyncio
from datetime import date

import pytest

from services.notify import jobs
from services.notify.phones.console import ConsoleGateway
from shared.events.assessment import CadreAppointed, Post
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, TOWN

WEEK = "2016-W45"
A, B, C = "19900000001", "19900000002", "19900000003"


async def reply_word(county, phone, word="退订"):
    return await county.reply(phone, word, ref=f"out-{phone}", day=1)


@pytest.mark.rule("NTF-001")
async def test_on_monday_at_nine_everybody_in_the_posts_gets_the_prompt(county):
    await county.person("L", A, Post.COUNTY_LEADER, COUNTY)
    await county.person("T", B, Post.TOWN_CHIEF, TOWN)
    await county.person("D", C, Post.DEPARTMENT_CHIEF, COUNTY)
    await county.enter_brief()
    await county.clock_shows(7, 8, 59)
    assert await county.prompts() == {}
    await county.clock_shows(7, 9)
    assert [len(await county.phone_shows(who)) for who in "LTD"] == [1, 1, 1]


@pytest.mark.rule("NTF-002")
async def test_the_message_is_the_key_work_of_the_week(county):
    await county.person("T", A)
    await county.enter_brief(tasks=("核实退出户收入", "完成搬迁入住"))
    await county.clock_shows(7, 9)
    (text,) = await county.phone_shows("T")
    assert text.startswith("【")
    for piece in ("第45周", "1.核实退出户收入", "2.完成搬迁入住", "11月11日18:00"):
        assert piece in text


async def test_who_has_no_wanted_post_gets_nothing(county):
    await county.person("P", A, Post.PAIRED_CADRE)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert await county.prompts() == {}


async def test_who_reads_english_gets_english(county):
    await county.appoint("T")
    sheet = f"干部编号,手机号,短信语言\nT,{A},英文\n".encode()
    await county.office.post("/notify/v1/imports/contacts", content=sheet)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert "Key work of week 45" in (await county.phone_shows("T"))[0]


async def test_a_tick_again_sends_nothing_again(county):
    await county.person("T", A)
    await county.enter_brief()
    for minute in (0, 0, 1, 30):
        await county.clock_shows(7, 9, minute)
    assert len(await county.phone_shows("T")) == 1
    assert len(await county.recorded("notify.prompt_sent.v1")) == 1


async def test_a_sent_prompt_is_a_fact(county):
    await county.person("T", A)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    (sent,) = await county.recorded("notify.prompt_sent.v1")
    assert (sent["cadre_no"], sent["campaign"], sent["week"]) == ("T", "weekly", WEEK)
    assert A not in str(await county.live.recorded())


async def test_without_a_brief_the_prompt_is_held_and_shown_with_an_alarm(county):
    await county.person("T", A)
    await county.clock_shows(7, 9)
    assert await county.prompts() == {("weekly", "T"): ("held", "no_brief")}
    assert await county.alarms() == ["brief_missing"]
    assert await county.phone_shows("T") == []


async def test_a_brief_that_comes_in_time_releases_the_held_prompts(county):
    await county.person("T", A)
    await county.clock_shows(7, 9)
    await county.enter_brief()
    await county.clock_shows(8, 11, 59)
    assert await county.prompts() == {("weekly", "T"): ("delivered", None)}
    assert len(await county.phone_shows("T")) == 1


async def test_at_tuesday_noon_it_is_too_late_and_an_alarm(county):
    await county.person("T", A)
    await county.clock_shows(7, 9)
    await county.enter_brief()
    await county.clock_shows(8, 12)
    assert await county.prompts() == {("weekly", "T"): ("missed", "no_brief")}
    assert await county.alarms() == ["brief_missing", "prompts_missed"]
    assert await county.phone_shows("T") == []


async def test_a_monday_slept_through_is_made_up_for_until_tuesday_noon(county):
    await county.person("T", A)
    await county.enter_brief()
    await county.clock_shows(8, 11)
    assert len(await county.phone_shows("T")) == 1


async def test_a_monday_slept_through_longer_is_on_record_as_missed(county):
    await county.person("T", A)
    await county.enter_brief()
    await county.clock_shows(9, 8)
    assert await county.prompts() == {("weekly", "T"): ("missed", "too_late")}
    assert await county.alarms() == ["prompts_missed"]


async def test_without_a_phone_the_prompt_waits_for_one(county):
    await county.appoint("T")
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert await county.prompts() == {("weekly", "T"): ("held", "no_phone")}
    await county.enter_phones({"T": A})
    await county.clock_shows(7, 10)
    assert len(await county.phone_shows("T")) == 1


async def test_who_has_opted_out_is_skipped_with_that_reason(county):
    await county.person("T", A)
    await reply_word(county, A)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert await county.prompts() == {("weekly", "T"): ("skipped", "opted_out")}


async def test_an_opt_out_taken_back_counts_from_the_next_week(county):
    await county.person("T", A)
    await reply_word(county, A)
    answer = await county.office.http.delete("/notify/v1/contacts/T/opt-out")
    assert answer.status_code == 204
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert len(await county.phone_shows("T")) == 1


async def test_who_left_his_post_gets_no_prompt(county):
    await county.person("T", A)
    await county.appoint("T", until=date(2016, 11, 5))
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert await county.prompts() == {}


async def test_who_leaves_while_his_prompt_is_held_is_skipped(county):
    await county.person("T", A)
    await county.clock_shows(7, 9)
    await county.appoint("T", until=date(2016, 11, 7))
    await county.clock_shows(7, 10)
    assert await county.prompts() == {("weekly", "T"): ("skipped", "left_post")}


@pytest.mark.rule("NTF-003")
@pytest.mark.rule("NTF-004")
async def test_who_did_not_report_by_friday_evening_is_reminded_and_nobody_else(county):
    await county.person("A", A)
    await county.person("B", B)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    await county.clock_shows(9, 10)
    await county.reply(A, "已完成核实", ref="1")
    await county.clock_shows(11, 17, 59)
    assert len(await county.phone_shows("B")) == 1
    await county.clock_shows(11, 18)
    assert [len(await county.phone_shows(who)) for who in "AB"] == [1, 2]
    assert "尚未收到" in (await county.phone_shows("B"))[1]


@pytest.mark.rule("NTF-004")
async def test_a_missed_report_is_one_fact_however_often_the_clock_is_looked_at(county):
    await county.person("B", B)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    for minute in (0, 0, 5):
        await county.clock_shows(11, 18, minute)
    missed = await county.recorded("notify.report_missed.v1")
    assert [(m["cadre_no"], m["week"], m["due_on"]) for m in missed] == [("B", WEEK, "2016-11-11")]


async def test_who_left_before_friday_missed_nothing(county):
    await county.person("B", B)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    await county.appoint("B", until=date(2016, 11, 10))
    await county.clock_shows(11, 18)
    assert await county.recorded("notify.report_missed.v1") == []
    assert (await county.prompts())["reminder", "B"] == ("skipped", "left_post")


async def test_a_report_makes_a_held_reminder_needless(county):
    await county.appoint("B")
    await county.enter_brief()
    await county.clock_shows(11, 18)
    assert (await county.prompts())["reminder", "B"] == ("held", "no_phone")
    await county.office.post("/notify/v1/reports", {"cadre_no": "B", "text": "电话报告"})
    await county.clock_shows(11, 19)
    assert (await county.prompts())["reminder", "B"] == ("skipped", "reported")


async def test_the_week_in_numbers(county):
    for number, phone in {"A": A, "B": B}.items():
        await county.person(number, phone)
    await county.appoint("C")
    await county.enter_brief()
    await county.clock_shows(7, 9)
    await county.clock_shows(9, 10)
    await county.reply(A, "已完成", ref="1")
    await county.clock_shows(11, 18)
    week = await county.week()
    tallies = [(t["campaign"], t["state"], t["reason"], t["prompts"]) for t in week.pop("tallies")]
    expected = {"due": 3, "sent": 2, "delivered": 2, "replied": 1, "on_time": 1, "reminded": 1, "missing": 2}
    assert week == {"week": WEEK, **expected}
    assert tallies == [
        ("reminder", "delivered", None, 1),
        ("reminder", "held", "no_phone", 1),
        ("weekly", "delivered", None, 2),
        ("weekly", "missed", "no_phone", 1),
    ]


async def test_the_week_person_by_person_names_who_is_missing(county):
    await county.person("A", A)
    await county.person("B", B)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    await county.clock_shows(9, 10)
    await county.reply(A, "已完成", ref="1")
    missing = await county.office.get(f"/notify/v1/weeks/{WEEK}/recipients", reported=False)
    assert [person["cadre_no"] for person in missing.json()["items"]] == ["B"]


async def test_a_town_sees_the_week_of_its_own_people(county):
    await county.person("A", A, division=TOWN)
    await county.person("B", B, division=OTHER_TOWN)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert (await county.week(division=TOWN))["due"] == 1
    town = county.live.as_(Role.TOWN_OFFICE, division=TOWN)
    assert {p["cadre_no"] for p in (await town.get("/notify/v1/prompts")).json()["items"]} == {"A"}


async def test_a_phone_of_another_area_is_not_found(county):
    await county.person("B", B, division=OTHER_TOWN)
    town = county.live.as_(Role.POVERTY_OFFICE, division=TOWN)
    assert (await town.get("/notify/v1/phones/B/messages")).status_code == 404


async def test_two_ticks_at_once_plan_everybody_once(county):
    await county.person("A", A)
    await county.person("B", B)
    await county.enter_brief()
    county.live.pass_days(5)
    await asyncio.gather(*(jobs.prompts(county.live.service) for _ in range(3)))
    assert [len(await county.phone_shows(who)) for who in "AB"] == [1, 1]


async def test_a_week_before_the_first_appointment_is_not_owed(county):
    await county.clock_shows(9, 10)
    await county.person("A", A)
    await county.clock_shows(9, 11)
    assert await county.prompts() == {}


async def test_the_console_gateway_remembers_what_it_sent(county):
    await county.person("A", A)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    async with county.live.service.database.read() as tx:
        (message_id,) = (await tx.exec_driver_sql("select message_id from console_message")).scalars()
    gateway = ConsoleGateway(county.live.service)
    assert len(await gateway.evidence(message_id)) == 2
    assert len(await gateway.evidence("another")) == 0


async def test_an_appointment_elsewhere_does_not_stop_the_county(county):
    """A county whose pack says nothing of prompts gets none, and the others get theirs."""
    elsewhere = CadreAppointed(
        cadre_no="X", post=Post.TOWN_CHIEF, unit="u", division="110101000000", since=date(2016, 1, 1)
    )
    await county.live.hear(elsewhere, division="110101000000")
    await county.person("A", A)
    await county.enter_brief()
    await county.clock_shows(7, 9)
    assert len(await county.phone_shows("A")) == 1
