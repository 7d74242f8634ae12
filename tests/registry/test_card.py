"""The card of a household: what the database makes of its rows is what the models make of them."""

import pytest

from services.registry.households.schemas import HouseholdOut
from shared.ids import new_id
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

PATH = "/registry/v1/households"
WHY = {"reason": "入户核实"}


@pytest.fixture
def clerk(registry):
    return registry.village(Role.VILLAGE_CLERK, "clerk")


async def test_a_card_says_what_the_models_say(registry, clerk):
    """The answer to a change goes through the models; the card of the same version says the same, in the same order."""
    id = (await registry.household(people=4, group="三组", remark='说 "好" \\ 再看')).id
    first = (await clerk.get(f"{PATH}/{id}")).json()
    leaver = {"left_on": "2016-10-02", "left_reason": "02", **WHY}
    left = await clerk.patch(f"{PATH}/{id}/members/{first['members'][3]['id']}", leaver, etag='"2"')
    assert left.status_code == 200, left.text
    incomes = {"incomes": {"2014": 0, "2015": 100005}, **WHY}
    changed = await clerk.patch(f"{PATH}/{id}", incomes, etag='"3"')
    card = await clerk.get(f"{PATH}/{id}")
    assert (card.json(), list(card.json())) == (changed.json(), list(HouseholdOut.model_fields))
    assert (card.headers["etag"], card.headers["content-type"]) == ('"4"', "application/json")
    assert HouseholdOut.model_validate(card.json()).model_dump(mode="json") == card.json()


async def test_a_card_without_incomes_has_an_empty_list(registry, clerk):
    id = (await registry.household(incomes={})).id
    assert (await clerk.get(f"{PATH}/{id}")).json()["incomes"] == []


@pytest.mark.parametrize(
    ("area", "status"),
    [
        (VILLAGE, 200),
        (TOWN, 200),
        (COUNTY, 200),
        ([OTHER_TOWN, VILLAGE], 200),
        (OTHER_TOWN, 404),
        ([OTHER_TOWN, OTHER_VILLAGE], 404),
    ],
)
async def test_a_card_is_shown_in_its_area_alone(registry, area, status):
    id = (await registry.household()).id
    reader = registry.live.as_(Role.TOWN_OFFICE, division=area)
    assert (await reader.get(f"{PATH}/{id}")).status_code == status


async def test_a_card_of_nobody_is_not_found(registry, clerk):
    answer = await clerk.get(f"{PATH}/{new_id()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "household_unknown")
