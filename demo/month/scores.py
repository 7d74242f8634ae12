"""Step 6: visits, exits, payments and reports became facts; the facts become scores, each explained to the event."""

from typing import Any

from demo import cast
from demo.month.stage import Stage
from shared.scope import Level

YEAR = 2016
PERIOD = "2016-11"


class Scores:
    """The scores of towns and cadres of November."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._found: dict[str, Any] = {}

    def set_targets(self) -> None:
        """Every town is to bring one household out of poverty this year (ours)."""
        towns = [division.code for division in self._stage.county.divisions if division.level == Level.TOWN]
        items = [{"division": town, "year": YEAR, "indicator": "exits", "planned": 1} for town in towns]
        self._stage.driver.post(cast.POVERTY_OFFICE, "/assessment/v1/targets", "targets", {"items": items})

    def run(self) -> None:
        """Scores the month."""

    def result(self) -> dict[str, Any]:
        return {"towns": 0, "cadres": 0}
