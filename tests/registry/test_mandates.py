"""Acting for somebody during absence: exactly what was lent, in its days, with both names on record."""

from dataclasses import replace
from datetime import date

import pytest

from services.registry.mandates import domain
from shared.clock import county_instant
from shared.events.registry import HouseholdRecorded, MandateRecorded
from shared.roles import NEVER_LENT, Caller, Role, persons_of
from shared.scope import Area
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

MANDATES, HOMES = "/registry/v1/mandates", "/registry/v1/households"
CHANGE = {"remark": "院坝硬化", "reason": "入户核实"}


def order(**given):
    """wang acts for li, who keeps the files of a town."""
    return {
        "holder": "wang", "absent": "li", "roles": ["town_office"], "divisions": [TOWN], "since": "2016-11-01",
        "until": "2016-11-30", "reason": "外出学习", **given,
    }  # fmt: skip


def said(answer):
    return answer.status_code, answer.json().get("code")


@pytest.fixture
def li(small):
    return small.live.as_(Role.TOWN_OFFICE, Role.REVIEWER, subject="li", division=TOWN)


@pytest.fixture
def admin(small):
    return small.live.as_(Role.COUNTY_ADMIN, subject="admin")


@pytest.fixture
def wang(small):
    """A supervisor of another town."""
    return small.live.as_(Role.SUPERVISOR, subject="wang", division=OTHER_TOWN)


def change(client, household, **headers):
    """A change of a household's file in the name of li."""
    headers = {"if-match": '"1"', "daohu-acting-for": "li", **headers}
    return client.http.patch(f"{HOMES}/{household.id}", json=CHANGE, headers=headers)


async def given(client, **changed):
    answer = await client.post(MANDATES, order(**changed))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_who_acts_for_another_has_what_was_lent_and_both_names_stand_on_record(small, li, wang):
    household = await small.candidate()
    assert said(await change(wang, household)) == (403, "no_mandate")
    await given(li)
    assert (await change(wang, household)).status_code == 200
    entry = (await li.get(f"{HOMES}/{household.id}/history")).json()["items"][-1]
    assert entry["actor"] == "wang for li"
    async with small.live.service.database.read() as tx:
        rows = (await tx.exec_driver_sql("select type, headers from outbox order by id")).all()
    assert [row.type for row in rows][-1] == HouseholdRecorded.type_name
    assert '"ce_actor":"wang for li"' in rows[-1].headers


async def test_lent_is_what_is_named_and_nothing_of_his_own(small, li, wang):
    inside, outside = await small.candidate(), await small.candidate(division=OTHER_VILLAGE)
    await given(li, divisions=[VILLAGE])
    assert (await change(wang, outside)).status_code == 404
    acting = {"headers": {"daohu-acting-for": "li"}}
    listed = (await wang.http.get(HOMES, **acting)).json()["items"]
    assert [home["id"] for home in listed] == [str(inside.id)]
    assert [(await wang.http.get(f"{HOMES}/{home.id}", **acting)).status_code for home in (inside, outside)] == [
        200,
        404,
    ]
    assert said(await wang.http.get("/registry/v1/looks", **acting)) == (403, "forbidden")


async def test_without_the_header_he_is_himself(small, li, wang):
    household = await small.candidate()
    await given(li)
    assert (await wang.get(f"{HOMES}/{household.id}")).status_code == 404
    answer = await wang.http.patch(f"{HOMES}/{household.id}", json=CHANGE, headers={"if-match": '"1"'})
    assert said(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    ("day", "hour", "minute", "status"),
    [(2, 23, 59, 403), (3, 0, 0, 200), (9, 23, 59, 200), (10, 0, 0, 403)],
    ids=["the evening before", "first minute", "last minute", "the day after"],
)
async def test_it_holds_from_its_first_to_its_last_day_in_the_county(small, li, wang, day, hour, minute, status):
    household = await small.candidate()
    await given(li, since="2016-11-03", until="2016-11-09")
    small.live.clock.move_to(county_instant(date(2016, 11, day), hour, minute))
    assert (await change(wang, household)).status_code == status


