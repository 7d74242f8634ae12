"""The week's key tasks."""

import pytest

from services.notify.briefs.domain import MAX_TASK_LENGTH, MAX_TASKS
from shared.roles import Role
from shared.testing import OTHER_TOWN, TOWN


@pytest.mark.rule("NTF-002")
async def test_a_brief_shows_the_message_it_will_become(county):
    answer = await county.enter_brief(tasks=("核实退出户收入",))
    assert answer.status_code == 201
    assert "1.核实退出户收入" in answer.json()["text"]
    assert answer.json()["parts"] == 1 or answer.json()["parts"] == 2


async def test_a_week_has_one_brief(county):
    await county.enter_brief()
    answer = await county.enter_brief()
    assert (answer.status_code, answer.json()["code"]) == (409, "brief_exists")


async def test_a_brief_of_a_past_week_is_refused(county):
    assert (await county.enter_brief(week="2016-W43")).json()["code"] == "week_over"


async def test_a_brief_is_entered_a_year_ahead_and_no_further(county):
    assert (await county.enter_brief(week="2017-W45")).status_code == 201
    for week in ("2017-W46", "9999-W52"):
        assert (await county.enter_brief(week=week)).json()["code"] == "week_too_far"


@pytest.mark.parametrize("tasks", [(), ("x",) * (MAX_TASKS + 1), ("x" * (MAX_TASK_LENGTH + 1),), ("一\n二",)])
async def test_a_brief_past_its_limits_is_malformed(county, tasks):
    assert (await county.enter_brief(tasks=tasks)).status_code == 422


async def test_as_many_tasks_as_allowed_are_accepted(county):
    assert (await county.enter_brief(tasks=("x",) * MAX_TASKS)).status_code == 201


async def test_tasks_that_make_too_many_parts_are_refused_with_the_number(county):
    answer = await county.enter_brief(tasks=("扶" * MAX_TASK_LENGTH,) * MAX_TASKS)
    assert (answer.status_code, answer.json()["code"]) == (409, "text_too_long")
    assert answer.json()["parts"] > answer.json()["max_parts"]


async def test_a_brief_is_corrected_by_who_has_read_it(county):
    brief = (await county.enter_brief()).json()
    put = county.office.http.put
    order = {"tasks": ["改后的任务"]}
    stale = await put(f"/notify/v1/briefs/{brief['id']}", json=order, headers={"if-match": '"7"'})
    good = await put(f"/notify/v1/briefs/{brief['id']}", json=order, headers={"if-match": '"1"'})
    assert (stale.status_code, good.status_code, good.headers["etag"]) == (412, 200, '"2"')
    assert good.json()["tasks"] == ["改后的任务"]


async def test_a_brief_under_way_is_not_changed(county):
    await county.person("T", "19900000001")
    brief = (await county.enter_brief()).json()
    await county.clock_shows(7, 9)
    answer = await county.office.http.put(
        f"/notify/v1/briefs/{brief['id']}", json={"tasks": ["x"]}, headers={"if-match": '"1"'}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "brief_in_use")


async def test_a_brief_belongs_to_a_county(county):
    answer = await county.office.post("/notify/v1/briefs", {"division": TOWN, "week": "2016-W45", "tasks": ["x"]})
    assert answer.json()["code"] == "not_a_county"


async def test_another_area_can_neither_enter_nor_read_it(county):
    brief = (await county.enter_brief()).json()
    town = county.live.as_(Role.POVERTY_OFFICE, division=OTHER_TOWN)
    assert (await town.get(f"/notify/v1/briefs/{brief['id']}")).status_code == 404
    assert (await town.get("/notify/v1/briefs")).json()["items"] == []
    order = {"division": brief["division"], "week": "2016-W46", "tasks": ["x"]}
    assert (await town.post("/notify/v1/briefs", order)).status_code == 404
