"""Households: read in the caller's area, changed with history, personal data masked."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from services.registry.households import domain, service
from services.registry.households.domain import Entry, as_of
from services.registry.households.schemas import HouseholdIn
from shared.events.registry import HouseholdRecorded
from shared.pii import make_check_digit
from shared.roles import Role
from shared.tables import idempotency, look
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

PATH = "/registry/v1/households"
WHY = {"reason": "入户核实"}


@pytest.fixture
def clerk(registry):
    return registry.village(Role.VILLAGE_CLERK, "clerk")


def problem(answer):
    return answer.status_code, answer.json()["code"]


async def test_a_file_shows_its_people_with_masked_numbers(registry, clerk):
    household = await registry.household()
    answer = await clerk.get(f"{PATH}/{household.id}")
    file = answer.json()
    assert (answer.headers["etag"], file["people"], len(file["members"])) == ('"2"', 3, 3)
    assert {member["id_number_masked"].count("*") for member in file["members"]} == {16}
    assert file["incomes"] == [{"year": 2016, "net_per_head_fen": 295201, "net_per_head_yuan": "2952.01"}]


async def test_a_change_needs_the_version_it_was_made_from(registry, clerk):
    id = (await registry.household()).id
    assert problem(await clerk.http.patch(f"{PATH}/{id}", json={"housing": "02", **WHY})) == (
        428,
        "precondition_required",
    )
    assert problem(await clerk.patch(f"{PATH}/{id}", {"housing": "02", **WHY}, etag='"1"')) == (412, "stale")
    changed = await clerk.patch(f"{PATH}/{id}", {"housing": "02", **WHY}, etag='"2"')
    assert (changed.status_code, changed.headers["etag"], changed.json()["housing"]) == (200, '"3"', "02")


async def test_every_change_is_recorded_once_with_its_version(registry, clerk):
    id = (await registry.household()).id
    await clerk.patch(f"{PATH}/{id}", {"group": "三组", **WHY}, etag='"2"')
    assert [fact["status"] for fact in await registry.facts(HouseholdRecorded)] == [
        "candidate",
        "registered",
        "registered",
    ]


async def test_the_history_says_what_changed_when_by_whom_and_why(registry, clerk):
    id = (await registry.household()).id
    await clerk.patch(f"{PATH}/{id}", {"housing": "02", "valid_from": "2016-10-01", **WHY}, etag='"2"')
    entry = (await clerk.get(f"{PATH}/{id}/history", limit=2, after=None)).json()["items"][-1]
    page = (await clerk.get(f"{PATH}/{id}/history", limit=2)).json()
    last = (await clerk.get(f"{PATH}/{id}/history", after=page["next"])).json()["items"]
    assert entry["version"] == 2
    assert [(e["version"], e["changes"], e["valid_from"], e["actor"], e["reason"]) for e in last] == [
        (3, {"housing": "02"}, "2016-10-01", "clerk", "入户核实")
    ]


async def test_the_past_is_told_by_the_day_and_by_what_was_known(registry, clerk):
    """A correction recorded today for 1 October: known from today on, valid from October on."""
    household = await registry.household(identified_on=date(2014, 5, 1))
    before = registry.live.clock.now()
    registry.live.pass_days(1)
    await clerk.patch(f"{PATH}/{household.id}", {"housing": "02", "valid_from": "2016-10-01", **WHY}, etag='"2"')

    async def housing(**when):
        answer = await clerk.get(f"{PATH}/{household.id}/as-of", **when)
        return answer.json()["file"].get("housing")

    assert await housing() == "02"
    assert await housing(known_at=before.isoformat()) == "01"
    assert await housing(valid_on="2016-11-02") == "02"


async def test_a_day_before_anything_was_known_is_unknown(registry, clerk):
    household = await registry.household()
    answer = await clerk.get(f"{PATH}/{household.id}/as-of", known_at="2016-01-01T00:00:00Z")
    assert problem(answer) == (404, "household_unknown")


async def test_no_change_takes_effect_tomorrow(registry, clerk):
    id = (await registry.household()).id
    answer = await clerk.patch(f"{PATH}/{id}", {"housing": "02", "valid_from": "2016-11-02", **WHY}, etag='"2"')
    assert problem(answer) == (409, "date_in_future")


@pytest.mark.parametrize(
    "wrong", [{"housing": "99"}, {"status": "exited"}, {"housing": None}, {}, {"reason": "", "housing": "02"}]
)
async def test_a_malformed_change_is_refused(small, wrong):
    id = (await small.household()).id
    clerk = small.village(Role.VILLAGE_CLERK, "clerk")
    answer = await clerk.patch(f"{PATH}/{id}", {**WHY, **wrong}, etag='"2"')
    assert answer.status_code == 422


async def test_the_other_cause_differs_from_the_main_one(small):
    id = (await small.household(cause="01")).id
    clerk = small.village(Role.VILLAGE_CLERK, "clerk")
    assert problem(await clerk.patch(f"{PATH}/{id}", {"other_cause": "01", **WHY}, etag='"2"')) == (
        409,
        "causes_repeat",
    )


async def test_a_person_joins_and_another_leaves(registry, clerk):
    id = (await registry.household()).id
    joined = await clerk.post(f"{PATH}/{id}/members", {**registry.person("80"), **WHY}, headers={"if-match": '"2"'})
    assert (joined.status_code, joined.json()["people"], joined.headers["etag"]) == (201, 4, '"3"')
    member = joined.json()["members"][-1]
    left = await clerk.patch(
        f"{PATH}/{id}/members/{member['id']}", {"left_on": "2016-11-01", "left_reason": "02", **WHY}, etag='"3"'
    )
    assert (left.json()["people"], left.json()["members"][-1]["left_on"]) == (3, "2016-11-01")
    again = await clerk.patch(f"{PATH}/{id}/members/{member['id']}", {"health": "02", **WHY}, etag='"4"')
    assert problem(again) == (409, "member_left")


@pytest.mark.rule("REG-001")
async def test_a_person_belongs_to_one_household(registry, clerk):
    person = registry.person("20")
    first, second = await registry.household(), await registry.household()
    await clerk.post(f"{PATH}/{first.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})
    answer = await clerk.post(f"{PATH}/{second.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})
    assert problem(answer) == (409, "person_in_other_household")
    assert person["id_number"] not in answer.text


async def test_who_left_may_join_another_household(registry, clerk):
    person = registry.person("20")
    first, second = await registry.household(), await registry.household()
    joined = (await clerk.post(f"{PATH}/{first.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})).json()
    member = joined["members"][-1]["id"]
    await clerk.patch(
        f"{PATH}/{first.id}/members/{member}", {"left_on": "2016-11-01", "left_reason": "08", **WHY}, etag='"3"'
    )
    answer = await clerk.post(f"{PATH}/{second.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})
    assert answer.status_code == 201


async def test_a_household_keeps_one_head(small):
    household = await small.household()
    clerk = small.village(Role.VILLAGE_CLERK, "clerk")
    head = (await clerk.get(f"{PATH}/{household.id}")).json()["members"][0]
    answer = await clerk.patch(f"{PATH}/{household.id}/members/{head['id']}", {"relation": "20", **WHY}, etag='"2"')
    assert problem(answer) == (409, "one_head_needed")


async def test_a_corrected_id_number_is_found_and_the_old_one_is_free(registry, clerk):
    household, wrong, right = await registry.household(), registry.person("20"), registry.person("20")
    joined = (await clerk.post(f"{PATH}/{household.id}/members", {**wrong, **WHY}, headers={"if-match": '"2"'})).json()
    member = joined["members"][-1]["id"]
    corrected = await clerk.patch(
        f"{PATH}/{household.id}/members/{member}", {"id_number": right["id_number"], **WHY}, etag='"3"'
    )
    assert corrected.status_code == 200
    privacy = registry.live.as_(Role.PRIVACY)
    shown = await privacy.post(f"{PATH}/{household.id}/members/{member}/unmask", WHY)
    assert shown.json()["id_number"] == right["id_number"]
    other = await registry.household()
    answer = await clerk.post(f"{PATH}/{other.id}/members", {**wrong, **WHY}, headers={"if-match": '"2"'})
    assert answer.status_code == 201


async def test_unmasking_needs_the_role_and_a_reason_and_is_on_record(registry, clerk):
    household = await registry.household()
    member = (await clerk.get(f"{PATH}/{household.id}")).json()["members"][0]
    path = f"{PATH}/{household.id}/members/{member['id']}/unmask"
    assert problem(await clerk.post(path, WHY)) == (403, "forbidden")
    privacy = registry.live.as_(Role.PRIVACY, subject="zhao")
    assert (await privacy.post(path, {"reason": ""})).status_code == 422
    answer = await privacy.post(path, WHY)
    assert len(answer.json()["id_number"]) == 18
    async with registry.live.service.work(write=False) as work:
        [kept] = (await work.tx.execute(select(look))).all()
    assert (kept.actor, kept.action, kept.reason) == ("zhao", "unmask id_number", "入户核实")
    assert (kept.household, str(kept.person), kept.division) == (household.id, member["id"], household.division)


async def test_what_was_unmasked_is_not_kept_for_replays(registry, clerk):
    household = await registry.household()
    member = (await clerk.get(f"{PATH}/{household.id}")).json()["members"][0]
    privacy = registry.live.as_(Role.PRIVACY)
    number = (await privacy.post(f"{PATH}/{household.id}/members/{member['id']}/unmask", WHY)).json()["id_number"]
    async with registry.live.service.work(write=False) as work:
        bodies = (await work.tx.execute(select(idempotency.c.body))).scalars().all()
    assert not [body for body in bodies if number.encode() in body]


async def test_lists_narrow_by_division_status_and_number_and_page(registry):
    here = [(await registry.household()).household_no for _ in range(3)]
    there = (await registry.candidate(division=OTHER_VILLAGE)).household_no
    county = registry.live.as_(Role.POVERTY_OFFICE)

    async def numbers(**query):
        return [row["household_no"] for row in (await county.get(PATH, **query)).json()["items"]]

    assert await numbers() == sorted([*here, there])
    assert await numbers(division=TOWN) == here
    assert await numbers(status="candidate") == [there]
    assert await numbers(household_no=here[1]) == [here[1]]
    first = (await county.get(PATH, limit=2)).json()
    assert [row["household_no"] for row in first["items"]] + await numbers(after=first["next"]) == sorted(
        [*here, there]
    )


async def test_an_unknown_filter_is_refused(small):
    assert problem(await small.office.get(PATH, name="王")) == (422, "malformed")


async def test_another_town_sees_nothing_of_a_household(registry):
    household = await registry.household()
    other = registry.live.as_(Role.TOWN_OFFICE, division=OTHER_TOWN)
    for path in ("", "/as-of", "/history"):
        assert (await other.get(f"{PATH}/{household.id}{path}")).status_code == 404
    assert (await other.patch(f"{PATH}/{household.id}", {"housing": "02", **WHY}, etag='"2"')).status_code == 404
    assert (await other.get(PATH)).json()["items"] == []
    assert (await other.get(PATH, division=TOWN)).json()["items"] == []


async def test_the_feed_gives_every_change_once_in_order(registry):
    first, second = await registry.household(), await registry.household()
    await registry.live.service.relay.publish_once()
    county = registry.live.as_(Role.BACKEND)
    page = (await county.get(f"{PATH}/changes", limit=3)).json()
    rest = (await county.get(f"{PATH}/changes", after=page["next"])).json()
    ids = [item["id"] for item in (*page["items"], *rest["items"])]
    assert ids == [str(first.id), str(first.id), str(second.id), str(second.id)]
    assert {item["household"]["status"] for item in page["items"]} == {"registered"}
    assert (await county.get(f"{PATH}/changes", after=rest["next"])).json() == {"items": [], "next": rest["next"]}


async def test_a_household_that_moved_away_is_a_tombstone_where_it_was(registry):
    household = await registry.household()
    county = registry.live.as_(Role.STATISTICS)
    moved = await county.patch(f"{PATH}/{household.id}", {"division": OTHER_VILLAGE, **WHY}, etag='"2"')
    assert moved.json()["division"] == OTHER_VILLAGE
    await registry.live.service.relay.publish_once()
    old = (await registry.live.as_(Role.BACKEND, division=TOWN).get(f"{PATH}/changes")).json()["items"]
    new = (await registry.live.as_(Role.BACKEND, division=OTHER_TOWN).get(f"{PATH}/changes")).json()["items"]
    assert {(item["id"], item["deleted"], item["household"]) for item in old} == {(str(household.id), True, None)}
    assert [(item["id"], item["deleted"]) for item in new] == [(str(household.id), False)]


async def test_a_village_moves_no_household_out_of_its_area(registry, clerk):
    household = await registry.household()
    answer = await clerk.patch(f"{PATH}/{household.id}", {"division": OTHER_VILLAGE, **WHY}, etag='"2"')
    assert problem(answer) == (404, "division_unknown")


async def test_a_number_is_given_once(small):
    order = HouseholdIn.model_validate(small.file(household_no="H-1"))
    again = HouseholdIn.model_validate(small.file(household_no="H-1"))
    async with small.live.service.work() as work:
        await service.add_candidate(work, order)
        with pytest.raises(domain.HouseholdNumberTaken):
            await service.add_candidate(work, again)


@pytest.mark.rule("REG-002")
async def test_the_register_is_entered_and_left_in_order(small):
    household = await small.candidate()
    async with small.live.service.work() as work:
        with pytest.raises(domain.NotOnRegister):
            await service.mark_exited(work, household.id, on=date(2016, 11, 1), case_no="-")
        await service.register(work, household.id, on=date(2016, 11, 1), case_no="-")
        with pytest.raises(domain.NotACandidate):
            await service.register(work, household.id, on=date(2016, 11, 1), case_no="-")
        exited = await service.mark_exited(work, household.id, on=date(2016, 11, 1), case_no="-")
    assert (exited.status, exited.exited_on, exited.version) == ("exited", date(2016, 11, 1), 3)


async def test_a_county_official_reads_what_its_village_writes(registry, clerk):
    household = await registry.household(division=VILLAGE)
    leader = registry.live.as_(Role.COUNTY_LEADER, division=COUNTY)
    assert (await leader.get(f"{PATH}/{household.id}")).json()["household_no"] == household.household_no


START = datetime(2016, 1, 1, tzinfo=UTC)
changes = st.lists(
    st.tuples(st.integers(0, 9), st.dictionaries(st.sampled_from("abc"), st.integers(0, 5), min_size=1)),
    min_size=1,
    max_size=8,
)


@given(changes, st.integers(0, 9), st.integers(0, 8))
def test_as_of_is_the_last_known_value_of_the_latest_day(made, day, known):
    """Oracle, field by field: of the entries known then and valid that day, the one of the latest day, then the latest recorded."""
    entries = [
        Entry(version, date(2016, 1, 1) + timedelta(since), START + timedelta(hours=version), values)
        for version, (since, values) in enumerate(made, start=1)
    ]
    valid_on, known_at = date(2016, 1, 1) + timedelta(day), START + timedelta(hours=known)
    expected = {}
    told = [e for e in entries if e.recorded_at <= known_at and e.valid_from <= valid_on]
    for name in "abc" if told else "":
        # the first entry is the ground: any other that holds then lies above it
        telling = [
            e
            for e in entries
            if name in e.changes and e.recorded_at <= known_at and (e.version == 1 or e.valid_from <= valid_on)
        ]
        if telling:
            expected[name] = max(telling, key=lambda e: (e.version != 1, e.valid_from, e.version)).changes[name]
    assert (as_of(entries, valid_on=valid_on, known_at=known_at) or {}) == expected


@given(changes)
def test_the_present_file_is_what_the_history_says_of_today(made):
    """Applying, change by change, only what is still true gives the same as asking the whole history for the last day."""
    first, *later = [
        Entry(version, date(2016, 1, 1) + timedelta(since), START + timedelta(hours=version), values)
        for version, (since, values) in enumerate(made, start=1)
    ]
    present, known = dict(first.changes), [first]
    for entry in later:
        present |= domain.still_true(entry.changes, entry.valid_from, known)
        known.append(entry)
    assert present == as_of(known, valid_on=date(2016, 1, 10), known_at=START + timedelta(days=1))


async def test_a_correction_of_the_past_leaves_what_changed_later(registry, clerk):
    id = (await registry.household()).id
    await clerk.patch(f"{PATH}/{id}", {"housing": "02", "valid_from": "2016-10-20", **WHY}, etag='"2"')
    corrected = await clerk.patch(
        f"{PATH}/{id}", {"housing": "03", "group": "二组", "valid_from": "2016-10-01", **WHY}, etag='"3"'
    )
    assert (corrected.json()["housing"], corrected.json()["group"]) == ("02", "二组")
    seen = [(await clerk.get(f"{PATH}/{id}/as-of", valid_on=day)) for day in ("2016-10-02", "2016-10-21")]
    assert [answer.json()["file"]["housing"] for answer in seen] == ["03", "02"]


@pytest.mark.parametrize("number", ["19900123456", "99092619700101001"])
async def test_a_household_number_is_nobodys_number(small, number):
    number += make_check_digit(number) if len(number) == 17 else ""
    answer = await small.village(Role.TEAM_MEMBER, "wang").post(
        "/registry/v1/cases", {"kind": "identification", "household": small.file(household_no=number)}
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "personal_number")


@pytest.mark.parametrize("given", [{"sex": "2"}, {"relation": "30"}])
async def test_sex_id_number_and_relation_agree_in_a_new_file(small, given):
    file = small.file()
    file["members"][1] |= given
    answer = await small.village(Role.TEAM_MEMBER, "wang").post(
        "/registry/v1/cases", {"kind": "identification", "household": file}
    )
    assert problem(answer) == (409, "sex_conflict")


@pytest.mark.parametrize("given", [{"sex": "2"}, {"relation": "30"}])
async def test_sex_id_number_and_relation_agree_after_a_change(small, given):
    household = await small.household()
    clerk = small.village(Role.VILLAGE_CLERK, "clerk")
    file = (await clerk.get(f"{PATH}/{household.id}")).json()
    member = f"{PATH}/{household.id}/members/{file['members'][1]['id']}"
    assert problem(await clerk.patch(member, given | WHY, etag='"2"')) == (409, "sex_conflict")
    joins = small.person() | given | WHY
    answer = await clerk.post(f"{PATH}/{household.id}/members", joins, headers={"if-match": '"2"'})
    assert problem(answer) == (409, "sex_conflict")
