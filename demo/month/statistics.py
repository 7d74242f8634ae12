"""The statistics of the pathways (脱贫路径), asked of the registry and counted again over the generated rows."""

from collections import defaultdict
from typing import Any

from demo import cast
from demo.month.stage import Stage, check

YEAR = 2016
ENTITY_LED, YEAR_TOTAL = "entity_led", "year_total"
SHARE_PILOT = "share_pilot"


class Statistics:
    """Figures in the shape of the published ones: households and people by pathway and sub-category."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def check_figures(self) -> None:
        """What the registry counts is what the files held."""
        self.result()
        self._stage.say(
            "十条路径统计与导入逐户核对一致",
            "the statistics of the ten pathways agree with the files, household by household",
        )

    def result(self) -> dict[str, Any]:
        """The pathways by key, as the registry counts them."""
        counted = self._ask("")
        found: dict[str, Any] = {}
        for key, pathway in counted.items():
            self._compare(key, pathway)
            found[key] = {
                "name": pathway["name"],
                "households": pathway["households"],
                "people": pathway["people"],
                "scope": pathway["scope"],
            }
            if pathway["subs"]:
                found[key]["subs"] = {
                    sub: [count["households"], count["people"]] for sub, count in pathway["subs"].items()
                }
        led = self._ask(ENTITY_LED)["industry"]
        found["industry"]["entity_led"] = [led["households"], led["people"]]
        found["relocation"]["year_total_households"] = self._ask(YEAR_TOTAL)["relocation"]["households"]
        pilot = self._ask(SHARE_PILOT)["asset_income"]
        found["asset_income"]["share_pilot"] = [pilot["households"], pilot["people"]]
        return found

    def _ask(self, scope: str) -> dict[str, Any]:
        answer = self._stage.driver.get(
            cast.STATISTICS, "/registry/v1/statistics/pathways", year=YEAR, division=cast.COUNTY, scope=scope
        )
        pathways: dict[str, Any] = answer["pathways"]
        return pathways

    def _compare(self, key: str, pathway: Any) -> None:
        people = {household.number: len(household.people) for household in self._stage.county.households}
        homes: dict[str, set[str]] = defaultdict(set)
        persons: dict[str, int] = defaultdict(int)
        for measure in self._stage.county.measures:
            if (measure.pathway, measure.scope) == (key, pathway["scope"]):
                for name in ("", measure.sub):
                    homes[name].add(measure.household_no)
                persons[measure.sub] += measure.persons or 0
        for name, count in (("", pathway), *pathway["subs"].items()):
            members = persons[name] if name and persons[name] else sum(people[number] for number in homes[name])
            mine = (len(homes[name]), members)
            theirs = (count["households"], count["people"])
            check(mine == theirs, f"{key} {name}: {theirs} from the registry, {mine} in the files")
