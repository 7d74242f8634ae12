"""A procedure (程序) as the policy pack writes it: its steps in order and their checklists. Pure.

Source: standards.md 2 and 3; the pack's keys `registry.identification` and `registry.exit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.roles import Role
from shared.scope import Level

MAX_STEPS = 20
MAX_NOTICE_DAYS = 90


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
    ASSESS = "assess"  # 测评
    REVIEW = "review"  # 评议、审核
    PUBLICITY = "publicity"  # 公示
    VERIFY = "verify"  # 核实
    DECIDE = "decide"  # 认定
    ANNOUNCE = "announce"  # 公告


POSTED = frozenset({StepKind.PUBLICITY, StepKind.ANNOUNCE})
"""Steps that are a notice standing on a board for some days."""

JUDGING = frozenset({StepKind.ASSESS, StepKind.REVIEW, StepKind.VERIFY, StepKind.DECIDE})
"""Steps in which a person judges (评、审、核、定)."""

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


class BadProcedure(ValueError):
    """The pack writes a procedure that cannot be followed; the message names the place."""


def read_procedure(value: Mapping[str, Any]) -> Procedure:
    """The procedure of a pack value {steps: [...], checklists: {name: [...]}}. Raises BadProcedure."""
    try:
        checklists = {
            name: tuple(_criterion(item) for item in items) for name, items in value.get("checklists", {}).items()
        }
        procedure = Procedure(tuple(_step(item) for item in value["steps"]), checklists)
    except (KeyError, TypeError, ValueError) as error:
        raise BadProcedure(f"procedure: {type(error).__name__}: {error}") from error
    _require_sound(procedure)
    return procedure


def write_procedure(procedure: Procedure) -> dict[str, Any]:
    """The pack value again: a case keeps the procedure it was opened under. read_procedure(write_procedure(p)) == p."""
    return {
        "steps": [
            {
                "key": step.key,
                "name": step.name,
                "name_en": step.name_en,
                "kind": step.kind.value,
                "level": step.level.value,
                "actors": sorted(role.value for role in step.actors),
                "days": step.days,
                "quorum": step.quorum,
                "checklist": step.checklist,
            }
            for step in procedure.steps
        ],
        "checklists": {
            name: [
                {
                    "key": criterion.key,
                    "name": criterion.name,
                    "name_en": criterion.name_en,
                    "answer": criterion.answer.value,
                    "test": criterion.test.value if criterion.test else None,
                }
                for criterion in criteria
            ]
            for name, criteria in procedure.checklists.items()
        },
    }


def _step(item: Mapping[str, Any]) -> Step:
    return Step(
        key=item["key"],
        name=item["name"],
        name_en=item.get("name_en", item["key"]),
        kind=StepKind(item["kind"]),
        level=Level(item["level"]),
        actors=frozenset(Role(actor) for actor in item["actors"]),
        days=item.get("days") or 0,
        quorum=item.get("quorum", False),
        checklist=item.get("checklist"),
    )


def _criterion(item: Mapping[str, Any]) -> Criterion:
    answer = item["answer"]
    if isinstance(answer, bool):  # YAML reads a bare yes/no as a boolean
        answer = "yes" if answer else "no"
    test = item.get("test")
    return Criterion(
        item["key"], item["name"], item.get("name_en", item["key"]), Answer(answer), IncomeTest(test) if test else None
    )


def _require_sound(procedure: Procedure) -> None:
    steps = procedure.steps
    keys = [step.key for step in steps]
    kinds = [step.kind for step in steps]
    problems = [
        (not 2 <= len(steps) <= MAX_STEPS, f"between 2 and {MAX_STEPS} steps"),
        (len(set(keys)) != len(keys), "step keys must differ"),
        (
            kinds[:1] != [StepKind.SUBMIT] or kinds.count(StepKind.SUBMIT) != 1,
            "the first step, and no other, is the application",
        ),
        (StepKind.DECIDE not in kinds, "somebody must decide"),
        (
            StepKind.ANNOUNCE in kinds and StepKind.DECIDE in kinds[kinds.index(StepKind.ANNOUNCE) :],
            "an announcement follows the decision",
        ),
        (any(not step.actors for step in steps), "every step needs actors"),
        (
            any(step.kind in POSTED and not 1 <= step.days <= MAX_NOTICE_DAYS for step in steps),
            "a notice stands at least a day",
        ),
        (
            any((step.checklist or step.quorum) and step.kind not in JUDGING for step in steps),
            "only a judging step has a checklist or a quorum",
        ),
        (
            any(step.checklist and step.checklist not in procedure.checklists for step in steps),
            "a step names a checklist that is not there",
        ),
        (
            any(len({c.key for c in items}) != len(items) for items in procedure.checklists.values()),
            "criterion keys must differ",
        ),
    ]
    if wrong := [text for failed, text in problems if failed]:
        raise BadProcedure("procedure: " + "; ".join(wrong))
