"""Visits through the API: one by one, and as a phone sends what it has gathered."""

import pytest

from services.registry.visits.schemas import MAX_BATCH
from shared.events.registry import VisitRecorded
from shared.roles import Role
from shared.testing import OTHER_TOWN, OTHER_VILLAGE, TOWN

PATH = "/registry/v1/visits"


def visit(household, **given):
    return {
        "household_id": str(household.id),
        "cadre_no": "C-7",
        "visited_on": "2016-11-01",
        "note": "送化肥两袋",
        **given,
    }


def cadre(registry, **given):
    return registry.live.as_(Role.PAIRED_CADRE, **given)


def problem(answer):
    return answer.status_code, answer.json()["code"]


async def test_a_visit_is_recorded_once_with_its_fact(registry):
    household = await registry.household()
    order = visit(household, device_time="2016-11-01T10:00:00+08:00")
    answer = await cadre(registry).post(PATH, order)
    assert (answer.status_code, answer.json()["household_no"]) == (201, household.household_no)
    assert answer.json()["device_time"] == "2016-11-01T02:00:00Z"
    assert await registry.facts(VisitRecorded) == [
        {
            "visit_id": answer.json()["id"],
            "household_id": str(household.id),
            "division": household.division,
            "cadre_no": "C-7",
            "visited_on": "2016-11-01",
        }
    ]


async def test_the_same_client_ref_gives_the_first_visit_again(registry):
    order = visit(await registry.household(), client_ref="a")
    first, again = await cadre(registry).post(PATH, order), await cadre(registry).post(PATH, order)
    assert again.json() == first.json()
    assert len(await registry.facts(VisitRecorded)) == 1


async def test_a_client_ref_used_in_another_area_is_refused_and_says_so(registry):
    theirs = registry.live.as_(Role.PAIRED_CADRE, division=OTHER_TOWN)
    first = await theirs.post(PATH, visit(await registry.household(division=OTHER_VILLAGE), client_ref="a"))
    assert first.status_code == 201
    ours = registry.live.as_(Role.PAIRED_CADRE, division=TOWN)
    answer = await ours.post(PATH, visit(await registry.household(), client_ref="a"))
    assert (answer.status_code, answer.json()["code"]) == (409, "client_ref_taken")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device_time", "0001-01-01T00:00:00+14:00"),
        ("device_time", "9999-12-31T23:59:59-14:00"),
        ("cadre_no", "19900123456"),
        ("note", "a\0b"),
    ],
)
async def test_a_visit_with_what_no_phone_sends_is_malformed(small, field, value):
    order = visit(await small.household()) | {field: value}
    assert (await small.live.as_(Role.PAIRED_CADRE).post(PATH, order)).status_code == 422


async def test_another_client_may_use_the_same_client_ref(registry):
    order = visit(await registry.household(), client_ref="a")
    first = await cadre(registry, client="one").post(PATH, order)
    assert (await cadre(registry, client="two").post(PATH, order)).json()["id"] != first.json()["id"]


@pytest.mark.parametrize(("day", "code"), [("2016-11-02", "visit_in_future"), ("2016-10-24", "visit_too_old")])
async def test_a_visit_is_recorded_within_its_days(small, day, code):
    assert problem(await cadre(small).post(PATH, visit(await small.household(), visited_on=day))) == (409, code)


async def test_a_visit_of_a_week_ago_may_still_be_recorded(small):
    assert (await cadre(small).post(PATH, visit(await small.household(), visited_on="2016-10-25"))).status_code == 201


async def test_a_note_must_not_hold_a_number_of_a_person(small):
    answer = await cadre(small).post(PATH, visit(await small.household(), note="卡号 9999990000000000006"))
    assert problem(answer) == (422, "malformed")


async def test_a_batch_records_the_good_and_says_what_is_wrong_with_each_other(registry):
    household = await registry.household()
    items = [
        visit(household, client_ref="b1"),
        visit(household, visited_on="2016-12-01"),
        {**visit(household), "household_id": "00000000-0000-7000-8000-000000000000"},
        {"cadre_no": "C-7"},
        visit(household, client_ref="b1"),
    ]
    answer = await cadre(registry).post(f"{PATH}/batch", {"items": items})
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [(r["index"], r["status"]) for r in results] == [(0, 201), (1, 409), (2, 404), (3, 422), (4, 201)]
    assert [e["code"] for e in results[1]["errors"]] == ["visit_in_future"]
    assert {e["field"] for e in results[3]["errors"]} == {"household_id", "visited_on"}
    assert results[4]["id"] == results[0]["id"]
    assert len(await registry.facts(VisitRecorded)) == 1


async def test_a_batch_has_a_limit(small):
    item = visit(await small.household())
    assert problem(await cadre(small).post(f"{PATH}/batch", {"items": [item] * (MAX_BATCH + 1)})) == (422, "malformed")


async def test_the_list_is_filtered_and_paged_by_day(small):
    household = await small.household()
    for day in ("2016-10-30", "2016-10-28", "2016-11-01"):
        await cadre(small).post(PATH, visit(household, visited_on=day))
    first = (await small.office.get(PATH, limit=2)).json()
    second = (await small.office.get(PATH, limit=2, after=first["next"])).json()
    days = [item["visited_on"] for item in [*first["items"], *second["items"]]]
    assert (days, second["next"]) == (["2016-10-28", "2016-10-30", "2016-11-01"], None)
    assert len((await small.office.get(PATH, since="2016-10-29", until="2016-10-30")).json()["items"]) == 1
    assert (await small.office.get(PATH, cadre_no="C-8")).json()["items"] == []


async def test_another_village_cannot_visit_or_see_visits(small):
    household = await small.household()
    recorded = (await cadre(small).post(PATH, visit(household))).json()
    stranger = cadre(small, division=OTHER_VILLAGE)
    assert problem(await stranger.get(f"{PATH}/{recorded['id']}")) == (404, "visit_unknown")
    assert (await stranger.get(PATH)).json()["items"] == []
    assert (await stranger.post(PATH, visit(household))).status_code == 404