@pytest.mark.parametrize("who", ["li", "wang", "admin"])
async def test_each_party_and_the_administrator_may_end_it_at_once(small, li, wang, admin, who):
    household, mandate = await small.candidate(), await given(li)
    path = f"{MANDATES}/{mandate['id']}/endings"
    wang_in_town = small.live.as_(Role.SUPERVISOR, subject="wang", division=TOWN)
    ender = {"li": li, "wang": wang_in_town, "admin": admin}[who]
    ended = await ender.post(path, {"reason": "返岗"})
    assert (ended.status_code, ended.json()["ending"]["ended_by"]) == (201, who)
    assert said(await change(wang, household)) == (403, "no_mandate")
    assert said(await admin.post(path, {"reason": "返岗"})) == (409, "mandate_ended")


async def test_nobody_else_sees_it_or_ends_it(small, li):
    mandate = await given(li)
    other = small.live.as_(Role.TOWN_OFFICE, subject="zhao", division=TOWN)
    assert (await other.get(MANDATES)).json()["items"] == []
    assert said(await other.post(f"{MANDATES}/{mandate['id']}/endings", {"reason": "不"})) == (404, "mandate_unknown")
    leader = small.live.as_(Role.COUNTY_LEADER, subject="county-head")
    assert [item["id"] for item in (await leader.get(MANDATES, on="2016-11-30")).json()["items"]] == [mandate["id"]]
    assert (await leader.get(MANDATES, on="2016-12-01")).json()["items"] == []


@pytest.mark.parametrize("role", sorted(NEVER_LENT))
async def test_what_is_given_to_a_person_is_never_lent(small, role):
    holder_of_all = small.live.as_(*Role, subject="li")
    holder = small.live.as_(*(set(Role) - {Role.AUDITOR}), subject="li") if role != Role.AUDITOR else None
    lender = holder or small.live.as_(Role.COUNTY_ADMIN, subject="admin")
    answer = await lender.post(MANDATES, order(roles=["town_office", role.value], divisions=[COUNTY]))
    assert said(answer) == (409, "role_never_lent")
    assert said(await holder_of_all.post(MANDATES, order())) == (403, "auditor_reads_only")


async def test_one_lends_ones_own_and_the_administrator_others_but_not_to_himself(small, li, wang, admin):
    assert said(await li.post(MANDATES, order(roles=["payer"]))) == (403, "not_to_lend")
    assert said(await li.post(MANDATES, order(divisions=[COUNTY]))) == (403, "not_to_lend")
    assert said(await wang.post(MANDATES, order())) == (403, "not_to_lend")
    assert said(await li.post(MANDATES, order(holder="li"))) == (409, "mandate_to_oneself")
    assert said(await admin.post(MANDATES, order(holder="admin"))) == (409, "mandate_to_oneself")
    assert said(await admin.post(MANDATES, order(holder="Admin"))) == (409, "mandate_to_oneself")
    assert said(await admin.post(MANDATES, order(holder="Li"))) == (409, "mandate_to_oneself")
    assert (await admin.post(MANDATES, order(roles=["payer"], divisions=[COUNTY]))).status_code == 201


@pytest.mark.parametrize(
    "names", [{"absent": "for li"}, {"holder": "wang for"}, {"absent": "ｌｉ"}, {"holder": "account:mobile-backend"}]
)
async def test_it_names_two_persons_as_they_are_spelled_and_no_program(admin, names):
    assert said(await admin.post(MANDATES, order(**names))) == (422, "malformed")


async def test_who_lends_two_towns_sees_and_ends_it(small, admin):
    towns = [TOWN, OTHER_TOWN]
    li = small.live.as_(Role.TOWN_OFFICE, subject="li", division=towns)
    mandate = await given(li, divisions=towns)
    assert [item["id"] for item in (await li.get(MANDATES)).json()["items"]] == [mandate["id"]]
    assert (await li.post(f"{MANDATES}/{mandate['id']}/endings", {"reason": "返岗"})).status_code == 201


