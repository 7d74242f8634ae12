"""The trail: what each level says adds up to the one above, both ways, within the caller's area, with proofs that check offline."""

from pathlib import Path
from uuid import UUID

import httpx
import pytest
from funds_county import RECEIVED_FEN, County, card, created, household_no, refused

from services.funds.proofs.notes import read_keys
from services.funds.proofs.verify import verify_bundle
from services.funds.trail.domain import Gap, page_of_gaps
from services.funds.trail.schemas import FundTrail, HouseholdTrail, ProjectTrail, TrancheTrail
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Client

TRAIL = "/funds/v1/trail"


async def pages(client: Client, path: str, limit: int = 2) -> list[dict]:
    """Every item of every page."""
    items, after = [], {}
    while True:
        page = ok(await client.get(path, limit=limit, **after))
        items += page["items"]
        if page["next"] is None:
            return items
        after = {"after": page["next"]}


def ok(answer: httpx.Response) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()


async def source_ids(county: County) -> dict[str, str]:
    items = ok(await county.finance.get("/funds/v1/sources"))["items"]
    return {item["fund_no"]: item["id"] for item in items}


@pytest.mark.rule("FND-009")
async def test_each_level_adds_up_to_the_one_above(county_on_both: County):
    county = county_on_both
    tranche_id = await county.paid_tranche(households=5)
    auditor = county.who(Role.AUDITOR)
    paid = 0
    for source_id in (await source_ids(county)).values():
        fund = ok(await auditor.get(f"{TRAIL}/funds/{source_id}"))["fund"]["figures"]
        projects = await pages(auditor, f"{TRAIL}/funds/{source_id}")
        assert sum(p["allocated_fen"] for p in projects) == fund["allocated_fen"]
        for project in projects:
            assert project["allocated_fen"] == project["left_fen"] + project["held_fen"] + project["paid_fen"]
            tranches = await pages(auditor, f"{TRAIL}/funds/{source_id}/projects/{project['project_id']}")
            assert sum(t["paid_fen"] for t in tranches) == project["paid_fen"]
            assert sum(t["held_fen"] for t in tranches) == project["held_fen"]
            for tranche in tranches:
                households = await pages(auditor, f"{TRAIL}/funds/{source_id}/tranches/{tranche['tranche_id']}")
                assert [h["household_no"] for h in households] == [household_no(n) for n in range(1, 6)]
                assert sum(h["amount_fen"] for h in households) == tranche["paid_fen"]
        assert sum(p["paid_fen"] for p in projects) == fund["paid_fen"]
        paid += fund["paid_fen"]
    assert paid == ok(await county.finance.get(f"/funds/v1/tranches/{tranche_id}"))["amount_fen"]


async def test_a_household_s_trail_leads_up_to_its_funds(county_on_both: County):
    county = county_on_both
    tranche_id = await county.paid_tranche(households=3)
    lines = ok(await county.finance.get(f"/funds/v1/tranches/{tranche_id}/lines"))["items"]
    await county.seal()
    trail = ok(await county.who(Role.AUDITOR).get(f"{TRAIL}/households/{household_no(2)}"))
    assert trail["amount_fen"] == lines[1]["amount_fen"] == sum(part["amount_fen"] for part in trail["by_fund"])
    assert {item["fund_no"]: item["amount_fen"] for item in trail["items"]} == lines[1]["shares"]
    item = trail["items"][0]
    assert (item["project_no"], item["tranche_no"], item["paid_on"], item["tranche_id"]) == (
        "P-1",
        "T-1",
        "2016-11-11",
        tranche_id,
    )
    assert item["sealed"]["index"] == item["entry_seq"] - 1
    assert (await county.who(Role.AUDITOR).get(item["sealed"]["proof"])).status_code == 200


async def test_a_household_s_trail_says_what_its_model_says(county_on_both: County):
    county = county_on_both
    await county.paid_tranche(households=2)
    for sealed in (False, True):
        if sealed:
            await county.seal()
        answer = ok(await county.who(Role.AUDITOR).get(f"{TRAIL}/households/{household_no(2)}"))
        assert len(answer["items"]) == 2
        assert HouseholdTrail.model_validate(answer).model_dump(mode="json") == answer


