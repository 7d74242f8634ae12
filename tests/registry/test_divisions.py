"""Divisions: listed in the caller's area; rules of codes."""

from datetime import date

import pytest

from services.registry.divisions import domain
from shared.roles import Role
from shared.scope import Area
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

PATH = "/registry/v1/divisions"


async def test_divisions_are_listed_by_level_and_parent(registry):
    county = registry.live.as_(Role.AUDITOR)

    async def codes(**query):
        return [row["code"] for row in (await county.get(PATH, **query)).json()["items"]]

    assert await codes() == sorted([COUNTY, TOWN, OTHER_TOWN, VILLAGE, OTHER_VILLAGE])
    assert await codes(level="town") == [TOWN, OTHER_TOWN]
    assert await codes(parent=TOWN) == [VILLAGE]


async def test_divisions_come_in_pages(registry):
    county = registry.live.as_(Role.AUDITOR)
    first = (await county.get(PATH, limit=3)).json()
    second = (await county.get(PATH, after=first["next"])).json()
    assert [len(first["items"]), len(second["items"]), second["next"]] == [3, 2, None]


async def test_a_town_sees_its_own_divisions_alone(registry):
    town = registry.live.as_(Role.TOWN_OFFICE, division=TOWN)
    assert [row["code"] for row in (await town.get(PATH)).json()["items"]] == [TOWN, VILLAGE]
    answer = await town.get(f"{PATH}/{OTHER_VILLAGE}")
    assert (answer.status_code, answer.json()["code"]) == (404, "division_unknown")


@pytest.mark.parametrize(
    ("code", "parent", "fits"),
    [(VILLAGE, TOWN, True), (VILLAGE, OTHER_TOWN, False), ("610000000000", None, True), (TOWN, None, False)],
)
def test_a_division_lies_where_its_code_says(code, parent, fits):
    assert domain.parent_fits(code, parent) is fits


def test_a_county_may_enter_itself_what_lies_in_it_and_what_it_lies_in():
    area = Area.of([COUNTY])
    for code, may in (
        (COUNTY, True),
        (VILLAGE, True),
        ("610900000000", True),
        ("610000000000", True),
        ("610924000000", False),
    ):
        assert domain.may_record(code, area) is may


def test_a_division_is_in_use_until_the_day_it_is_gone():
    assert domain.in_use(None, None, date(2016, 11, 1))
    assert domain.in_use(date(2016, 11, 1), date(2016, 11, 2), date(2016, 11, 1))
    assert not domain.in_use(None, date(2016, 11, 1), date(2016, 11, 1))
    assert not domain.in_use(date(2016, 11, 2), None, date(2016, 11, 1))
