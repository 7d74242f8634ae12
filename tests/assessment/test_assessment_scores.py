"""Scores through the API: computed, explained, changed by a withdrawal, decided by people."""

from datetime import date
from uuid import uuid4

import pytest

from shared.events.funds import FundAllocated, TranchePaid
from shared.roles import Role
from shared.scope import Level
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE
from tests.assessment.conftest import PERIOD

TOWN_SUBJECT, OTHER_SUBJECT = f"town:{TOWN}", f"town:{OTHER_TOWN}"
DECEMBER = date(2016, 12, 1)


async def live_a_month(county):
    """Both towns have households, visits, money and reports. Returns the first visit in the town."""
    households = [await county.household() for _ in range(3)]
    others = [await county.household(OTHER_VILLAGE) for _ in range(2)]
    first = await county.visit(households[0])
    await county.visit(households[1])
    await county.visit(others[0], "S-2", OTHER_VILLAGE)
    await county.exit(households[2])
    for town in (TOWN, OTHER_TOWN):
        await county.money(FundAllocated, 1000, town)
        await county.money(TranchePaid, 333, town)
    await county.report("T-1", 45, on_time=True)
    await county.report("T-1", 46, on_time=None)
    return first


async def test_a_run_scores_every_town_and_cadre_and_nobody_else(county):
    await live_a_month(county)
    run = await county.score()
    assert (run["no"], run["subjects"], run["changed"]) == (1, 5, 5)
    assert set(await county.scores()) == {TOWN_SUBJECT, OTHER_SUBJECT, "cadre:S-1", "cadre:S-2", "cadre:T-1"}
    assert set(await county.scores(kind="town")) == {TOWN_SUBJECT, OTHER_SUBJECT}
    assert set(await county.scores(division=OTHER_TOWN)) == {OTHER_SUBJECT, "cadre:S-2"}


async def test_each_explanation_adds_up_down_to_the_event(county):
    await live_a_month(county)
    await county.score()
    for subject, item in (await county.scores()).items():
        explained = await county.explanation(subject)
        assert sum(i["points_milli"] for i in explained["indicators"]) == item["score_milli"]
        for indicator in explained["indicators"]:
            assert sum(c["points_milli"] for c in indicator["contributions"]) == indicator["points_milli"]
            assert indicator["hidden"] == 0


async def test_an_explanation_names_the_event_and_says_what_happened(county):
    first = await live_a_month(county)
    await county.score()
    coverage = await county.indicator(TOWN_SUBJECT, "visit_coverage")
    assert (coverage["done"], coverage["due"], coverage["points_milli"]) == (2, 3, 20_000)
    named = next(c for c in coverage["contributions"] if c["event_id"] == str(first))
    assert named["what"] == f"走访 {VILLAGE}00001"
    assert (named["on"], named["bears"], named["points_milli"]) == ("2016-11-07", "counted", 10_000)


async def test_scoring_again_without_news_changes_nothing(county):
    await live_a_month(county)
    await county.score()
    before = await county.scores()
    assert (await county.score())["changed"] == 0
    assert await county.scores() == before


async def test_withdrawing_a_fact_changes_exactly_the_subjects_the_engine_lists(county):
    first = await live_a_month(county)
    await county.score()
    before = await county.scores()
    path = f"/assessment/v1/facts/{first}/affected"
    foreseen = (await county.admin.get(path)).json()["affected"]
    answer = await county.withdraw(first)
    assert answer.status_code == 201, answer.text
    listed = answer.json()["affected"]
    assert listed == foreseen
    assert {(each["subject"], each["period"]) for each in listed} == {(TOWN_SUBJECT, PERIOD), ("cadre:S-1", PERIOD)}
    changed = await county.changes(await county.score())
    assert changed == {each["subject"] for each in listed}
    after = await county.scores()
    assert {s for s in before if before[s] != after[s]} == changed
    for each in listed:
        assert each["score_milli"] == before[each["subject"]]["score_milli"]
        assert each["score_milli_without"] == after[each["subject"]]["score_milli"]


