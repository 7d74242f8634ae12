"""The shape of every parameter a policy pack may hold: a key that is not listed here, or a value of another shape, is refused.

A room that needs a new parameter adds its key here first. What the values mean stands in the pack itself (policies/pingli.yaml).
"""

from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from shared.roles import Role

FULL_POINTS = 100

Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description='county time, quoted: "09:00"')]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
LevelKey = Literal["village", "town", "county"]
Act = Literal["apply", "review", "approve", "release", "pay"]
Prepared = Literal["hold", "payees"]
Days = Annotated[int, Field(strict=True, ge=1, le=365)]
Fen = Annotated[int, Field(strict=True, ge=1)]
Roles = Annotated[list[Annotated[Role, Field(strict=False)]], Field(min_length=1)]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _no_key_twice(items: list[Any]) -> list[Any]:
    keys = [item.key for item in items]
    if again := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"the key {again[0]} occurs twice")
    return items


NoKeyTwice = AfterValidator(_no_key_twice)


class Sub(Shape):
    """A sub-category (子类) of a pathway. `people_basis` persons: its people are counted by the measure's own number."""

    key: Key
    name: Name
    name_en: Name
    people_basis: Literal["members", "persons"] = "members"


class Pathway(Shape):
    """A pathway out of poverty (脱贫路径): its default scope and the scopes a measure may have."""

    key: Key
    name: Name
    name_en: Name
    scope: Key
    scopes: Annotated[list[Key], Field(min_length=1)]
    people_basis: Literal["members", "persons"]
    subs_disjoint: bool
    subs: Annotated[list[Sub], NoKeyTwice]

    @model_validator(mode="after")
    def _default_scope_allowed(self) -> Self:
        if self.scope not in self.scopes:
            raise ValueError(f"the default scope {self.scope} is not among the allowed scopes")
        return self


class Item(Shape):
    """A question of a checklist. `answer` is the one a pass needs; `test` lets the register's figures decide as well."""

    key: Key
    name: Name
    name_en: Name
    answer: Annotated[Literal["yes", "no"], Field(description='quoted: "yes" or "no"')]
    test: Literal["income_above_line", "income_below_line"] | None = None


class Step(Shape):
    """A step of a procedure: who acts, at which level, for how many days."""

    key: Key
    kind: Literal["submit", "review", "verify", "publicity", "decide", "announce"]
    level: LevelKey
    name: Name
    name_en: Name
    actors: Roles
    days: Days | None = None
    quorum: bool = False
    checklist: Key | None = None

    @model_validator(mode="after")
    def _days_where_time_passes(self) -> Self:
        if (self.days is not None) != (self.kind in ("publicity", "announce")):
            raise ValueError("publicity and announcement have days, other steps have none")
        return self


class Procedure(Shape):
    """A procedure (程序): its steps in order and the checklists they use."""

    steps: Annotated[list[Step], Field(min_length=2, max_length=20), NoKeyTwice]
    checklists: dict[Key, Annotated[list[Item], Field(min_length=1), NoKeyTwice]] = {}
    same_year_allowed: bool = True

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        kinds = [step.kind for step in self.steps]
        if kinds[0] != "submit" or kinds.count("submit") != 1:
            raise ValueError("the first step, and no other, is of the kind submit")
        if "decide" not in kinds:
            raise ValueError("somebody must decide: a step of the kind decide is missing")
        if "announce" in kinds and "decide" in kinds[kinds.index("announce") :]:
            raise ValueError("an announcement follows the decision")
        for step in self.steps:
            if (step.checklist or step.quorum) and step.kind not in ("review", "verify", "decide"):
                raise ValueError(f"step {step.key}: only a judging step has a checklist or a quorum")
            if step.checklist is not None and step.checklist not in self.checklists:
                raise ValueError(f"step {step.key} uses the checklist {step.checklist}, which is not there")
        return self


class Ratio(Shape):
    """A share as two integers, so that it is exact."""

    numerator: Annotated[int, Field(ge=1)]
    denominator: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if self.numerator > self.denominator:
            raise ValueError("a share is at most the whole")
        return self


class LedgerRights(Shape):
    """Who writes which ledger (台账): registration, dynamic monitoring, measures. The routes' gates are the outer bound."""

    registration: Roles
    monitoring: Roles
    measures: Roles


class ApprovalStep(Shape):
    """An act of the approval chain (审批链) and who may do it."""

    act: Act
    name: Name
    name_en: Name
    level: LevelKey
    roles: Roles


def _approved_before_paid(steps: list[ApprovalStep]) -> list[ApprovalStep]:
    acts = [step.act for step in steps]
    if len(set(acts)) < len(acts):
        raise ValueError("each act stands once in the chain")
    if (acts[0], acts[-1]) != ("apply", "pay") or "approve" not in acts:
        raise ValueError("a chain begins with apply, has an approve, and ends with pay")
    if "release" in acts and acts[-2:] != ["release", "pay"]:
        raise ValueError("release, where there is one, is the last act before pay")
    return steps


def _different_acts(pair: list[Act | Prepared]) -> list[Act | Prepared]:
    if pair[0] == pair[1]:
        raise ValueError("a pair names two different acts")
    return pair


NEVER_ONE_PERSON = tuple(map(frozenset, combinations(("apply", "approve", "release", "pay"), 2)))
"""Whatever a pack says: who applied does not approve, who approved does not pay, and a release is a third person's (architecture.md 5)."""


def _separates(pairs: list[list[Act | Prepared]]) -> list[list[Act | Prepared]]:
    there = set(map(frozenset, pairs))
    if missing := [" and ".join(sorted(pair)) for pair in NEVER_ONE_PERSON if pair not in there]:
        raise ValueError("nobody may do both of: " + "; ".join(missing))
    return pairs


