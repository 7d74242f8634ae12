"""What assessment hears: each event takes effect once, and targets and weights are kept."""

import pytest

from services.assessment.facts.store import facts
from services.assessment.register.store import divisions, households, statuses
from shared.consumer import NotYet
from shared.events.funds import FundAllocated, TranchePaid
from shared.events.notify import ReportMissed, ReportReceived
from shared.events.registry import (
    DivisionRecorded,
    HouseholdExited,
    HouseholdIdentified,
    HouseholdRecorded,
    HouseholdStatus,
    VisitRecorded,
)
from shared.ids import new_id
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, TOWN, VILLAGE

HOUSEHOLD = new_id()
DAY = "2016-11-07"
case = {
    "household_id": HOUSEHOLD,
    "household_no": "H1",
    "division": VILLAGE,
    "people": 3,
    "case_id": new_id(),
    "decided_on": DAY,
}
money = {"project_id": new_id(), "project_no": "P-1", "division": TOWN, "amount_fen": 5, "entry_seq": 1}
report = {"cadre_no": "T-1", "division": TOWN, "week": "2016-W45"}
recorded = HouseholdRecorded(
    household_id=HOUSEHOLD,
    household_no="H1",
    division=VILLAGE,
    head_name_masked="王*",
    people=3,
    status="registered",
)

FACTS = [
    HouseholdIdentified(**case),
    HouseholdExited(**case),
    VisitRecorded(visit_id=new_id(), household_id=HOUSEHOLD, division=VILLAGE, cadre_no="S-1", visited_on=DAY),
    FundAllocated(fund_id=new_id(), allocated_on=DAY, **money),
    TranchePaid(tranche_id=new_id(), households=1, paid_on=DAY, **money),
    ReportReceived(report_id=new_id(), received_on=DAY, on_time=True, **report),
    ReportMissed(due_on=DAY, **report),
]


async def rows(county, table):
    async with county.live.service.database.read() as tx:
        return [dict(row) for row in (await tx.execute(table.select())).mappings()]


@pytest.mark.parametrize("event", FACTS, ids=lambda event: event.type_name)
async def test_a_fact_heard_twice_is_kept_once(county, event):
    await county.live.hear(recorded, division=VILLAGE)
    id = await county.live.hear(event, division=event.division, times=2)
    assert [row["event_id"] for row in await rows(county, facts)] == [id]


async def test_a_division_heard_twice_is_known_once(county):
    event = DivisionRecorded(code="610926102000", name="老县镇", level="town", parent=COUNTY)
    await county.live.hear(event, division=COUNTY, times=2)
    assert [r["name"] for r in await rows(county, divisions) if r["code"] == "610926102000"] == ["老县镇"]


async def test_a_household_heard_twice_has_one_status(county):
    await county.live.hear(recorded, division=VILLAGE, times=2)
    assert len(await rows(county, households)) == 1
    assert [row["status"] for row in await rows(county, statuses)] == ["registered"]


async def test_an_older_version_of_a_household_is_no_news(county):
    await county.live.hear(recorded.model_copy(update={"status": HouseholdStatus.EXITED}), division=VILLAGE, version=2)
    await county.live.hear(recorded, division=VILLAGE, version=1)
    assert [row["status"] for row in await rows(county, households)] == ["exited"]


async def test_a_visit_waits_for_its_household(county):
    with pytest.raises(NotYet):
        await county.live.hear(FACTS[2], division=VILLAGE)
    await county.live.hear(recorded, division=VILLAGE)
    await county.live.hear(FACTS[2], division=VILLAGE)
    assert [row["unit"] for row in await rows(county, facts)] == ["H1"]


def target(**given):
    return {"division": TOWN, "year": 2016, "indicator": "exits", "planned": 24} | given


async def enter(county, *items):
    answer = await county.office.post("/assessment/v1/targets", {"items": list(items)})
    assert answer.status_code == 200, answer.text
    return [(r["status"], [e["code"] for e in r["errors"]]) for r in answer.json()["results"]]


@pytest.mark.rule("ASM-007")
async def test_targets_are_entered_in_bulk_each_with_its_own_result(county):
    results = await enter(
        county,
        target(),
        target(indicator="visit_coverage", division=OTHER_TOWN),
        target(division="610926999000"),
        target(planned=-1, division=OTHER_TOWN),
    )
    assert results == [(201, []), (422, ["unknown_indicator"]), (404, ["not_found"]), (422, ["greater_than_equal"])]
    listed = (await county.office.get("/assessment/v1/targets", year=2016)).json()["items"]
    assert [(t["division"], t["indicator"], t["planned"], t["version"]) for t in listed] == [(TOWN, "exits", 24, 1)]


async def test_a_target_is_changed_by_naming_its_version(county):
    await enter(county, target())
    assert await enter(county, target(planned=30)) == [(412, ["stale"])]
    assert await enter(county, target(planned=30, version=1)) == [(200, [])]
    assert await enter(county, target(planned=31, version=1)) == [(412, ["stale"])]


async def test_a_target_moves_the_score_it_is_measured_by(county):
    await enter(county, target(planned=12))
    await county.exit(HOUSEHOLD)
    await county.score()
    exits = await county.indicator(f"town:{TOWN}", "exits")
    assert (exits["done"], exits["due"], exits["points_milli"]) == (1, 11, 20_000 // 11)


async def test_a_town_sees_its_own_targets_and_no_others(county):
    await enter(county, target(), target(division=OTHER_TOWN))
    chief = county.live.as_(Role.TOWN_CHIEF, division=TOWN)
    listed = (await chief.get("/assessment/v1/targets")).json()["items"]
    assert [t["division"] for t in listed] == [TOWN]


WEIGHT = {"division": COUNTY, "year": 2016, "units": "towns", "percent": 60}


@pytest.mark.rule("ASM-010")
@pytest.mark.parametrize(("units", "least"), [("towns", 60), ("departments", 50)])
async def test_poverty_work_weighs_at_least_what_the_county_decided(county, units, least):
    path = "/assessment/v1/annual-weights"
    low = await county.office.post(path, WEIGHT | {"units": units, "percent": least - 1})
    assert (low.status_code, low.json()["code"], low.json()["least"]) == (409, "weight_too_low", least)
    assert (await county.office.post(path, WEIGHT | {"units": units, "percent": least})).status_code == 201


async def test_a_weight_is_changed_from_the_version_read(county):
    path = "/assessment/v1/annual-weights"
    await county.office.post(path, WEIGHT)
    assert (await county.office.post(path, WEIGHT | {"percent": 65})).status_code == 428
    changed = await county.office.post(path, WEIGHT | {"percent": 65}, headers={"if-match": '"1"'})
    assert changed.json()["version"] == 2
    listed = (await county.office.get(path, year=2016)).json()["items"]
    assert [(w["units"], w["percent"]) for w in listed] == [("towns", 65)]


async def test_the_scheme_in_force_is_shown_with_its_source(county):
    shown = (await county.office.get("/assessment/v1/schemes", division=COUNTY, period="2016-11")).json()
    assert [s["kind"] for s in shown["schemes"]] == ["town", "cadre"]
    assert all(sum(i["weight_milli"] for i in s["indicators"]) == 100_000 for s in shown["schemes"])
    assert shown["basis"] == "ours"
    assert shown["weight_min"] == {"towns": 60, "departments": 50}
