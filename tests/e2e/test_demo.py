"""Acceptance points 1 and 2: the figures of the demo are counted by the house over imported rows, and follow them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Copied, Month, live

from demo.cast import POVERTY_OFFICE, STATISTICS

PUBLISHED = ROOT / "data" / "published" / "pingli-2016.json"
YEAR = 2016


def counts_of(pathways: dict[str, Any]) -> dict[str, int]:
    """Every household and person count by its path: of pathways, their sub-categories, and the series beside the target."""
    found: dict[str, int] = {}
    for key, pathway in pathways.items():
        pairs = {f"{key}/{sub}": counts for sub, counts in pathway.get("subs", {}).items()}
        pairs[key] = [pathway["households"], pathway["people"]]
        if "entity_led" in pathway:
            pairs[f"{key}/entity_led"] = pathway["entity_led"]
        for path, (households, people) in pairs.items():
            found |= {f"{path} households": households, f"{path} people": people}
        if "year_total_households" in pathway:
            found[f"{key}/year_total households"] = pathway["year_total_households"]
    return found


def published() -> dict[str, int]:
    said = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return counts_of(said["pingli_2016_pathways"])


def compare(month: Month) -> dict[str, tuple[int, Any]]:
    """Published numbers that the demo does not give, with what it gives."""
    counted = counts_of(month.said["pathways"])
    return {path: (number, counted.get(path)) for path, number in published().items() if counted.get(path) != number}


def test_the_demo_counts_every_published_figure(month: Month) -> None:
    """Households and people of each pathway and sub-category, through the statistics API."""
    said = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert len(published()) == 2 * len(said["pingli_2016_pathways"]) + 2 * 33 + 3, "a count was left out"
    assert compare(month) == {}
    pilot = said["pingli_share_pilot"]
    assert month.said["pathways"]["asset_income"]["share_pilot"] == [pilot["households"], pilot["people"]]


@pytest.mark.rule("NTF-001")
def test_the_demo_tells_what_happened(month: Month) -> None:
    """The other keys of `--json`, with what a month must have in them."""
    said = month.said
    assert said["divisions"] == {"towns": 11, "villages": 152}
    assert {case["state"] for case in said["cases"].values()} == {"passed"}
    assert said["money"]["lost_fen"] == 0
    assert said["money"]["paid_fen"] > 0
    assert said["trail"]
    assert said["scores"]
    sms = said["sms"]
    assert sms["due"] == sms["sent"] > sms["replied"] > 0
    assert sms["reminded"] > 0
    assert said["seconds"] > 0


def test_another_seed_gives_the_same_figures_with_other_households(
    month: Month, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`--seed 2`: the published figures come out again; the people are others."""
    other = live(tmp_path_factory.mktemp("month"), 2)
    assert compare(other) == {}
    assert households_of(other) != households_of(month)


def households_of(month: Month) -> list[tuple[str, ...]]:
    """Masked heads of all households, as the database keeps them."""
    import sqlite3

    with sqlite3.connect(month.home / "registry.db") as database:
        rows = database.execute("select household_no, division, head_name_masked from household order by 1").fetchall()
    database.close()
    return rows


def test_taking_one_measure_away_changes_the_figures(month: Month, copied: Copied) -> None:
    """Point 2: one household loses its only industry measure, through the API; nothing else changes."""
    before = month.said["pathways"]
    with copied() as house:
        hands = house.driver
        mine: dict[str, list[Any]] = {}
        for measure in hands.pages(
            STATISTICS, "/registry/v1/measures", pathway="industry", scope="exit_target_2016", year=YEAR
        ):
            mine.setdefault(measure["household_id"], []).append(measure)
        (measure,) = next(measures for measures in mine.values() if len(measures) == 1 and not measures[0]["ended_on"])
        people = hands.get(STATISTICS, f"/registry/v1/households/{measure['household_id']}")["people"]
        address = f"/registry/v1/measures/{measure['id']}"
        etag = hands.ask(POVERTY_OFFICE, "GET", address).etag
        ending = {"ended_on": house.now.date().isoformat(), "reason": "重复登记"}
        hands.post(POVERTY_OFFICE, f"{address}/end", "end-measure", ending, etag=etag)
        after = hands.get(STATISTICS, "/registry/v1/statistics/pathways", year=YEAR)["pathways"]
    assert after["industry"]["households"] == before["industry"]["households"] - 1
    assert after["industry"]["people"] == before["industry"]["people"] - people
    others = {key: (now["households"], now["people"]) for key, now in after.items() if key != "industry"}
    assert others == {key: (before[key]["households"], before[key]["people"]) for key in others}


def test_no_code_of_the_house_knows_the_figures() -> None:
    """Point 2's grep, and: nothing but the generator and the tests reads the published figures."""
    grep = subprocess.run(
        ["git", "grep", "-nE", "2456|6875|14119|39589", "--", "services", "shared"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert grep.stdout == ""
    assert grep.returncode == 1, grep.stderr
    readers = [
        path.relative_to(ROOT)
        for folder in ("services", "shared", "policies")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml")
        and re.search(r"pingli-2016|acceptance-data|data[/\"'\s,]+published", path.read_text("utf-8"))
    ]
    assert readers == []
    assert Path(PUBLISHED).exists()
