"""Acceptance point 6, over HTTP: a score is exactly the sum of what it is explained by, and a fact bears on whom the engine names."""

from typing import Any

from conftest import Copied, House

from demo.cast import ADMIN, COUNTY, POVERTY_OFFICE
from demo.month.scores import PERIOD

SCORES = "/assessment/v1/scores"
FACTS = "/assessment/v1/facts"
KINDS = (
    "registry.visit_recorded.v1",
    "registry.household_exited.v1",
    "funds.tranche_paid.v1",
    "notify.report_missed.v1",
)
"""One fact of each is taken away in turn."""


def versions(house: House) -> dict[str, int]:
    """Subject → version of the score in force; a new one is made when the points or their explanation change."""
    return {item["subject"]: item["version"] for item in house.driver.pages(ADMIN, SCORES, period=PERIOD)}


def explained(house: House) -> dict[str, dict[str, Any]]:
    """Subject → score and indicators down to the events, of everybody scored in the month."""
    found = {}
    for subject in versions(house):
        said = house.driver.get(ADMIN, f"{SCORES}/{subject}/explanation", period=PERIOD)
        found[subject] = {"score_milli": said["score_milli"], "indicators": said["indicators"]}
    return found


def score_again(house: House, turn: str) -> set[str]:
    """Runs the engine; who got another score or explanation, as the run itself lists them."""
    run = house.driver.post(POVERTY_OFFICE, f"{SCORES}/runs", f"run:{turn}", {"division": COUNTY, "period": PERIOD})
    changed = house.driver.pages(ADMIN, f"{SCORES}/runs/{run['id']}/changes")
    assert run["changed"] == len(changed)
    return {item["subject"] for item in changed}


def take_away(house: House, kind: str) -> dict[str, dict[str, Any]]:
    """Withdraws one fact of the month; subject → effect, as the engine names them before and in its answer."""
    fact = house.driver.get(ADMIN, FACTS, period=PERIOD, type=kind, limit=1)["items"][0]
    address = f"{FACTS}/{fact['event_id']}"
    named = house.driver.get(ADMIN, f"{address}/affected")["affected"]
    reason = {"reason": "核实不属实"}
    assert house.driver.post(ADMIN, f"{address}/withdrawals", f"withdraw:{kind}", reason)["affected"] == named
    return {effect["subject"]: effect for effect in named if effect["period"] == PERIOD}


def require_sums(said: dict[str, Any], subject: str) -> None:
    """Contributions add up to the indicator, indicators to the score: exactly."""
    assert said["score_milli"] == sum(indicator["points_milli"] for indicator in said["indicators"]), subject
    for indicator in said["indicators"]:
        shown = sum(contribution["points_milli"] for contribution in indicator["contributions"])
        assert indicator["points_milli"] == shown + indicator["hidden_points_milli"], (subject, indicator["key"])


def test_scores_are_explained_to_the_event_and_a_fact_bears_on_whom_it_names(copied: Copied) -> None:
    """Sums first; then one fact of each kind is withdrawn and the month is scored again."""
    with copied() as house:
        assert score_again(house, "nothing") == set(), "nothing was taken away, so nothing may change"
        before = explained(house)
        assert len(before) > 100
        for subject, said in before.items():
            require_sums(said, subject)
        bore: set[str] = set()
        for kind in KINDS:
            was = versions(house)
            effects = take_away(house, kind)
            assert effects, kind
            assert score_again(house, kind) == set(effects), kind
            now = versions(house)
            assert {subject for subject in now if now[subject] != was[subject]} == set(effects), kind
            for item in house.driver.pages(ADMIN, SCORES, period=PERIOD):
                if effect := effects.get(item["subject"]):
                    assert item["score_milli"] == effect["score_milli_without"], (kind, item["subject"])
            bore |= set(effects)
        after = explained(house)
        assert {subject for subject in before if before[subject] != after[subject]} == bore
        for subject in bore:
            require_sums(after[subject], subject)
