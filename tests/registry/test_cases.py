"""Identification and exit through the API, by people of the village, the town and the county."""

import pytest

from shared.events.registry import HouseholdExited, HouseholdIdentified, HouseholdRecorded
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN

CASES = "/registry/v1/cases"
ATTENDANCE = {"present": 20, "total": 30}
EXCLUSIONS = ("vehicle_or_house", "public_payroll", "village_committee", "shop_or_transport")
CRITERIA = ("income", "housing", "education", "medical_insurance", "water", "household_consents")


def replies(keys, answer):
    return [{"key": key, "answer": answer, "evidence": "2016-11-02 入户核查"} for key in keys]


class Procedure:
    """A case and the people who take it through its steps."""

    def __init__(self, registry):
        self.registry = registry
        self.id = None

    @property
    def clerk(self):
        return self.registry.village(Role.VILLAGE_CLERK, "li")

    @property
    def team(self):
        return self.registry.village(Role.TEAM_MEMBER, "wang")

    @property
    def secretary(self):
        return self.registry.village(Role.FIRST_SECRETARY, "zhao")

    async def open(self, kind, by=None, **given):
        answer = await (by or self.team).post(CASES, {"kind": kind, **given})
        if answer.status_code == 201:
            self.id = answer.json()["id"]
        return answer

    async def show(self, by=None):
        return (await (by or self.registry.office).get(f"{CASES}/{self.id}")).json()

    async def etag(self):
        return (await self.registry.office.get(f"{CASES}/{self.id}")).headers["etag"]

    async def decide(self, by, step, verdict="pass", etag=None, **given):
        order = {"step": step, "verdict": verdict, **given}
        return await by.post(f"{CASES}/{self.id}/decisions", order, headers={"if-match": etag or await self.etag()})

    async def post(self, by, step, place="村务公开栏"):
        return await by.post(
            f"{CASES}/{self.id}/notices", {"step": step, "place": place}, headers={"if-match": await self.etag()}
        )

    async def object(self, by, text="该户有一辆轿车。"):
        return await by.post(f"{CASES}/{self.id}/objections", {"text": text})

    async def answer(self, by, finding="dismissed"):
        return await by.post(
            f"{CASES}/{self.id}/objections/1/answers", {"finding": finding, "text": "经查，车辆属于亲戚。"}
        )

    async def publish(self, by, step, days):
        await self.post(by, step)
        self.registry.live.pass_days(days)
        answer = await self.decide(by, step)
        assert answer.status_code == 201, answer.text

    async def to_publicity(self, household_id):
        """An exit case that waits for its publicity."""
        await self.open("exit", household_id=str(household_id))
        await self.decide(self.clerk, "village_review", attendance=ATTENDANCE)
        answer = await self.decide(self.secretary, "verification", checklist=replies(CRITERIA, "yes"))
        assert answer.json()["waits"]["step"] == "publicity", answer.text


@pytest.fixture
def case(small):
    return Procedure(small)


def problem(answer):
    body = answer.json()
    return answer.status_code, body["code"]


@pytest.mark.rule("REG-002")
async def test_a_new_household_is_identified_through_its_whole_procedure(registry):
    case, registry_clerk = Procedure(registry), registry.village(Role.VILLAGE_CLERK, "li")
    file = registry.file(people=4, incomes={"2016": 200_000})
    opened = await case.open("identification", household=file)
    assert (opened.status_code, opened.json()["waits"]["step"]) == (201, "village_review")

    await case.decide(registry_clerk, "village_review", attendance=ATTENDANCE, checklist=replies(EXCLUSIONS, "no"))
    await case.publish(registry_clerk, "first_publicity", 7)
    await case.decide(registry.town, "town_review", checklist=replies(("income", "guarantees"), "yes"))
    await case.publish(registry.town, "second_publicity", 7)
    decided = await case.decide(registry.office, "county_decision")
    day_of_decision = registry.live.clock.now().date().isoformat()
    assert (decided.json()["state"], decided.json()["waits"]["step"]) == ("open", "announcement")
    assert await registry.facts(HouseholdIdentified) == []
    await case.publish(registry_clerk, "announcement", 5)

    shown = await case.show()
    assert (shown["state"], shown["decided_on"], shown["waits"]) == ("passed", day_of_decision, None)
    [identified] = await registry.facts(HouseholdIdentified)
    assert (identified["household_no"], identified["people"], identified["decided_on"]) == (
        file["household_no"],
        4,
        day_of_decision,
    )
    assert [fact["status"] for fact in await registry.facts(HouseholdRecorded)] == ["candidate", "registered"]


