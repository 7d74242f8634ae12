"""Statistics count rows: distinct households, living members, hired persons."""

import pytest

from shared.roles import Role
from shared.testing import OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

PATHWAYS, HOUSEHOLDS = "/registry/v1/statistics/pathways", "/registry/v1/statistics/households"


async def counted(registry, pathway, by=None, **asked):
    """(households, people) of a pathway, and of its subs that have any."""
    found = (await (by or registry.office).get(PATHWAYS, **asked)).json()["pathways"][pathway]
    subs = {name: (sub["households"], sub["people"]) for name, sub in found["subs"].items() if sub["households"]}
    return (found["households"], found["people"]), subs


async def take_away(registry, measure):
    answer = await registry.office.post(
        f"/registry/v1/measures/{measure['id']}/end",
        {"ended_on": "2016-11-01", "reason": "x"},
        headers={"if-match": '"1"'},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.rule("REG-032")
async def test_a_household_in_several_subs_counts_once_in_its_pathway(registry):
    household = await registry.household(people=4)
    await registry.give(household.id, "industry", "茶饮")
    await registry.give(household.id, "industry", "养殖")
    await registry.give((await registry.household(people=2)).id, "industry", "养殖")
    assert await counted(registry, "industry") == ((2, 6), {"茶饮": (1, 4), "养殖": (2, 6)})


@pytest.mark.parametrize(
    ("pathway", "subs"),
    [
        pytest.param(
            "relocation", ["交钥匙", "统规统建", "统规自建", "进城入镇", "分散安置"], marks=pytest.mark.rule("REG-062")
        ),
        pytest.param(
            "labour",
            ["省内劳务输出", "省内自主创业", "省外劳务输出", "省外自主创业"],
            marks=pytest.mark.rule("REG-078"),
        ),
        pytest.param(
            "education",
            ["学前一年", "义务教育", "高中", "中职", "高职", "应届大学生", "在校大学生"],
            marks=pytest.mark.rule("REG-081"),
        ),
        pytest.param("safety_net", ["五保", "低保", "孤儿", "重度残疾"], marks=pytest.mark.rule("REG-096")),
        pytest.param("ecology", ["退耕还林", "生态效益补偿", "特色山林经济"], marks=pytest.mark.rule("REG-111")),
        pytest.param(
            "asset_income",
            ["固定资产收益", "农户双权", "农村三资", "财政资金虚拟量化股份"],
            marks=pytest.mark.rule("FND-058"),
        ),
    ],
)
async def test_each_sub_category_is_counted_with_its_households_and_people(small, pathway, subs):
    for people, sub in enumerate(subs, 1):
        await small.give((await small.household(people=people)).id, pathway, sub)
    each = {sub: (1, people) for people, sub in enumerate(subs, 1)}
    assert await counted(small, pathway) == ((len(subs), sum(people for _, people in each.values())), each)


async def test_taking_the_only_measure_away_lowers_households_by_one_and_people_by_its_members(registry):
    await registry.give((await registry.household(people=2)).id)
    only = await registry.give((await registry.household(people=5)).id)
    assert (await counted(registry, "industry"))[0] == (2, 7)
    await take_away(registry, only)
    assert await counted(registry, "industry") == ((1, 2), {"茶饮": (1, 2)})


async def test_taking_one_of_two_measures_away_leaves_the_household_in_its_pathway(registry):
    household = await registry.household(people=3)
    first = await registry.give(household.id, "industry", "茶饮")
    await registry.give(household.id, "industry", "蚕桑")
    await take_away(registry, first)
    assert await counted(registry, "industry") == ((1, 3), {"蚕桑": (1, 3)})


@pytest.mark.rule("REG-111")
async def test_rangers_count_as_persons_in_their_sub_and_as_members_in_the_pathway(registry):
    household = await registry.household(people=5)
    await registry.give(household.id, "ecology", "护林员", persons=2)
    assert await counted(registry, "ecology") == ((1, 5), {"护林员": (1, 2)})


async def test_each_pathway_is_counted_in_its_own_scope_when_none_is_asked_for(registry):
    household = await registry.household(people=3)
    await registry.give(household.id, "health", "")
    await registry.give(household.id, "relocation", "", scope="year_total")
    found = (await registry.office.get(PATHWAYS)).json()["pathways"]
    assert {key: p["scope"] for key, p in found.items() if key in ("health", "industry")} == {
        "health": "served",
        "industry": "exit_target_2016",
    }
    assert (found["health"]["households"], found["relocation"]["households"]) == (1, 0)
    assert (await counted(registry, "relocation", scope="year_total"))[0] == (1, 3)


@pytest.mark.rule("REG-037")
async def test_households_led_by_entities_are_a_series_of_their_own(small):
    household = await small.household(people=3)
    await small.give(household.id, "industry", "茶饮")
    await small.give(household.id, "industry", "", scope="entity_led")
    await small.give((await small.household(people=2)).id, "industry", "", scope="entity_led")
    assert (await counted(small, "industry"))[0] == (1, 3)
    assert (await counted(small, "industry", scope="entity_led"))[0] == (2, 5)


async def test_all_pathways_of_the_catalogue_are_shown_with_all_their_subs(small):
    found = (await small.office.get(PATHWAYS)).json()["pathways"]
    assert list(found) == [
        "industry", "relocation", "labour", "ecology", "education", "health", "safety_net", "community_factory", "ecommerce", "asset_income",
    ]  # fmt: skip
    assert found["relocation"]["subs"].keys() == {"交钥匙", "统规统建", "统规自建", "进城入镇", "分散安置"}
    assert (found["industry"]["name"], found["industry"]["households"], found["industry"]["people"]) == (
        "产业扶持",
        0,
        0,
    )


async def test_a_measure_counts_in_its_year_alone(small):
    await small.give((await small.household()).id, started_on="2015-01-01", year=2016)
    assert (await counted(small, "industry", year=2016))[0] == (1, 3)
    assert (await counted(small, "industry", year=2017))[0] == (0, 0)


@pytest.mark.rule("REG-030")
async def test_a_measure_counts_to_the_last_day_of_its_validity(small):
    await small.give((await small.household()).id, valid_until="2016-11-02")
    small.live.pass_days(1)
    assert (await counted(small, "industry"))[0] == (1, 3)
    small.live.pass_days(1)
    assert (await counted(small, "industry"))[0] == (0, 0)


@pytest.mark.rule("REG-031")
async def test_households_that_exited_still_count(small):
    await small.give((await small.exited()).id)
    assert (await counted(small, "industry"))[0] == (1, 3)


async def test_only_the_callers_area_is_counted(registry):
    await registry.give((await registry.household(people=2)).id)
    await registry.give((await registry.household(people=3, division=OTHER_VILLAGE)).id)
    town = registry.live.as_(Role.TOWN_CHIEF, division=TOWN)
    assert (await counted(registry, "industry"))[0] == (2, 5)
    assert (await counted(registry, "industry", by=town))[0] == (1, 2)
    assert (await counted(registry, "industry", division=OTHER_TOWN))[0] == (1, 3)
    assert (await counted(registry, "industry", by=town, division=OTHER_TOWN))[0] == (0, 0)


async def test_a_scope_that_no_pathway_has_is_refused(small):
    answer = await small.office.get(PATHWAYS, scope="imagined")
    assert (answer.status_code, answer.json()["code"]) == (409, "scope_unknown")


async def test_households_are_counted_by_division_and_status(registry):
    await registry.household(people=2)
    await registry.candidate(people=1)
    await registry.exited(people=4)
    await registry.household(people=3, division=OTHER_VILLAGE)
    found = (await registry.office.get(HOUSEHOLDS)).json()
    assert [d["division"] for d in found["divisions"]] == [TOWN, OTHER_TOWN]
    assert found["divisions"][0]["statuses"] == {
        "candidate": {"households": 1, "people": 1},
        "registered": {"households": 1, "people": 2},
        "exited": {"households": 1, "people": 4},
    }
    assert found["total"] == {"households": 4, "people": 10}
    village = (await registry.office.get(HOUSEHOLDS, level="village", division=TOWN)).json()
    assert [(d["division"], d["total"]["households"]) for d in village["divisions"]] == [(VILLAGE, 3)]
    stranger = registry.live.as_(Role.TOWN_CHIEF, division=OTHER_TOWN)
    assert (await stranger.get(HOUSEHOLDS)).json()["total"] == {"households": 1, "people": 3}