async def test_a_withdrawn_fact_stays_on_record_and_is_withdrawn_once(county):
    first = await live_a_month(county)
    assert (await county.withdraw(first)).status_code == 201
    fact = (await county.admin.get(f"/assessment/v1/facts/{first}")).json()
    assert (fact["withdrawn_by"], fact["withdrawn_because"]) == ("admin", "走访未实际发生")
    again = await county.withdraw(first)
    assert (again.status_code, again.json()["code"]) == (409, "already_withdrawn")


async def test_money_of_an_earlier_month_bears_on_every_scored_month_since(county):
    allocated = await county.money(FundAllocated, 1000)
    await county.money(TranchePaid, 500)
    await county.score()
    county.live.pass_days(31)
    await county.score("2016-12")
    listed = (await county.withdraw(allocated)).json()["affected"]
    assert [(each["subject"], each["period"]) for each in listed] == [
        (TOWN_SUBJECT, "2016-11"),
        (TOWN_SUBJECT, "2016-12"),
    ]


async def test_an_older_version_can_still_be_read(county):
    first = await live_a_month(county)
    await county.score()
    points = (await county.explanation(TOWN_SUBJECT))["score_milli"]
    await county.withdraw(first)
    await county.score()
    assert (await county.explanation(TOWN_SUBJECT))["version"] == 2
    assert (await county.explanation(TOWN_SUBJECT, version=1))["score_milli"] == points


async def test_a_new_score_is_published_and_the_same_score_is_not(county):
    await live_a_month(county)
    await county.score()
    await county.score()
    published = [body for type, body in await county.live.recorded() if type == "assessment.score_published.v1"]
    assert sorted(body["subject"] for body in published) == sorted(await county.scores())


async def test_the_grade_is_named_in_both_languages(county):
    await county.score()
    assert (await county.scores())["cadre:S-1"]["grade"] == {"key": "poor", "name": "较差", "name_en": "Poor"}


async def test_a_household_that_left_the_register_is_not_due_a_visit(county):
    kept, left = await county.household(), await county.household()
    await county.visit(kept)
    await county.household(status="exited", id=left)
    await county.score()
    coverage = await county.indicator(TOWN_SUBJECT, "visit_coverage")
    assert (coverage["done"], coverage["due"]) == (1, 1)


async def test_a_period_to_come_is_not_scored(county):
    answer = await county.office.post("/assessment/v1/scores/runs", {"division": COUNTY, "period": "2016-12"})
    assert (answer.status_code, answer.json()["code"]) == (409, "period_not_begun")


async def test_the_night_scores_what_was_recorded_before_it_and_once_a_date(county):
    household = await county.household()
    await county.visit(household)
    await county.night(date(2016, 11, 8))
    first = await county.scores()
    assert first["cadre:S-1"]["score_milli"] == 15_000 + 40_000
    await county.visit(household, day=8)
    await county.night(date(2016, 11, 8), hour=18)
    assert await county.scores() == first
    await county.night(date(2016, 11, 9))
    assert (await county.scores())["cadre:S-1"]["score_milli"] == 30_000 + 40_000


async def test_the_night_keeps_the_last_month_while_visits_may_be_entered_for_it(county):
    household = await county.household()
    await county.night(DECEMBER)
    county.live.pass_days(1)
    await county.visit(household, day=30)
    await county.night(date(2016, 12, 3))
    assert (await county.scores())["cadre:S-1"]["score_milli"] == 15_000 + 40_000
    assert set(await county.scores("2016-12")) == set(await county.scores())


async def test_the_night_passes_over_a_county_without_a_scheme(county):
    await county.place("421100000000", "外县", Level.COUNTY)
    await county.night(DECEMBER)
    assert set(await county.scores())


async def confirm(county, subject=TOWN_SUBJECT, *, actor="leader", version=1, **given):
    client = county.live.as_(Role.COUNTY_LEADER, subject=actor)
    headers = {"if-match": f'"{version}"'}
    order = {"period": PERIOD, **given}
    return await client.post(f"/assessment/v1/scores/{subject}/confirmations", order, headers=headers)