async def test_each_level_says_what_its_model_says(county_on_both: County):
    county = county_on_both
    tranche_id = await county.paid_tranche(households=3)
    auditor = county.who(Role.AUDITOR)
    for source_id in (await source_ids(county)).values():
        fund = ok(await auditor.get(f"{TRAIL}/funds/{source_id}"))
        [project_id] = [item["project_id"] for item in fund["items"]]
        project = ok(await auditor.get(f"{TRAIL}/funds/{source_id}/projects/{project_id}"))
        tranche = ok(await auditor.get(f"{TRAIL}/funds/{source_id}/tranches/{tranche_id}"))
        assert [len(level["items"]) for level in (fund, project, tranche)] == [1, 1, 3]
        for model, answer in ((FundTrail, fund), (ProjectTrail, project), (TrancheTrail, tranche)):
            assert model.model_validate(answer).model_dump(mode="json") == answer


async def test_what_is_not_there_is_named(county: County):
    tranche_id = await county.paid_tranche(households=1)
    other = await county.source("F-9")
    auditor, [project] = (
        county.who(Role.AUDITOR),
        await pages(county.who(Role.AUDITOR), f"{TRAIL}/funds/{(await source_ids(county))['F-1']}"),
    )
    nobody, codes = UUID(int=1), []
    for path in (
        f"funds/{nobody}", f"funds/{nobody}/projects/{project['project_id']}", f"funds/{other}/projects/{nobody}",
        f"funds/{other}/projects/{project['project_id']}", f"funds/{nobody}/tranches/{tranche_id}", f"funds/{other}/tranches/{nobody}",
        f"funds/{other}/tranches/{tranche_id}",
    ):  # fmt: skip
        codes.append(refused(await auditor.get(f"{TRAIL}/{path}")))
    unknown = [(404, f"{what}_unknown") for what in ("source", "project", "tranche")]
    nothing = (404, "nothing_from_this_fund")
    assert codes == [unknown[0], unknown[0], unknown[1], nothing, unknown[0], unknown[2], nothing]


async def test_a_household_never_paid_has_an_empty_trail(county_on_both: County):
    await county_on_both.paid_tranche(households=1)
    await county_on_both.hear_household(7, division=VILLAGE)
    answer = ok(await county_on_both.who(Role.AUDITOR).get(f"{TRAIL}/households/{household_no(7)}"))
    assert (answer["amount_fen"], answer["by_fund"], answer["items"], answer["next"]) == (0, [], [], None)


async def test_an_entry_not_sealed_yet_says_so(county: County):
    await county.paid_tranche(households=1)
    trail = ok(await county.who(Role.AUDITOR).get(f"{TRAIL}/households/{household_no(1)}"))
    assert [item["sealed"] for item in trail["items"]] == [None, None]
    assert refused(await county.who(Role.AUDITOR).get(f"{TRAIL}/households/{household_no(1)}/bundle")) == (
        409,
        "not_sealed_yet",
    )


async def test_payments_are_read_page_by_page(county: County):
    await county.paid_tranche(households=1)
    items = await pages(county.who(Role.AUDITOR), f"{TRAIL}/households/{household_no(1)}", limit=1)
    assert [item["fund_no"] for item in items] == ["F-1", "F-2"]


@pytest.mark.parametrize("of", ["household", "fund"])
async def test_the_bundle_checks_offline_from_payment_to_receipt(county: County, tmp_path: Path, of):
    await county.paid_tranche(households=2)
    await county.seal()
    auditor = county.who(Role.AUDITOR)
    path = f"households/{household_no(1)}" if of == "household" else f"funds/{(await source_ids(county))['F-1']}"
    answer = await auditor.get(f"{TRAIL}/{path}/bundle")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(answer.content)
    keys = read_keys((await auditor.get("/funds/v1/log-key")).text)
    report = verify_bundle(bundle, keys)
    assert report.exit_code == 0, report.problems
    kinds = {entry["seq"]: entry["kind"] for entry in await pages(auditor, "/funds/v1/entries", limit=50)}
    found = sorted(kinds[seq] for seq in report.entries)
    funds = 2 if of == "household" else 1
    assert found == ["allocated"] * funds + ["hold", "paid"] + ["received"] * funds


async def test_a_town_follows_its_own_household_and_sees_no_id_of_the_county(county: County):
    await county.hear_household(9, division=OTHER_VILLAGE)
    await county.import_payees([(household_no(9), "李九", card(9), "农商行")])
    tranche_id = await county.paid_tranche(households=2)
    town = county.who(Role.AUDITOR, division=TOWN)
    answer = await town.get(f"{TRAIL}/households/{household_no(1)}")
    assert [(item["tranche_no"], item["tranche_id"], item["project_id"]) for item in ok(answer)["items"]] == [
        ("T-1", None, None)
    ] * 2
    assert tranche_id not in answer.text
    assert refused(await town.get(f"{TRAIL}/households/{household_no(9)}")) == (404, "household_unknown")
    for source_id in (await source_ids(county)).values():
        assert refused(await town.get(f"{TRAIL}/funds/{source_id}")) == (404, "source_unknown")
    assert ok(await town.get(f"{TRAIL}/gaps"))["items"] == []


