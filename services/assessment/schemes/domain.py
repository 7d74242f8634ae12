"""The assessment scheme (考核方案), its indicators (指标) and grades (等次), as the policy pack gives them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.errors import Refusal

MILLI = 1000
"""Thousandths of a point in a point. Shares of the pack (cap_permille) are of the same size."""


class Kind(StrEnum):
    """What is assessed (考核对象). Households never are."""

    TOWN = "town"
    CADRE = "cadre"


class Formula(StrEnum):
    """How an indicator compares what was done with what was due (计算方法)."""

    COVERAGE = "coverage"
    RATIO_TO_TARGET = "ratio_to_target"
    PROGRESS = "progress"
    PUNCTUALITY = "punctuality"


class Units(StrEnum):
    """Whose annual assessment a weight is of (ASM-010)."""

    TOWNS = "towns"
    DEPARTMENTS = "departments"


class WeightTooLow(Refusal):
    code = "weight_too_low"


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator (指标). `weight_milli` in thousandths of a point; `most_milli` is what the cap leaves of it."""

    key: str
    name: str
    name_en: str
    weight_milli: int
    formula: Formula
    target: int | None
    events: tuple[str, ...]
    most_milli: int
    full_when_nothing_due: bool


@dataclass(frozen=True, slots=True)
class Scheme:
    """A scheme (考核方案) of one kind of subject. `id` names the pack and the day it is in force from."""

    id: str
    kind: Kind
    name: str
    name_en: str
    indicators: tuple[Indicator, ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade (等次) and the points from which it is given. Source: ASM-011."""

    key: str
    name: str
    name_en: str
    from_points: int


def scheme(kind: Kind, value: Mapping[str, Any], id: str) -> Scheme:
    """The scheme of a kind from the value of `assessment.scheme`, whose shape was checked when the pack was loaded."""
    given = value[kind]
    return Scheme(id, kind, given["name"], given["name_en"], tuple(_indicator(each) for each in given["indicators"]))


def grades(value: Sequence[Mapping[str, Any]]) -> tuple[Grade, ...]:
    return tuple(Grade(**grade) for grade in value)


def grade_of(score_milli: int, grades: Sequence[Grade]) -> Grade:
    """The best grade whose points are reached; grades stand best first, the last from 0. Source: ASM-011."""
    return next(grade for grade in grades if score_milli >= grade.from_points * MILLI)


def require_weight(percent: int, least: int, units: Units) -> None:
    """Poverty work weighs at least so much in the annual assessment (towns ≥ 60 %, departments ≥ 50 % in Pingli). Source: ASM-010."""
    if percent < least:
        raise WeightTooLow(
            f"Poverty work must weigh at least {least} percent in the annual assessment of {units}.", least=least
        )


def _indicator(given: Mapping[str, Any]) -> Indicator:
    return Indicator(
        key=given["key"],
        name=given["name"],
        name_en=given["name_en"],
        weight_milli=given["weight"] * MILLI,
        formula=Formula(given["formula"]),
        target=given["target"],
        events=tuple(given["events"]),
        most_milli=given["weight"] * given["cap_permille"],
        full_when_nothing_due=given["nothing_due"] == "full",
    )
