"""Which measures may be given, by the county's catalogue of pathways (脱贫路径). Pure.

Source: REG-032 (ten pathways of Pingli; a household may hold several); policy-rules.md 7.1 (what is counted how).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.errors import Refusal

FIRST_YEAR = 2010
"""Measures before the present campaign are not in this register."""


class PathwayUnknown(Refusal):
    code = "pathway_unknown"


class SubUnknown(Refusal):
    code = "sub_unknown"


class ScopeUnknown(Refusal):
    code = "scope_unknown"


class YearOut(Refusal):
    code = "year_out_of_range"


class PersonsWrong(Refusal):
    code = "persons_wrong"


class DatesCross(Refusal):
    code = "dates_cross"


class NotRegistered(Refusal):
    code = "wrong_status"


class MeasureGiven(Refusal):
    code = "measure_given"


class SubDisjoint(Refusal):
    code = "sub_disjoint"


class MeasureEnded(Refusal):
    code = "measure_ended"


class EndsLater(Refusal):
    code = "ends_later"


@dataclass(frozen=True, slots=True)
class Sub:
    """A sub-category (子类). `in_persons`: its people are counted as the persons hired, not as the household's members."""

    key: str
    name: str
    name_en: str
    in_persons: bool


@dataclass(frozen=True, slots=True)
class Pathway:
    """A pathway (脱贫路径): its default scope (统计口径), the scopes a measure may have, and its sub-categories.

    `disjoint`: a household counts in one sub-category only.
    """

    key: str
    name: str
    name_en: str
    scope: str
    scopes: tuple[str, ...]
    disjoint: bool
    subs: tuple[Sub, ...]

    def sub(self, word: str) -> Sub | None:
        """The sub-category with this key or Chinese name."""
        return next((sub for sub in self.subs if word in (sub.key, sub.name)), None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The pathways of a county in the order of its pack."""

    pathways: tuple[Pathway, ...]

    def pathway(self, word: str) -> Pathway | None:
        """The pathway with this key or Chinese name."""
        return next((pathway for pathway in self.pathways if word in (pathway.key, pathway.name)), None)


def read_catalogue(value: Sequence[Mapping[str, Any]]) -> Catalogue:
    """The catalogue of the pack value `registry.pathways`."""
    return Catalogue(
        tuple(
            Pathway(
                key=item["key"],
                name=item["name"],
                name_en=item["name_en"],
                scope=item["scope"],
                scopes=tuple(item["scopes"]),
                disjoint=item["subs_disjoint"],
                subs=tuple(
                    Sub(sub["key"], sub["name"], sub["name_en"], sub["people_basis"] == "persons")
                    for sub in item["subs"]
                ),
            )
            for item in value
        )
    )


@dataclass(frozen=True, slots=True)
class Order:
    """A measure that is to be given, in the words of the county: keys or Chinese names. `sub` is empty for none."""

    pathway: str
    sub: str
    scope: str
    year: int
    persons: int | None
    started_on: date
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a household holds at most once at a time: pathway and sub-category in a scope and year, by their keys."""

    pathway: str
    sub: str
    scope: str
    year: int


def classify(
    catalogue: Catalogue, order: Order, *, status: str, people: int, held: Collection[Kind], today: date
) -> Kind:
    """The kind of a measure that may be given to a household of this status and size, which holds these already.

    Raises: NotRegistered, PathwayUnknown, ScopeUnknown, SubUnknown, YearOut, DatesCross, PersonsWrong, MeasureGiven, SubDisjoint.
    Source: REG-032; REG-030 (validity dates on every measure); REG-031 (help goes on after the exit); policy-rules.md 7.1.
    """
    if status == "candidate":
        raise NotRegistered("A candidate gets measures once it is on the register.", household_status=status)
    pathway = catalogue.pathway(order.pathway)
    if pathway is None:
        raise PathwayUnknown("Take a pathway of the county's catalogue.", known=[p.key for p in catalogue.pathways])
    if order.scope not in pathway.scopes:
        raise ScopeUnknown(f"{pathway.key} is not counted in this scope.", known=list(pathway.scopes))
    sub = pathway.sub(order.sub) if order.sub else None
    needs_sub = bool(pathway.subs) and order.scope == pathway.scope
    if (order.sub and sub is None) or (needs_sub and sub is None):
        raise SubUnknown(f"Take a sub-category of {pathway.key}.", known=[s.key for s in pathway.subs])
    if not FIRST_YEAR <= order.year <= today.year + 1:
        raise YearOut(f"The year lies between {FIRST_YEAR} and {today.year + 1}.", year=order.year)
    if order.started_on.year > order.year or (order.valid_until is not None and order.valid_until < order.started_on):
        raise DatesCross("It starts in its year or before, and is valid from then on.")
    if (order.persons is not None) != (sub is not None and sub.in_persons) or not 1 <= (order.persons or 1) <= people:
        raise PersonsWrong(
            "Give the number of persons where the sub-category is counted in persons, at most the household's members; leave it out elsewhere.",
            people=people,
        )
    kind = Kind(pathway.key, sub.key if sub else "", order.scope, order.year)
    if kind in held:
        raise MeasureGiven("The household has this measure already. End that one first.")
    if pathway.disjoint and any((k.pathway, k.scope, k.year) == (kind.pathway, kind.scope, kind.year) for k in held):
        raise SubDisjoint(f"A household counts once in {pathway.key}. End its other measure first.")
    return kind


def require_endable(started_on: date, ended_on: date | None, on: date, today: date) -> None:
    """A measure ends once, after it began and not later than today. It does not count from `on` on."""
    if ended_on is not None:
        raise MeasureEnded(f"It ended on {ended_on}.", ended_on=ended_on.isoformat())
    if on > today:
        raise EndsLater("It cannot end in the future: say so when the day has come.")
    if on < started_on:
        raise DatesCross(f"It started on {started_on} and cannot end before.")
