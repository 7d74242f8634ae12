"""A procedure (程序) as the policy pack writes it: its steps in order and their checklists. Pure.

Source: standards.md 2 and 3; the pack's keys `registry.identification` and `registry.exit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.roles import Role
from shared.scope import Level


class CaseKind(StrEnum):
    """Which procedure a case follows (程序类别)."""

    IDENTIFICATION = "identification"  # 识别
    EXIT = "exit"  # 退出

    @property
    def policy(self) -> str:
        """The pack's key of this procedure."""
        return f"registry.{self.value}"


class StepKind(StrEnum):
    """What a step does (环节类别)."""

    SUBMIT = "submit"  # 申请
    REVIEW = "review"  # 评议、审核
    PUBLICITY = "publicity"  # 公示
    VERIFY = "verify"  # 核实
    DECIDE = "decide"  # 认定
    ANNOUNCE = "announce"  # 公告


POSTED = frozenset({StepKind.PUBLICITY, StepKind.ANNOUNCE})
"""Steps that are a notice standing on a board for some days."""

JUDGING = frozenset({StepKind.REVIEW, StepKind.VERIFY, StepKind.DECIDE})
"""Steps in which a person judges (审、核、定)."""

ONE_EACH = JUDGING | {StepKind.SUBMIT}
"""Steps of which one person takes at most one in a case: who applied does not judge, who judged does not judge again."""


class Answer(StrEnum):
    """The answer to a criterion (是/否)."""

    YES = "yes"
    NO = "no"


class IncomeTest(StrEnum):
    """What the machine itself checks of a criterion."""

    INCOME_ABOVE_LINE = "income_above_line"
    INCOME_BELOW_LINE = "income_below_line"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One item of a checklist (核查项). `answer` is the one that a pass needs."""

    key: str
    name: str
    name_en: str
    answer: Answer
    test: IncomeTest | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step (环节): who acts, at which level, for how many days its notice stands."""

    key: str
    name: str
    name_en: str
    kind: StepKind
    level: Level
    actors: frozenset[Role]
    days: int = 0
    quorum: bool = False
    checklist: str | None = None


@dataclass(frozen=True, slots=True)
class Procedure:
    """The steps of a procedure, in order. The first is the application, which opening the case takes."""

    steps: tuple[Step, ...]
    checklists: Mapping[str, tuple[Criterion, ...]]

    def criteria_of(self, step: Step) -> tuple[Criterion, ...]:
        """The criteria to be answered in this step; none when it has no checklist."""
        return self.checklists[step.checklist] if step.checklist else ()


def read_procedure(value: Mapping[str, Any]) -> Procedure:
    """The procedure of a pack value {steps: [...], checklists: {name: [...]}}, which was checked when the pack was loaded."""
    return Procedure(
        tuple(_step(item) for item in value["steps"]),
        {name: tuple(map(_criterion, items)) for name, items in value["checklists"].items()},
    )


def _step(item: Mapping[str, Any]) -> Step:
    return Step(
        key=item["key"],
        name=item["name"],
        name_en=item["name_en"],
        kind=StepKind(item["kind"]),
        level=Level(item["level"]),
        actors=frozenset(map(Role, item["actors"])),
        days=item["days"] or 0,
        quorum=item["quorum"],
        checklist=item["checklist"],
    )


def _criterion(item: Mapping[str, Any]) -> Criterion:
    test = IncomeTest(item["test"]) if item["test"] else None
    return Criterion(item["key"], item["name"], item["name_en"], Answer(item["answer"]), test)
