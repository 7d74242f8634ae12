"""Step 6: visits, exits, payments and reports became facts; the facts become scores, each explained to the event."""

from typing import Any

from demo import cast
from demo.month.stage import Stage, check
from shared.scope import Level, at_level

YEAR = 2016
PERIOD = "2016-11"
SAMPLE = 12
"""Cadres whose explanation is gone through; of the towns it is everyone's."""

EXITS_PLANNED = 1
"""Exits that the leaver's town plans for the year (ours); the month of the other towns plans none."""


class Scores:
    """The scores of towns and cadres of November."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._found: dict[str, Any] = {}

    def set_targets(self) -> None:
        """Every town plans its exits of the year. Source: REG-020 (plan against actual)."""
        county = self._stage.county
        planned = {division.code: 0 for division in county.divisions if division.level == Level.TOWN}
        planned[str(at_level(county.leaver.division, Level.TOWN))] = EXITS_PLANNED
        items = [
            {"division": town, "year": YEAR, "indicator": "exits", "planned": exits} for town, exits in planned.items()
        ]
        answer = self._stage.driver.post(cast.POVERTY_OFFICE, "/assessment/v1/targets", "targets", {"items": items})
        check(all(result["status"] < 300 for result in answer["results"]), f"targets: {answer['results']}")

    def run(self) -> None:
        """Scores November from all that was heard, and goes through the explanations."""
        body = {"division": cast.COUNTY, "period": PERIOD}
        self._stage.driver.post(cast.POVERTY_OFFICE, "/assessment/v1/scores/runs", "score:run", body)
        towns, cadres = self._list("town"), self._list("cadre")
        sample = self._stage.rng("explained").sample(cadres, min(SAMPLE, len(cadres)))
        events = sum(self._explained(item["subject"]) for item in [*towns, *sample])
        self._found = {
            "period": PERIOD,
            "towns": len(towns),
            "cadres": len(cadres),
            "explained": len(towns) + len(sample),
            "events": events,
            "ranking": [
                {"name": town["name"], "score_milli": town["score_milli"], "grade": town["grade"]["name"]}
                for town in sorted(towns, key=lambda town: (-town["score_milli"], town["division"]))
            ],
        }
        best = self._found["ranking"][0]
        self._stage.say(
            f"{PERIOD} 考核：{len(towns)} 个镇、{len(cadres)} 名干部，最高 {best['name']} {best['score_milli'] / 1000:.3f} 分",
            f"scores of {len(towns)} towns and {len(cadres)} cadres, explained by {events} events",
        )

    def result(self) -> dict[str, Any]:
        return self._found

    def _list(self, kind: str) -> list[Any]:
        return self._stage.driver.pages(cast.POVERTY_OFFICE, "/assessment/v1/scores", period=PERIOD, kind=kind)

    def _explained(self, subject: str) -> int:
        """How many events explain a score. The points must add up at every level, to the thousandth."""
        score = self._stage.driver.get(
            cast.POVERTY_OFFICE, f"/assessment/v1/scores/{subject}/explanation", period=PERIOD
        )
        total = events = 0
        for indicator in score["indicators"]:
            shown = sum(part["points_milli"] for part in indicator["contributions"])
            check(
                shown + indicator["hidden_points_milli"] == indicator["points_milli"],
                f"{subject} {indicator['key']}: the contributions do not add up",
            )
            total += indicator["points_milli"]
            events += indicator["hidden"] + sum(part["event_id"] is not None for part in indicator["contributions"])
        check(
            total == score["score_milli"],
            f"{subject}: the indicators give {total}, the score is {score['score_milli']}",
        )
        return events
