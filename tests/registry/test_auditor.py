"""Audits: who audits reads within his engagement and nothing else, and every look of his is on record."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from shared import retention
from shared.clock import county_instant
from shared.pii import TEST_PHONE_PREFIX
from shared.roles import Role
from shared.seen import store
from shared.seen.domain import WITHHELD, kept, plain
from shared.seen.record import ONLOOKERS
from shared.tables import look
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

ENGAGEMENTS, LOOKS, HOMES = "/registry/v1/engagements", "/registry/v1/looks", "/registry/v1/households"
FIRST, LAST = date(2016, 11, 3), date(2016, 11, 9)


def audit(**given):
    return {
        "auditors": ["sun"], "divisions": [COUNTY], "since": "2016-11-01", "until": "2016-11-30",
        "object": "2016年扶贫专项资金", "reason": "年度审计计划", **given,
    }  # fmt: skip


def said(answer):
    return answer.status_code, answer.json().get("code")


def auditor_of(registry):
    return registry.live.as_(Role.AUDITOR, subject="sun")


async def opened(registry, **given):
    """Opens an audit; by default of the whole county and all of November, for sun."""
    leader = registry.live.as_(Role.COUNTY_LEADER, subject="county-head")
    answer = await leader.post(ENGAGEMENTS, audit(**given))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def looks(registry, role=Role.PRIVACY, division=COUNTY, **filters):
    """What is on record."""
    answer = await registry.live.as_(role, subject="asker", division=division).get(LOOKS, **filters)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.fixture
def auditor(small):
    return auditor_of(small)


async def test_without_an_engagement_an_auditor_is_told_how_to_get_one(small, auditor):
    answer = await auditor.get(HOMES)
    assert said(answer) == (403, "no_engagement")
    assert ENGAGEMENTS in answer.json()["detail"]
    assert await looks(small) == []


@pytest.mark.parametrize(
    ("day", "hour", "minute", "status"),
    [(2, 23, 59, 403), (3, 0, 0, 200), (9, 23, 59, 200), (10, 0, 0, 403)],
    ids=["the evening before", "first minute", "last minute", "the day after"],
)
async def test_first_and_last_day_are_days_in_the_county(small, auditor, day, hour, minute, status):
    await opened(small, since=FIRST.isoformat(), until=LAST.isoformat())
    small.live.clock.move_to(county_instant(date(2016, 11, day), hour, minute))
    assert (await auditor.get(HOMES)).status_code == status


async def test_a_closed_audit_is_closed_at_once(small, auditor):
    engagement = await opened(small)
    assert (await auditor.get(HOMES)).status_code == 200
    admin = small.live.as_(Role.COUNTY_ADMIN, subject="admin")
    path = f"{ENGAGEMENTS}/{engagement['id']}/endings"
    closed = await admin.post(path, {"reason": "审计结束"})
    assert closed.json()["ending"]["ended_by"] == "admin"
    assert said(await auditor.get(HOMES)) == (403, "no_engagement")
    assert said(await admin.post(path, {"reason": "审计结束"})) == (409, "mandate_ended")


async def test_an_auditor_sees_what_lies_in_his_engagement_and_in_his_token(registry):
    inside, outside = await registry.household(division=VILLAGE), await registry.household(division=OTHER_VILLAGE)
    await opened(registry, divisions=[TOWN])
    county_wide = registry.live.as_(Role.AUDITOR, subject="sun")
    assert [home["id"] for home in (await county_wide.get(HOMES)).json()["items"]] == [str(inside.id)]
    assert (await county_wide.get(f"{HOMES}/{inside.id}")).status_code == 200
    assert (await county_wide.get(f"{HOMES}/{outside.id}")).status_code == 404
    elsewhere = registry.live.as_(Role.AUDITOR, subject="sun", division=OTHER_VILLAGE)
    assert said(await elsewhere.get(HOMES)) == (403, "no_engagement")


async def test_another_auditors_engagement_is_not_his(small, auditor):
    await opened(small, auditors=["zhou"])
    assert said(await auditor.get(HOMES)) == (403, "no_engagement")


async def test_who_audits_writes_nothing_whatever_else_his_token_holds(small):
    await opened(small)
    both = small.live.as_(Role.AUDITOR, Role.TOWN_OFFICE, Role.COUNTY_ADMIN, subject="sun")
    household = await small.household()
    change = {"remark": "改", "reason": "改"}
    assert said(await both.patch(f"{HOMES}/{household.id}", change, etag='"1"')) == (403, "auditor_reads_only")
    assert said(await both.post(ENGAGEMENTS, audit())) == (403, "auditor_reads_only")
    assert said(await both.get(LOOKS)) == (200, None)


async def test_of_several_audits_he_names_one(small, auditor):
    first, second = await opened(small), await opened(small, object="易地搬迁")
    answer = await auditor.get(HOMES)
    assert said(answer) == (422, "engagement_unclear")
    assert sorted(answer.json()["engagements"]) == sorted([first["id"], second["id"]])
    named = await auditor.http.get(HOMES, headers={"daohu-engagement": second["id"]})
    assert named.status_code == 200
    assert [seen["mandate"] for seen in await looks(small)] == [second["id"]]
    unknown = await auditor.http.get(HOMES, headers={"daohu-engagement": "another"})
    assert said(unknown) == (403, "no_engagement")


async def test_who_opened_an_audit_of_two_towns_sees_and_closes_it(small):
    towns = [TOWN, OTHER_TOWN]
    leader = small.live.as_(Role.COUNTY_LEADER, subject="county-head", division=towns)
    opened_one = (await leader.post(ENGAGEMENTS, audit(divisions=towns))).json()
    path = f"{ENGAGEMENTS}/{opened_one['id']}"
    assert (await leader.get(path)).status_code == 200
    assert (await leader.post(f"{path}/endings", {"reason": "审计结束"})).status_code == 201
    of_one_town = small.live.as_(Role.COUNTY_LEADER, subject="deputy", division=TOWN)
    assert said(await of_one_town.get(path)) == (404, "mandate_unknown")


async def test_an_audit_is_opened_for_the_openers_area_for_days_to_come_and_not_too_long(small):
    leader = small.live.as_(Role.COUNTY_LEADER, subject="county-head", division=TOWN)
    town = {"divisions": [TOWN]}
    assert said(await leader.post(ENGAGEMENTS, audit())) == (403, "not_to_lend")
    assert said(await leader.post(ENGAGEMENTS, audit(**town, since="2016-10-31"))) == (409, "period_past")
    assert said(await leader.post(ENGAGEMENTS, audit(**town, until="2017-05-04"))) == (409, "period_too_long")
    assert (await leader.post(ENGAGEMENTS, audit(**town, until="2017-05-03"))).status_code == 201
    assert (await leader.post(ENGAGEMENTS, audit(**town, until="2016-10-31"))).status_code == 422
    assert (await leader.post(ENGAGEMENTS, audit(**town, auditors=["wang for li"]))).status_code == 422
    assert (await leader.post(ENGAGEMENTS, audit(**town, reason=f"电{TEST_PHONE_PREFIX}000001"))).status_code == 422


async def test_a_look_says_who_when_what_and_under_which_engagement(small, auditor):
    engagement, household = await opened(small), await small.household()
    await auditor.get(f"{HOMES}/{household.id}")
    [seen] = await looks(small)
    assert seen["at"].startswith(small.live.clock.now().isoformat()[:19])
    assert seen | {"id": 0, "at": ""} == {
        "id": 0, "at": "", "actor": "sun", "client": "tests", "action": f"GET {HOMES}/{{household_id}}",
        "objects": {"household_id": str(household.id)}, "filters": {}, "household": str(household.id), "person": None,
        "division": VILLAGE, "mandate": engagement["id"], "reason": None,
    }  # fmt: skip


async def test_what_was_not_found_or_not_understood_is_on_record_too(small, auditor):
    await opened(small)
    missing = "01930000-0000-7000-8000-00000000dead"
    assert (await auditor.get(f"{HOMES}/{missing}")).status_code == 404
    assert (await auditor.get(HOMES, status="no-such-status")).status_code == 422
    found, odd = await looks(small)
    assert (found["objects"], found["household"], found["division"]) == ({"household_id": missing}, None, COUNTY)
    assert odd["filters"] == {"status": "no-such-status"}


async def test_filters_are_on_record_but_for_the_place_in_a_list(small, auditor):
    await opened(small)
    household = await small.household()
    await auditor.get(HOMES, division=TOWN, limit=5)
    await auditor.get("/registry/v1/visits", household_id=str(household.id))
    lists, visits = await looks(small)
    assert lists["filters"] == {"division": TOWN}
    assert (visits["household"], visits["division"]) == (str(household.id), VILLAGE)


def test_all_values_of_a_filter_are_kept():
    assert kept([("seq", "1"), ("seq", "7"), ("limit", "5"), ("after", "WzFd")]) == {"seq": "1,7"}


async def test_nobodys_number_stays_in_a_look(small, auditor):
    await opened(small)
    await auditor.get(HOMES, household_no=small.person()["id_number"])
    [seen] = await looks(small)
    assert seen["filters"] == {"household_no": WITHHELD}


@pytest.mark.parametrize(
    "value", ["19900000001", "86 199 0000 0001", "440524188001010014", "4111 1111 1111 1111",
              "610926580101001", "no 11010519491231002X!", "１９９００００００１１"]
)  # fmt: skip
def test_a_number_that_may_be_somebodys_is_withheld(value):
    assert plain(value) == WITHHELD
    assert kept([(value, "1")]) == {WITHHELD: "1"}


@pytest.mark.parametrize("value", [COUNTY, "01930000-0000-7000-8000-000000000001", "6109261002010001", "XM-2016-1"])
def test_numbers_of_the_house_are_kept(value):
    assert plain(value) == value


async def test_what_cannot_be_recorded_is_not_answered(registry):
    auditor = auditor_of(registry)
    await opened(registry)
    household = await registry.household()
    async with registry.live.service.database.write() as tx:
        await tx.execute(text("drop table look"))
    answer = await auditor.get(f"{HOMES}/{household.id}")
    assert said(answer) == (503, "unavailable")
    assert household.household_no not in answer.text
    assert (await registry.office.get(f"{HOMES}/{household.id}")).status_code == 200


async def test_discipline_inspection_reads_without_an_engagement_and_on_record(small):
    household = await small.household()
    inspector = small.live.as_(Role.DISCIPLINE, subject="gao")
    assert (await inspector.get(f"{HOMES}/{household.id}")).status_code == 200
    assert (await small.office.get(f"{HOMES}/{household.id}")).status_code == 200
    [seen] = await looks(small)
    assert (seen["actor"], seen["mandate"]) == ("gao", None)


@pytest.mark.parametrize("role", sorted(ONLOOKERS - {Role.DEPARTMENT_CHIEF}))
async def test_who_keeps_no_files_reads_a_households_on_record(small, role):
    household, onlooker = await small.household(), small.live.as_(role, subject="gao")
    for path in ("", "/history", "/as-of"):
        assert (await onlooker.get(f"{HOMES}/{household.id}{path}")).status_code == 200
    await onlooker.get(HOMES)
    assert [(seen["actor"], seen["household"]) for seen in await looks(small)] == [("gao", str(household.id))] * 3


async def test_who_works_with_the_files_is_not_on_record(small):
    household = await small.household()
    for client in (small.office, small.town, small.village(Role.VILLAGE_CLERK, "li")):
        assert (await client.get(f"{HOMES}/{household.id}")).status_code == 200
    assert await looks(small) == []


async def test_looks_are_found_by_household_person_actor_and_day(registry):
    auditor = auditor_of(registry)
    await opened(registry)
    mine, other = await registry.household(), await registry.household()
    member = (await registry.office.get(f"{HOMES}/{mine.id}")).json()["members"][0]["id"]
    await auditor.get(f"{HOMES}/{mine.id}")
    await auditor.get(f"{HOMES}/{other.id}")
    registry.live.pass_days(1)
    privacy = registry.live.as_(Role.PRIVACY, subject="zhao")
    await privacy.post(f"{HOMES}/{mine.id}/members/{member}/unmask", {"reason": "本人申请"})
    assert [seen["actor"] for seen in await looks(registry, household=str(mine.id))] == ["sun", "zhao"]
    assert [seen["household"] for seen in await looks(registry, by="sun")] == [str(mine.id), str(other.id)]
    assert [seen["reason"] for seen in await looks(registry, person=member)] == ["本人申请"]
    assert [seen["actor"] for seen in await looks(registry, since="2016-11-02", until="2016-11-02")] == ["zhao"]
    assert [seen["actor"] for seen in await looks(registry, until="2016-11-01")] == ["sun", "sun"]


async def test_looks_come_page_by_page(small, auditor):
    await opened(small)
    for _ in range(3):
        await auditor.get(HOMES)
    asker, seen, after = small.live.as_(Role.COUNTY_ADMIN, subject="asker"), [], {}
    while True:
        page = (await asker.get(LOOKS, limit=2, **after)).json()
        seen += [seen["id"] for seen in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(seen) == 3
    assert seen == sorted(set(seen))


async def test_looks_are_told_to_whom_the_place_belongs(small, auditor):
    await opened(small)
    here, there = await small.household(division=VILLAGE), await small.household(division=OTHER_VILLAGE)
    for household in (here, there):
        await auditor.get(f"{HOMES}/{household.id}")
    await auditor.get(HOMES)
    assert [seen["household"] for seen in await looks(small, division=TOWN)] == [str(here.id)]
    assert len(await looks(small, division=COUNTY)) == 3
    assert said(await small.town.get(LOOKS)) == (403, "forbidden")


async def test_a_look_is_neither_changed_nor_deleted_before_its_time(registry):
    """Its time is told by the database's own clock, so the row that must stay is one of the far future."""
    auditor = auditor_of(registry)
    await opened(registry)
    await auditor.get(HOMES)
    database, late = registry.live.service.database, county_instant(date(2999, 1, 1))
    async with database.write() as tx:
        await store.add(tx, store.Look(at=late, actor="sun", client="tests", action="GET /", division=COUNTY))
    for change in (update(look).values(actor="nobody"), delete(look).where(look.c.actor == "sun")):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as tx:
                await tx.execute(change)


async def test_looks_are_forgotten_after_three_years(registry):
    auditor = auditor_of(registry)
    await opened(registry)
    await auditor.get(HOMES)
    now = registry.live.clock.now()
    for years, left in ((timedelta(days=1096), 1), (timedelta(days=1098), 0)):
        async with registry.live.service.database.write() as tx:
            await retention.forget_old(tx, now=now + years)
        assert len(await looks(registry)) == left
