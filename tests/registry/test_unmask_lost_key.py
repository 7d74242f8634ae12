"""A key of the registry is lost: everything but the numbers under it goes on, and a number that is entered anew is there again."""

import pytest

from shared.roles import Role

PATH = "/registry/v1/households"
WHY = {"reason": "入户核实"}


@pytest.fixture
def clerk(registry):
    return registry.village(Role.VILLAGE_CLERK, "clerk")


async def test_a_number_under_a_lost_key_is_refused_by_a_code_that_names_the_key_until_it_is_entered_anew(
    registry, clerk
):
    household, right = await registry.household(), registry.person("20")
    joined = (await clerk.post(f"{PATH}/{household.id}/members", {**right, **WHY}, headers={"if-match": '"2"'})).json()
    path = f"{PATH}/{household.id}/members/{joined['members'][-1]['id']}"
    lost = registry.live.lose_data_key()
    privacy = registry.live.as_(Role.PRIVACY)
    refused = await privacy.post(f"{path}/unmask", WHY)
    assert (refused.status_code, refused.json()["code"], refused.json()["key"]) == (409, "sealed_key_lost", lost)
    assert (await clerk.get(f"{PATH}/{household.id}")).status_code == 200
    entered = await clerk.patch(path, {"id_number": right["id_number"], **WHY}, etag='"3"')
    assert entered.status_code == 200
    assert (await privacy.post(f"{path}/unmask", WHY)).json()["id_number"] == right["id_number"]