@pytest.mark.rule("REG-024")
async def test_a_household_exits_through_its_whole_procedure(registry):
    case, household = Procedure(registry), await registry.household()
    await case.to_publicity(household.id)
    await case.publish(case.clerk, "publicity", 7)
    await case.decide(registry.office, "county_decision")
    await case.publish(case.clerk, "announcement", 5)

    [exited] = await registry.facts(HouseholdExited)
    assert (exited["household_id"], exited["case_id"]) == (str(household.id), case.id)
    assert [fact["status"] for fact in await registry.facts(HouseholdRecorded)][-1] == "exited"


async def test_a_notice_ends_on_its_last_day_and_not_before(case):
    await case.to_publicity((await case.registry.household()).id)
    await case.post(case.clerk, "publicity")
    case.registry.live.pass_days(6)
    answer = await case.decide(case.clerk, "publicity")
    assert (*problem(answer), answer.json()["days_left"]) == (409, "publicity_not_elapsed", 1)
    assert (await case.show())["waits"]["days_left"] == 1
    case.registry.live.pass_days(1)
    assert (await case.decide(case.clerk, "publicity")).status_code == 201


@pytest.mark.rule("REG-154")
async def test_an_open_objection_holds_the_case_until_another_person_answers(case):
    await case.to_publicity((await case.registry.household()).id)
    await case.post(case.clerk, "publicity")
    objection = await case.object(case.clerk)
    assert (objection.status_code, objection.json()["ref"]) == (201, 1)
    case.registry.live.pass_days(7)
    assert problem(await case.decide(case.clerk, "publicity")) == (409, "objection_open")
    assert problem(await case.answer(case.clerk)) == (409, "same_person")
    assert (await case.answer(case.secretary)).json()["finding"] == "dismissed"
    assert (await case.decide(case.clerk, "publicity")).status_code == 201


async def test_a_rejection_ends_the_case_and_says_why(case):
    await case.to_publicity((await case.registry.household()).id)
    await case.post(case.clerk, "publicity")
    await case.object(case.team)
    await case.answer(case.secretary, finding="upheld")
    answer = await case.decide(case.clerk, "publicity", "reject", reason="异议属实")
    assert (answer.json()["state"], answer.json()["closed_on"]) == ("rejected", "2016-11-01")
    assert [step["reason"] for step in answer.json()["steps"] if step["verdict"] == "reject"] == ["异议属实"]


async def test_a_rejected_household_may_try_again(case):
    household = await case.registry.household()
    await case.open("exit", household_id=str(household.id))
    await case.decide(case.clerk, "village_review", "reject", reason="尚不稳定")
    again = await case.open("exit", household_id=str(household.id))
    assert (again.status_code, again.json()["case_no"]) == (201, f"{household.household_no}-2")


async def test_a_rejection_without_a_reason_is_malformed(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    assert problem(await case.decide(case.clerk, "village_review", "reject")) == (422, "malformed")


async def test_a_household_has_one_open_case(case):
    household = await case.registry.household()
    first = await case.open("exit", household_id=str(household.id))
    second = await case.open("exit", household_id=str(household.id))
    assert (*problem(second), second.json()["case_no"]) == (409, "case_open", first.json()["case_no"])


async def test_the_same_client_ref_gives_the_same_case(case):
    household = await case.registry.household()
    first = await case.open("exit", household_id=str(household.id), client_ref="phone-7")
    again = await case.open("exit", household_id=str(household.id), client_ref="phone-7")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])


