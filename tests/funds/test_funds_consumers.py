"""What funds hears becomes its projection, once, and never backwards."""

from datetime import date
from uuid import UUID

from funds_county import County, household_no
from sqlalchemy import select

from services.funds.households.store import division, household
from shared.events.registry import (
    DivisionRecorded,
    HouseholdExited,
    HouseholdIdentified,
    HouseholdRecorded,
    HouseholdStatus,
)
from shared.testing import COUNTY, OTHER_VILLAGE, TOWN, VILLAGE

ID = UUID(int=7)


def recorded(**given) -> HouseholdRecorded:
    fields = {
        "household_id": ID, "household_no": household_no(7), "division": VILLAGE, "head_name_masked": "王*", "people": 3,
        "status": HouseholdStatus.CANDIDATE,
    }  # fmt: skip
    return HouseholdRecorded(**fields | given)


def decided(kind: type, people: int = 3):
    return kind(
        household_id=ID,
        household_no=household_no(7),
        division=VILLAGE,
        people=people,
        case_id=UUID(int=1),
        decided_on=date(2016, 11, 1),
    )


async def state(county: County) -> list[tuple]:
    async with county.live.service.database.read() as tx:
        rows = await tx.execute(
            select(household.c.division, household.c.people, household.c.status, household.c.version)
        )
        return [tuple(row) for row in rows]


async def test_a_household_heard_twice_stands_once(county):
    await county.live.hear(recorded(), times=2)
    assert await state(county) == [(VILLAGE, 3, "candidate", 1)]


async def test_a_household_moves_with_its_newer_version(county):
    await county.live.hear(recorded(), version=1)
    await county.live.hear(recorded(division=OTHER_VILLAGE, people=4), version=2, times=2)
    assert await state(county) == [(OTHER_VILLAGE, 4, "candidate", 2)]


async def test_an_older_version_never_overwrites_a_newer_one(county):
    await county.live.hear(recorded(people=4), version=5)
    await county.live.hear(recorded(people=2), version=3)
    await county.live.hear(decided(HouseholdIdentified, people=2), version=4)
    assert await state(county) == [(VILLAGE, 4, "candidate", 5)]


async def test_an_identified_household_may_be_paid(county):
    await county.live.hear(recorded(), version=1)
    await county.live.hear(decided(HouseholdIdentified), version=2, times=2)
    assert await state(county) == [(VILLAGE, 3, "registered", 2)]


async def test_an_exited_household_is_marked_so(county):
    await county.live.hear(recorded(status=HouseholdStatus.REGISTERED), version=1)
    await county.live.hear(decided(HouseholdExited, people=2), version=2, times=2)
    assert await state(county) == [(VILLAGE, 2, "exited", 2)]


async def test_a_decision_on_a_household_not_heard_of_waits_for_its_record(county):
    await county.live.hear(decided(HouseholdIdentified), version=2)
    assert await state(county) == []


async def test_a_division_is_renamed_once_and_never_back(county):
    for version, name in ((1, "城关镇"), (3, "城关街道"), (2, "旧名")):
        event = DivisionRecorded(code=TOWN, name=name, level="town", parent=COUNTY)
        await county.live.hear(event, version=version, times=2)
    async with county.live.service.database.read() as tx:
        rows = await tx.execute(select(division.c.code, division.c.name, division.c.version))
        assert [tuple(row) for row in rows] == [(TOWN, "城关街道", 3)]