async def appeal(county, *, actor="chief", version=1):
    client = county.live.as_(Role.TOWN_CHIEF, subject=actor, division=TOWN)
    order = {"period": PERIOD, "reason": "资金已于月底拨付"}
    headers = {"if-match": f'"{version}"'}
    return await client.post(f"/assessment/v1/scores/{TOWN_SUBJECT}/appeals", order, headers=headers)


@pytest.fixture
async def ended(county):
    await live_a_month(county)
    county.live.pass_days(30)
    await county.score()
    return county


async def test_a_score_is_proposed_until_a_person_confirms_it(ended):
    assert (await ended.scores())[TOWN_SUBJECT]["state"] == "proposed"
    assert (await confirm(ended)).json()["state"] == "confirmed"
    again = await confirm(ended)
    assert (again.status_code, again.json()["code"]) == (409, "already_confirmed")


async def test_a_running_month_is_not_confirmed(county):
    await county.score()
    refused = await confirm(county)
    assert (refused.status_code, refused.json()["code"]) == (409, "period_not_over")


async def test_who_had_it_computed_does_not_confirm_it(ended):
    refused = await confirm(ended, actor="office")
    assert (refused.status_code, refused.json()["code"]) == (409, "same_person")


async def test_nobody_confirms_his_own_score(ended):
    refused = await confirm(ended, "cadre:S-1", actor="S-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "same_person")
    assert (await confirm(ended, "cadre:S-1", actor="S-2")).json()["state"] == "confirmed"


async def test_an_appeal_is_answered_by_somebody_else_before_the_score_is_confirmed(ended):
    assert (await appeal(ended)).json()["state"] == "appealed"
    assert (await appeal(ended)).json()["code"] == "already_appealed"
    assert (await confirm(ended)).json()["code"] == "appeal_not_answered"
    assert (await confirm(ended, actor="chief", answer="不成立")).json()["code"] == "same_person"
    confirmed = (await confirm(ended, answer="经核查，拨付日期为下月")).json()
    assert [(d["kind"], d["actor"]) for d in confirmed["decisions"]] == [("appealed", "chief"), ("confirmed", "leader")]
    assert (await appeal(ended)).json()["code"] == "already_confirmed"


async def test_a_score_computed_anew_is_proposed_again(ended):
    await confirm(ended)
    fact = next(f for f in await facts(ended) if f["type"] == "registry.household_exited.v1")
    await ended.withdraw(fact["event_id"])
    await ended.score()
    assert (await ended.scores())[TOWN_SUBJECT]["state"] == "proposed"
    assert (await confirm(ended)).status_code == 412
    assert (await confirm(ended, version=2)).json()["state"] == "confirmed"


async def facts(county):
    return (await county.admin.get("/assessment/v1/facts")).json()["items"]


async def test_a_decision_needs_the_version_it_is_about(ended):
    client = ended.live.as_(Role.COUNTY_LEADER, subject="leader")
    path = f"/assessment/v1/scores/{TOWN_SUBJECT}/confirmations"
    assert (await client.post(path, {"period": PERIOD})).status_code == 428


async def test_a_town_sees_its_own_scores_and_no_others(ended):
    chief = ended.live.as_(Role.TOWN_CHIEF, division=TOWN)
    items = (await chief.get("/assessment/v1/scores", period=PERIOD)).json()["items"]
    assert {item["subject"] for item in items} == {TOWN_SUBJECT, "cadre:S-1", "cadre:T-1"}
    path = "/assessment/v1/scores/{}/explanation"
    assert (await chief.get(path.format(OTHER_SUBJECT), period=PERIOD)).status_code == 404
    assert (await chief.get(path.format(TOWN_SUBJECT), period=PERIOD)).status_code == 200
    assert (await chief.get("/assessment/v1/scores/runs")).json()["items"] == []


async def test_what_a_cadre_did_in_another_town_is_hidden_from_his_own_but_adds_up(county):
    await county.import_directory(("S-1", "王立春", "第一书记", "", "县财政局", OTHER_VILLAGE, "2015-01-01"))
    elsewhere = await county.household(OTHER_VILLAGE)
    visit = await county.visit(elsewhere, "S-1", OTHER_VILLAGE)
    await county.score()
    chief = county.live.as_(Role.TOWN_CHIEF, division=TOWN)
    answer = await chief.get("/assessment/v1/scores/cadre:S-1/explanation", period=PERIOD)
    visits = next(i for i in answer.json()["indicators"] if i["key"] == "visits")
    assert (visits["contributions"], visits["hidden"], visits["hidden_points_milli"]) == ([], 1, 15_000)
    assert str(visit) not in answer.text
    assert OTHER_VILLAGE not in answer.text


async def test_a_visit_recorded_in_a_strange_village_for_a_cadre_raises_nobody_s_score_there(county):
    """It is kept as evidence and shown in the explanation, without points."""
    elsewhere = await county.household(OTHER_VILLAGE)
    visit = await county.visit(elsewhere, "S-1", OTHER_VILLAGE)
    await county.score()
    visits = await county.indicator("cadre:S-1", "visits")
    assert [(c["event_id"], c["points_milli"], c["bears"]) for c in visits["contributions"]] == [
        (str(visit), 0, "out_of_place")
    ]
    affected = (await county.withdraw(visit)).json()["affected"]
    assert {effect["subject"]: effect["score_milli"] - effect["score_milli_without"] for effect in affected}[
        "cadre:S-1"
    ] == 0


async def test_the_effects_outside_the_area_are_not_told(county):
    elsewhere = await county.household(OTHER_VILLAGE)
    visit = await county.visit(elsewhere, "S-1", OTHER_VILLAGE)
    await county.score()
    supervisor = county.live.as_(Role.SUPERVISOR, division=OTHER_TOWN)
    listed = (await supervisor.get(f"/assessment/v1/facts/{visit}/affected")).json()["affected"]
    assert [each["subject"] for each in listed] == [OTHER_SUBJECT]


async def test_a_fact_of_another_area_cannot_be_read_or_withdrawn(county):
    visit = await live_a_month(county)
    supervisor = county.live.as_(Role.SUPERVISOR, division=OTHER_TOWN)
    assert (await supervisor.get(f"/assessment/v1/facts/{visit}")).status_code == 404
    path = f"/assessment/v1/facts/{visit}/withdrawals"
    assert (await supervisor.post(path, {"reason": "x"})).status_code == 404
    assert str(visit) not in (await supervisor.get("/assessment/v1/facts")).text


async def test_nobody_withdraws_what_counts_in_his_own_score(county):
    missed = await county.report("S-1", 45, on_time=None)
    path, reason = f"/assessment/v1/facts/{missed}/withdrawals", {"reason": "当日出差"}
    himself = county.live.as_(Role.SUPERVISOR, subject="s-1")
    answer = await himself.post(path, reason)
    assert (answer.status_code, answer.json()["code"]) == (409, "same_person")
    assert (await county.live.as_(Role.SUPERVISOR, subject="S-2").post(path, reason)).status_code == 201


async def test_only_supervision_and_the_administrator_withdraw_facts(county):
    visit = await live_a_month(county)
    path = f"/assessment/v1/facts/{visit}/withdrawals"
    assert (await county.office.post(path, {"reason": "x"})).status_code == 403


async def test_facts_are_paged_by_business_date(county):
    await live_a_month(county)
    seen, after = [], None
    while True:
        params = {"limit": 3} | ({"after": after} if after else {})
        page = (await county.admin.get("/assessment/v1/facts", **params)).json()
        seen += [fact["on"] for fact in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == 10
    assert seen == sorted(seen)


async def test_an_unknown_fact_is_not_found(county):
    assert (await county.withdraw(uuid4())).status_code == 404
