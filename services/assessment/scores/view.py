"""A score as it is stored, compared and shown."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from services.assessment.facts.domain import what
from services.assessment.scores.domain import Bears, Score, State
from services.assessment.scores.schemas import ContributionOut, DecisionOut, Explanation, IndicatorOut

MAX_CONTRIBUTIONS = 5_000
"""Contributions of one indicator in one answer; what is beyond is summed up as hidden."""

_NOTHING_DUE = ("本期无应完成事项，按方案计分", "Nothing was due in the period; points as the scheme says")


def stored(score: Score) -> list[dict[str, Any]]:
    """The explanation as it is kept: a contribution is [event id or null, points in thousandths, how it bears]."""
    return [
        {
            "key": each.indicator.key,
            "name": each.indicator.name,
            "name_en": each.indicator.name_en,
            "formula": each.indicator.formula,
            "weight_milli": each.indicator.weight_milli,
            "done": each.done,
            "due": each.due,
            "points_milli": each.points_milli,
            "contributions": [
                [str(c.fact) if c.fact else None, c.points_milli, c.bears.value] for c in each.contributions
            ],
        }
        for each in score.indicators
    ]


def digest(score: Score) -> str:
    """Equal for scores that are the same in points, scheme and explanation."""
    whole = [score.scheme.id, score.subject.division, score.milli, stored(score)]
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def explanation(
    row: Mapping[str, Any],
    state: State,
    described: Mapping[UUID, Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
) -> Explanation:
    """The stored explanation with its events in words. An event that is not in `described` is outside the caller's area: hidden."""
    return Explanation.model_validate(
        {
            **row,
            "state": state,
            "indicators": [_indicator(indicator, described) for indicator in row["explanation"]],
            "decisions": [DecisionOut.model_validate(decision, extra="ignore") for decision in decisions],
        },
        extra="ignore",
    )


def _indicator(kept: Mapping[str, Any], described: Mapping[UUID, Mapping[str, Any]]) -> IndicatorOut:
    whole = [_contribution(*each, described=described) for each in kept["contributions"]]
    shown = [each for each in whole if each is not None][:MAX_CONTRIBUTIONS]
    left = kept["points_milli"] - sum(each.points_milli for each in shown)
    return IndicatorOut(
        **{name: value for name, value in kept.items() if name != "contributions"},
        contributions=shown,
        hidden=len(whole) - len(shown),
        hidden_points_milli=left,
    )


def _contribution(
    id: str | None, points_milli: int, bears: str, *, described: Mapping[UUID, Mapping[str, Any]]
) -> ContributionOut | None:
    if id is None:
        zh, en = _NOTHING_DUE
        return ContributionOut(
            event_id=None, type=None, on=None, what=zh, what_en=en, bears=Bears(bears), points_milli=points_milli
        )
    fact = described.get(UUID(id))
    if fact is None:
        return None
    zh, en = what(fact["type"], fact["unit"])
    return ContributionOut(
        event_id=fact["event_id"],
        type=fact["type"],
        on=fact["on"],
        what=zh,
        what_en=en,
        bears=Bears(bears),
        points_milli=points_milli,
    )