async def test_who_was_identified_this_year_does_not_exit_this_year(case):
    household = await case.registry.household(identified_on=case.registry.live.clock.now().date())
    assert problem(await case.open("exit", household_id=str(household.id))) == (409, "identified_same_year")


async def test_only_a_registered_household_exits(case):
    candidate = await case.registry.candidate()
    assert problem(await case.open("exit", household_id=str(candidate.id))) == (409, "wrong_status")


async def test_only_a_candidate_is_identified(case):
    household = await case.registry.household()
    assert problem(await case.open("identification", household_id=str(household.id))) == (409, "wrong_status")


@pytest.mark.rule("REG-004", "REG-024")
@pytest.mark.parametrize(("income_fen", "code"), [(295_200, "income_against_line"), (None, "income_unknown")])
async def test_an_exit_needs_an_income_above_the_line_of_the_year(case, income_fen, code):
    household = await case.registry.household(incomes={} if income_fen is None else {"2016": income_fen})
    await case.open("exit", household_id=str(household.id))
    await case.decide(case.clerk, "village_review", attendance=ATTENDANCE)
    answer = await case.decide(case.secretary, "verification", checklist=replies(CRITERIA, "yes"))
    assert problem(answer) == (409, code)


@pytest.mark.rule("REG-002")
async def test_a_low_income_alone_identifies_nobody(case):
    await case.open("identification", household=case.registry.file(incomes={"2016": 200_000}))
    await case.decide(case.clerk, "village_review", attendance=ATTENDANCE, checklist=replies(EXCLUSIONS, "no"))
    await case.publish(case.clerk, "first_publicity", 7)
    checklist = [*replies(["income"], "yes"), *replies(["guarantees"], "no")]
    answer = await case.decide(case.registry.town, "town_review", checklist=checklist)
    assert (*problem(answer), answer.json()["criteria"]) == (409, "criterion_not_met", ["guarantees"])


async def test_one_exclusion_bars_the_identification(case):
    await case.open("identification", household_id=str((await case.registry.candidate()).id))
    checklist = [*replies(EXCLUSIONS[1:], "no"), *replies(EXCLUSIONS[:1], "yes")]
    answer = await case.decide(case.clerk, "village_review", attendance=ATTENDANCE, checklist=checklist)
    assert (*problem(answer), answer.json()["criteria"]) == (409, "criterion_not_met", ["vehicle_or_house"])


async def test_who_applied_does_not_review(case):
    await case.open("exit", by=case.clerk, household_id=str((await case.registry.household()).id))
    assert problem(await case.decide(case.clerk, "village_review", attendance=ATTENDANCE)) == (409, "same_person")