class Indicator(Shape):
    """An indicator (指标) of an assessment: weight in points, the events it is computed from, the most it can give."""

    key: Key
    name: Name
    name_en: Name
    weight: Annotated[int, Field(ge=1, le=FULL_POINTS)]
    formula: Literal["coverage", "ratio_to_target", "progress", "punctuality"]
    target: Annotated[int, Field(ge=1)] | None = None
    events: Annotated[list[Annotated[str, Field(pattern=r"^[a-z]+\.[a-z_]+\.v\d+$")]], Field(min_length=1)]
    cap_permille: Annotated[int, Field(ge=1, le=1000)]
    nothing_due: Literal["full", "none"]

    @model_validator(mode="after")
    def _target_where_compared(self) -> Self:
        if (self.target is not None) != (self.formula == "ratio_to_target"):
            raise ValueError("a target belongs to ratio_to_target, and to no other formula")
        return self


class Scheme(Shape):
    """An assessment scheme (考核方案) of one kind of subject; the weights add up to 100 points."""

    name: Name
    name_en: Name
    period: Literal["month"]
    indicators: Annotated[list[Indicator], Field(min_length=1), NoKeyTwice]

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if (total := sum(i.weight for i in self.indicators)) != FULL_POINTS:
            raise ValueError(f"the weights add up to {total}, not to {FULL_POINTS}")
        return self


class Schemes(Shape):
    town: Scheme
    cadre: Scheme


class WeightMin(Shape):
    """The least weight (percent) of poverty work in the annual assessment of towns and of departments."""

    towns: Annotated[int, Field(ge=0, le=100)]
    departments: Annotated[int, Field(ge=0, le=100)]


class Grade(Shape):
    """A grade (等次) and the points from which it is given."""

    key: Key
    name: Name
    name_en: Name
    from_points: Annotated[int, Field(ge=0, le=FULL_POINTS)]


def _best_first_down_to_zero(grades: list[Grade]) -> list[Grade]:
    points = [grade.from_points for grade in grades]
    if points != sorted(set(points), reverse=True) or points[-1] != 0:
        raise ValueError("grades stand best first, each from fewer points than the one before, the last from 0")
    return grades


class Moment(Shape):
    """A moment of the week, in county time."""

    weekday: Weekday
    at: TimeOfDay


class Prompt(Moment):
    posts: Annotated[
        list[Literal["county_leader", "town_chief", "department_chief", "first_secretary", "paired_cadre"]],
        Field(min_length=1),
    ]


class Sign(Shape):
    zh: Annotated[str, Field(max_length=30)]
    en: Annotated[str, Field(max_length=30)]


class Template(Shape):
    """A message in both languages, with ${variables}; both use the same ones."""

    zh: Annotated[str, Field(min_length=1, max_length=500)]
    en: Annotated[str, Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _same_variables(self) -> Self:
        if _variables(self.zh) != _variables(self.en):
            raise ValueError("the Chinese and the English text use different variables")
        return self


def _variables(text: str) -> set[str]:
    _, *parts = text.split("${")
    names = {part.partition("}")[0] if "}" in part else "" for part in parts}
    if not all(name.isascii() and name.isidentifier() for name in names):
        raise ValueError("a variable is written ${name}")
    return names


class Templates(Shape):
    weekly_prompt: Template
    reminder: Template
    report_received: Template
    paid_last_week: Template | None = None


SHAPES: dict[str, TypeAdapter[Any]] = {
    "registry.pathways": TypeAdapter(Annotated[list[Pathway], Field(min_length=1), NoKeyTwice]),
    "registry.identification": TypeAdapter(Procedure),
    "registry.exit": TypeAdapter(Procedure),
    "registry.income_line": TypeAdapter(Fen),
    "registry.review_quorum": TypeAdapter(Ratio),
    "registry.ledger_rights": TypeAdapter(LedgerRights),
    "registry.mandate_max_days": TypeAdapter(Days),
    "registry.engagement_max_days": TypeAdapter(Days),
    "registry.visit_back_days": TypeAdapter(Annotated[int, Field(strict=True, ge=0, le=365)]),
    "funds.publicity_days": TypeAdapter(Days),
    "funds.allocation_publish_deadline": TypeAdapter(Days),
    "funds.approval_chain": TypeAdapter(
        Annotated[list[ApprovalStep], Field(min_length=2), AfterValidator(_approved_before_paid)]
    ),
    "funds.incompatible_roles": TypeAdapter(
        Annotated[
            list[Annotated[list[Act | Prepared], Field(min_length=2, max_length=2), AfterValidator(_different_acts)]],
            AfterValidator(_separates),
        ]
    ),
    "assessment.scheme": TypeAdapter(Schemes),
    "assessment.weight_min": TypeAdapter(WeightMin),
    "assessment.grades": TypeAdapter(
        Annotated[list[Grade], Field(min_length=2), NoKeyTwice, AfterValidator(_best_first_down_to_zero)]
    ),
    "assessment.max_per_year": TypeAdapter(Annotated[int, Field(strict=True, ge=1, le=366)]),
    "notify.weekly_prompt": TypeAdapter(Prompt),
    "notify.report_due": TypeAdapter(Moment),
    "notify.catch_up_until": TypeAdapter(Moment),
    "notify.sender_sign": TypeAdapter(Sign),
    "notify.templates": TypeAdapter(Templates),
}
"""Key → shape. Lists stand for lists, models for mappings; `PolicyBook.value` gives them back as plain data."""


def plain(key: str, value: object) -> Any:
    """The value in its shape as plain data (dicts, lists, strings, integers), defaults filled in.

    Raises pydantic's ValidationError.
    """
    shape = SHAPES[key]
    return shape.dump_python(shape.validate_python(value), mode="json")
