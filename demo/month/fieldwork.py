"""Visits (走访) of first secretaries and paired cadres to the households of their villages, brought by the app's backend."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from demo import cast
from demo.county import Cadre
from demo.month.stage import Stage, check

BATCH = 200
VISITING_POSTS = frozenset({"first_secretary", "paired_cadre"})
_VISITS_A_WEEK = (0, 1, 1, 2)


class Fieldwork:
    """The visits of each week."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._cadres = [cadre for cadre in stage.county.cadres if cadre.post in VISITING_POSTS]
        self._homes: dict[str, list[str]] = defaultdict(list)
        self._ids: dict[str, str] = {}
        self._visits = 0
        for household in stage.county.households:
            if household is not stage.county.candidate:
                self._homes[household.division].append(household.number)

    def visit(self, week: str, friday: date) -> None:
        """Enters the week's visits in batches, each item judged for itself."""
        if not self._ids:
            listed = self._stage.driver.pages(cast.FIELD_APP, "/registry/v1/households")
            self._ids = {household["household_no"]: household["id"] for household in listed}
        items = [item for cadre in self._cadres for item in self._of(cadre, week, friday)]
        for start in range(0, len(items), BATCH):
            part = items[start : start + BATCH]
            answer = self._stage.driver.post(
                cast.FIELD_APP, "/registry/v1/visits/batch", f"visits:{week}:{start}", {"items": part}
            )
            wrong = [result for result in answer["results"] if result["status"] != 201]
            check(not wrong, f"{len(wrong)} visits were refused: {wrong[:2]}")
        self._visits += len(items)
        self._stage.say(f"{week} 入户走访 {len(items)} 次", f"{week}: {len(items)} visits")

    def result(self) -> int:
        return self._visits

    def _of(self, cadre: Cadre, week: str, friday: date) -> list[dict[str, Any]]:
        """Towns differ in diligence; a cadre goes to other households every week."""
        town = self._stage.rng("diligence", cadre.division[:9]).random()
        rng = self._stage.rng("visits", week, cadre.cadre_no)
        wanted = rng.choice(_VISITS_A_WEEK) if rng.random() < 0.5 + town / 2 else 0
        homes = self._homes[cadre.division]
        return [
            {
                "household_id": self._ids[number],
                "cadre_no": cadre.cadre_no,
                "visited_on": (friday - timedelta(days=rng.randint(0, 4))).isoformat(),
                "client_ref": f"{week}-{cadre.cadre_no}-{running}",
            }
            for running, number in enumerate(rng.sample(homes, min(wanted, len(homes))))
        ]