async def test_what_a_moved_household_was_paid_adds_up_for_its_new_town(county: County):
    await county.paid_tranche(households=1)
    await county.hear_household(1, division=OTHER_VILLAGE)
    for division, payments in ((COUNTY, 2), (OTHER_TOWN, 0)):
        trail = ok(await county.who(Role.AUDITOR, division=division).get(f"{TRAIL}/households/{household_no(1)}"))
        assert len(trail["items"]) == len(trail["by_fund"]) == payments
        assert trail["amount_fen"] == sum(item["amount_fen"] for item in trail["items"])


async def test_the_county_s_bundle_is_not_a_town_s(county: County):
    """Its entry names households of other towns."""
    await county.paid_tranche(households=1)
    await county.seal()
    answer = await county.who(Role.AUDITOR, division=TOWN).get(f"{TRAIL}/households/{household_no(1)}/bundle")
    assert answer.status_code == 404


async def test_a_fund_that_is_not_in_a_project_leads_nowhere(county: County):
    await county.paid_tranche(households=1)
    other = await county.source("F-3")
    project = ok(await county.finance.get("/funds/v1/projects"))["items"][0]["id"]
    tranche = ok(await county.finance.get("/funds/v1/tranches"))["items"][0]["id"]
    for path in (f"projects/{project}", f"tranches/{tranche}"):
        answer = await county.finance.get(f"{TRAIL}/funds/{other}/{path}")
        assert refused(answer) == (404, "nothing_from_this_fund")


async def test_gaps_say_where_money_rests_and_who_cannot_be_paid(county_on_both: County):
    county = county_on_both
    for n in (1, 2):
        await county.hear_household(n)
    await county.import_payees([(household_no(1), "王一", card(1), "农商行")])
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    id = created(await county.tranche(project, 600))["id"]
    created(await county.hold(id))
    items = await pages(county.who(Role.AUDITOR), f"{TRAIL}/gaps", limit=1)
    assert [(gap["kind"], gap["number"], gap["amount_fen"], gap["count"]) for gap in items] == [
        ("fund_not_allocated", "F-1", RECEIVED_FEN - 1_000, 1),
        ("hold_open", "T-1", 600, 1),
        ("household_without_payee", "T-1", 300, 1),
        ("project_not_paid", "P-1", 400, 1),
    ]
    assert ok(await county.who(Role.AUDITOR).get(f"{TRAIL}/gaps", year=2017))["items"] == []


async def test_a_rejected_tranche_leaves_no_gap_of_payees(county: County):
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    id = created(await county.tranche(project, 600))["id"]
    order = {"act": "review", "verdict": "reject", "reason": "名单不全"}
    created(await county.who(Role.REVIEWER).post(f"/funds/v1/tranches/{id}/decisions", order))
    kinds = [gap["kind"] for gap in ok(await county.who(Role.AUDITOR).get(f"{TRAIL}/gaps"))["items"]]
    assert kinds == ["fund_not_allocated", "project_not_paid"]


def test_gaps_are_paged_in_one_order_whatever_order_they_are_found_in():
    gaps = [Gap(kind, number, COUNTY, 1) for kind in ("b", "a") for number in ("2", "1")]
    first = page_of_gaps(gaps, None, 3)
    assert [gap.key for gap in first] == [("a", "1"), ("a", "2"), ("b", "1")]
    assert [gap.key for gap in page_of_gaps(gaps, first[-1].key, 3)] == [("b", "2")]


async def test_a_town_s_project_is_the_town_s_to_follow(county: County):
    await county.hear_household(1, division=VILLAGE)
    project = await county.project(division=TOWN)
    created(await county.allocate(project, await county.source(), 500))
    ours, theirs = (county.who(Role.TOWN_OFFICE, division=town) for town in (TOWN, OTHER_TOWN))
    assert [gap["number"] for gap in ok(await ours.get(f"{TRAIL}/gaps"))["items"]] == ["P-1"]
    assert ok(await theirs.get(f"{TRAIL}/gaps"))["items"] == []