async def test_what_is_lent_is_not_lent_on(small, li, wang):
    household, mandate = await small.candidate(), await given(li)
    acting = {"headers": {"daohu-acting-for": "li"}}
    onwards = order(holder="zhao", absent="wang for li")
    assert (await wang.post(MANDATES, onwards, **acting)).status_code == 422
    assert said(await wang.post(MANDATES, order(holder="zhao"), **acting)) == (403, "mandate_chained")
    path = f"{MANDATES}/{mandate['id']}/endings"
    assert said(await wang.post(path, {"reason": "返岗"}, **acting)) == (403, "mandate_chained")
    wangs = small.live.as_(Role.SUPERVISOR, subject="wang", division=TOWN)
    await given(wangs, holder="zhao", absent="wang", roles=["supervisor"])
    zhao = small.live.as_(Role.SUPERVISOR, subject="zhao", division=TOWN)
    assert said(await change(zhao, household)) == (403, "no_mandate")
    assert said(await change(zhao, household, **{"daohu-acting-for": "wang"})) == (403, "forbidden")


async def test_between_two_people_one_mandate_holds_on_a_day(li):
    first = await given(li)
    assert said(await li.post(MANDATES, order(since="2016-11-30", until="2016-12-02"))) == (409, "mandate_there")
    await given(li, since="2016-12-01", until="2016-12-02")
    await li.post(f"{MANDATES}/{first['id']}/endings", {"reason": "返岗"})
    await given(li)


async def test_it_is_given_for_days_to_come_and_not_too_long(li):
    assert said(await li.post(MANDATES, order(since="2016-10-31"))) == (409, "period_past")
    assert said(await li.post(MANDATES, order(until="2017-02-01"))) == (409, "period_too_long")
    assert (await li.post(MANDATES, order(until="2016-10-30"))).status_code == 422
    assert (await li.post(MANDATES, order(holder="w" * 95))).status_code == 422
    await given(li, until="2017-01-31")


async def test_an_auditor_acts_for_nobody(small, admin):
    household = await small.candidate()
    await given(admin, holder="auditor-1")
    auditor = small.live.as_(Role.AUDITOR, subject="auditor-1")
    assert said(await change(auditor, household)) == (403, "auditor_reads_only")


async def test_a_name_that_is_not_ascii_is_sent_in_percent_encoding(small, admin, wang):
    household = await small.candidate()
    await given(admin, absent="李四")
    assert (await change(wang, household, **{"daohu-acting-for": "%E6%9D%8E%E5%9B%9B"})).status_code == 200


@pytest.mark.parametrize("nobody", ["%00", "%E2%80%AEli", "%20li", "x%20for%20li"])
async def test_what_is_nobodys_name_is_held_by_nobody(small, li, wang, nobody):
    await given(li)
    answer = await wang.http.get(HOMES, headers={"daohu-acting-for": nobody})
    assert said(answer) == (403, "no_mandate")


async def test_the_header_twice_is_refused(small, li, wang):
    await given(li)
    answer = await wang.http.get(HOMES, headers=[("daohu-acting-for", "li"), ("daohu-acting-for", "zhao")])
    assert said(answer) == (422, "malformed")


async def test_giving_and_ending_are_told_to_the_other_services(small, li):
    mandate = await given(li)
    await li.post(f"{MANDATES}/{mandate['id']}/endings", {"reason": "返岗"})
    first, last = await small.facts(MandateRecorded)
    assert (first["holders"], first["absent"], first["roles"], first["ended_at"]) == (
        ["wang"],
        "li",
        ["town_office"],
        None,
    )
    assert last == first | {"ended_at": last["ended_at"]}
    assert last["ended_at"] is not None
    assert "reason" not in first


CALLER = Caller("li", "tests", frozenset({Role.TOWN_OFFICE, Role.PRIVACY}), (TOWN,), Area.of([TOWN]))


def test_who_stands_behind_an_act_is_told_from_the_record():
    assert persons_of("wang for li") == {"wang", "li"}
    assert persons_of("wang") == {"wang"}
    assert replace(CALLER, subject="wang for li").persons == {"wang", "li"}


@pytest.mark.parametrize(
    ("there", "free"),
    [((date(2016, 11, 1), date(2016, 11, 9)), True), ((date(2016, 11, 1), date(2016, 11, 10)), False),
     ((date(2016, 11, 20), date(2016, 12, 1)), False), ((date(2016, 11, 21), date(2016, 12, 1)), True)],
)  # fmt: skip
def test_days_that_touch_do_not_overlap(there, free):
    try:
        domain.require_alone([there], since=date(2016, 11, 10), until=date(2016, 11, 20))
        alone = True
    except domain.MandateThere:
        alone = False
    assert alone is free
