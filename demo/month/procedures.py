"""Step 2: one household is identified through its procedure, another exits through its own.

Every judging step is another person's; the notices hang their days; nobody edits a row.
"""

from typing import Any

from demo import cast
from demo.county import Household
from demo.driver import Who
from demo.month.stage import Stage, check
from shared.roles import Role

_ATTENDANCE = {"present": 31, "total": 42}


class Case:
    """One case (个案) of a household, driven step by step by those whose step it is."""

    def __init__(self, stage: Stage, kind: str, household: Household) -> None:
        self._stage, self.kind, self.household = stage, kind, household
        village = household.division
        self.clerk = cast.of_village(Role.VILLAGE_CLERK, village)
        self.team = cast.of_village(Role.TEAM_MEMBER, village)
        self.secretary = cast.of_village(Role.FIRST_SECRETARY, village)
        self.town = cast.of_town(Role.TOWN_OFFICE, village)
        self.id = ""

    def open(self, who: Who, reason: str) -> None:
        """Opens the case: the household applies, or the village proposes."""
        household_id = household_id_of(self._stage, self.household.number)
        opened = self._stage.driver.post(
            who,
            "/registry/v1/cases",
            f"{self.kind}:open",
            {"kind": self.kind, "household_id": household_id, "reason": reason, "client_ref": f"demo-{self.kind}"},
        )
        self.id = opened["id"]

    def decide(self, who: Who, step: str, *, evidence: str = "", attendance: bool = False) -> Any:
        """Passes the step that waits; with `evidence` each criterion of its checklist is answered as a pass needs it."""
        body: dict[str, Any] = {"step": step, "verdict": "pass"}
        answer = self._stage.driver.ask(who, "GET", self._path())
        if evidence:
            criteria = answer.body["waits"]["checklist"] if answer.body["waits"] else []
            body["checklist"] = [
                {"key": item["key"], "answer": item["answer"], "evidence": f"{evidence}：{item['name']}"}
                for item in criteria
            ]
        if attendance:
            body["attendance"] = _ATTENDANCE
        return self._stage.driver.post(who, f"{self._path()}/decisions", f"{self.kind}:{step}", body, etag=answer.etag)

    def post_notice(self, who: Who, step: str) -> None:
        """Hangs the notice of a publicity or announcement on the board."""
        etag = self._stage.driver.ask(who, "GET", self._path()).etag
        body = {"step": step, "place": "村务公开栏"}
        self._stage.driver.post(who, f"{self._path()}/notices", f"{self.kind}:{step}:notice", body, etag=etag)

    def show(self) -> Any:
        return self._stage.driver.get(cast.POVERTY_OFFICE, self._path())

    def _path(self) -> str:
        return f"/registry/v1/cases/{self.id}"


class Procedures:
    """The identification of the candidate and the exit of the leaver."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.identification = Case(stage, "identification", stage.county.candidate)
        self.exit = Case(stage, "exit", stage.county.leaver)

    def apply(self) -> None:
        self.identification.open(self.identification.team, "因家庭成员患大病致贫，本人申请。")
        self.exit.open(self.exit.team, "收入稳定超过标准，拟退出。")
        self._stage.say("识别、退出各立案一件", "one identification and one exit were opened")

    def review_in_village(self) -> None:
        self.identification.decide(self.identification.clerk, "village_review", evidence="入户核实", attendance=True)
        self.exit.decide(self.exit.clerk, "village_review", attendance=True)
        self.exit.decide(self.exit.secretary, "verification", evidence="入户核实")
        self._stage.say(
            "村民代表评议通过，退出五项标准逐项核实", "the villages reviewed; the five exit criteria were verified"
        )

    def hang_first_notices(self) -> None:
        self.identification.post_notice(self.identification.clerk, "first_publicity")
        self.exit.post_notice(self.exit.clerk, "publicity")
        self._stage.say("两户公示上墙（7 天）", "both notices hang on the village board")

    def after_first_notices(self) -> None:
        self.identification.decide(self.identification.clerk, "first_publicity")
        self.identification.decide(self.identification.town, "town_review", evidence="镇级复核")
        self.identification.post_notice(self.identification.town, "second_publicity")
        self.exit.decide(self.exit.clerk, "publicity")
        self.exit.decide(cast.POVERTY_OFFICE, "county_decision")
        self.exit.post_notice(self.exit.clerk, "announcement")
        self._stage.say(
            "镇级审核后二次公示；县级审定退出并公告",
            "second publicity after the town's review; the county decided the exit",
        )

    def close_exit(self) -> None:
        self.exit.decide(self.exit.clerk, "announcement")
        self._stage.say(
            f"{self.exit.household.number} 按程序退出",
            f"{self.exit.household.number} left the register by its procedure",
        )

    def after_second_notice(self) -> None:
        self.identification.decide(self.identification.town, "second_publicity")
        self.identification.decide(cast.POVERTY_OFFICE, "county_decision")
        self.identification.post_notice(self.identification.clerk, "announcement")
        self._stage.say("县级复审通过，公告 5 天", "the county decided the identification; it is announced")

    def close_identification(self) -> None:
        self.identification.decide(self.identification.clerk, "announcement")
        number = self.identification.household.number
        self._stage.say(f"{number} 识别纳入", f"{number} is on the register")

    def result(self) -> dict[str, Any]:
        """Both cases as they ended, and the statuses of their households."""
        found: dict[str, Any] = {}
        for case, status in ((self.identification, "registered"), (self.exit, "exited")):
            shown = case.show()
            household = _household(self._stage, case.household.number)
            check(household["status"] == status, f"{case.household.number} is {household['status']}, not {status}")
            people = {step["by"] for step in shown["steps"] if step["by"]}
            found[case.kind] = {
                "case_no": shown["case_no"],
                "household_no": case.household.number,
                "state": shown["state"],
                "opened_on": shown["opened_on"],
                "decided_on": shown["decided_on"],
                "closed_on": shown["closed_on"],
                "steps": len(shown["steps"]),
                "deciders": len(people),
                "household_status": household["status"],
            }
        return found


def household_id_of(stage: Stage, number: str) -> str:
    """The registry's id of a household by its number."""
    return str(_household(stage, number)["id"])


def _household(stage: Stage, number: str) -> Any:
    page = stage.driver.get(cast.POVERTY_OFFICE, "/registry/v1/households", household_no=number)
    check(len(page["items"]) == 1, f"household {number} is listed {len(page['items'])} times")
    return page["items"][0]