async def test_the_county_administrator_decides_nothing(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    admin = case.registry.live.as_(Role.COUNTY_ADMIN, subject="root")
    assert problem(await case.decide(admin, "village_review", attendance=ATTENDANCE)) == (403, "forbidden")


async def test_a_step_of_the_county_is_not_for_a_person_of_the_town(case):
    await case.to_publicity((await case.registry.household()).id)
    await case.publish(case.clerk, "publicity", 7)
    local = case.registry.live.as_(Role.POVERTY_OFFICE, subject="wu", division=TOWN)
    assert problem(await case.decide(local, "county_decision")) == (403, "not_your_step")


async def test_a_decision_from_an_old_version_is_stale(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    assert problem(await case.decide(case.clerk, "village_review", etag='"7"', attendance=ATTENDANCE)) == (412, "stale")


async def test_a_repeated_decision_takes_effect_once(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    order = {"step": "village_review", "verdict": "pass", "attendance": ATTENDANCE}
    send = {"headers": {"if-match": '"1"'}, "key": "once"}
    first = await case.clerk.post(f"{CASES}/{case.id}/decisions", order, **send)
    again = await case.clerk.post(f"{CASES}/{case.id}/decisions", order, **send)
    assert (first.status_code, again.json(), (await case.show())["version"]) == (201, first.json(), 2)


async def test_a_notice_shows_no_number_of_a_person(case):
    household = await case.registry.household()
    await case.to_publicity(household.id)
    notice = (await case.post(case.clerk, "publicity")).json()
    assert (notice["people"], notice["ends_on"]) == (3, "2016-11-08")
    assert notice["head_name_masked"] in notice["text_zh"]
    assert "王试验" not in notice["text_zh"]
    assert "990926" not in str(notice)


async def test_a_notice_keeps_what_hung_on_the_board(case):
    await case.to_publicity((await case.registry.household()).id)
    posted = (await case.post(case.clerk, "publicity")).json()
    assert (await case.registry.office.get(f"{CASES}/{case.id}/notices")).json() == [posted]


async def test_evidence_must_not_hold_a_number_of_a_person(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    answer = await case.decide(case.clerk, "village_review", attendance=ATTENDANCE, reason="电话 19900000000")
    assert (*problem(answer), answer.json()["errors"][0]["code"]) == (422, "malformed", "personal_number")
    assert "19900000000" not in answer.text


async def test_another_village_cannot_tell_that_the_case_exists(case):
    await case.open("exit", household_id=str((await case.registry.household()).id))
    stranger = case.registry.village(Role.VILLAGE_CLERK, "sun", OTHER_VILLAGE)
    for answer in (
        await stranger.get(f"{CASES}/{case.id}"),
        await stranger.get(f"{CASES}/{case.id}/notices"),
        await stranger.post(f"{CASES}/{case.id}/objections", {"text": "?"}),
        await stranger.post(f"{CASES}/{case.id}/objections/1/answers", {"text": "?", "finding": "upheld"}),
        await stranger.post(
            f"{CASES}/{case.id}/notices", {"step": "publicity", "place": "?"}, headers={"if-match": '"1"'}
        ),
        await stranger.post(
            f"{CASES}/{case.id}/decisions", {"step": "village_review", "verdict": "pass"}, headers={"if-match": '"1"'}
        ),
    ):
        assert problem(answer) == (404, "case_unknown")
    assert (await stranger.get(CASES)).json() == {"items": [], "next": None}


async def test_a_file_for_another_village_is_refused(case):
    answer = await case.open("identification", household=case.registry.file(division=OTHER_VILLAGE))
    assert problem(answer) == (404, "division_unknown")


async def test_the_list_is_filtered_and_paged_by_case_number(case):
    numbers = []
    for _ in range(3):
        opened = await case.open("exit", household_id=str((await case.registry.household()).id))
        numbers.append(opened.json()["case_no"])
    await case.decide(case.clerk, "village_review", "reject", reason="不稳定")
    office = case.registry.office
    first = (await office.get(CASES, limit=2)).json()
    second = (await office.get(CASES, limit=2, after=first["next"])).json()
    assert [item["case_no"] for item in [*first["items"], *second["items"]]] == numbers
    assert [item["case_no"] for item in (await office.get(CASES, state="rejected")).json()["items"]] == numbers[2:]
    assert (await office.get(CASES, kind="identification")).json()["items"] == []
    assert (await office.get(CASES, division=OTHER_TOWN)).json()["items"] == []
    assert len((await office.get(CASES, division=COUNTY)).json()["items"]) == 3
    assert problem(await office.get(CASES, village="x")) == (422, "malformed")


async def test_a_rejection_needs_no_income_and_no_line_of_the_year(case):
    """The pack may have no line for the year any more; who rejects says why, and that is all it takes."""
    household = await case.registry.household()
    case.registry.live.pass_days(800)
    await case.open("exit", household_id=str(household.id))
    await case.decide(case.clerk, "village_review", attendance=ATTENDANCE)
    answer = await case.decide(case.secretary, "verification", verdict="reject", reason="住房不安全。")
    assert (answer.status_code, answer.json()["state"]) == (201, "rejected"), answer.text
