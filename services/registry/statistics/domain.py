"""What is counted in which scope (统计口径), and which divisions stand on one level. Pure.

Source: policy-rules.md 7.1 - a pathway's total is DISTINCT households, health counts those served, rangers count as persons.
"""

from collections.abc import Sequence
from datetime import date

from services.registry.measures.domain import Catalogue, Pathway
from shared.errors import Refusal
from shared.scope import Level

DIGITS = {Level.COUNTY: 6, Level.TOWN: 9, Level.VILLAGE: 12}
"""How many digits of a division code the divisions of a level differ in."""


class ScopeUnknown(Refusal):
    code = "scope_unknown"


class DivisionNeeded(Refusal):
    code = "division_needed"


def scopes_asked(catalogue: Catalogue, scope: str | None) -> list[tuple[Pathway, str]]:
    """Each pathway with the scope it is counted in: its own, or the one asked for where it has that one.

    Raises ScopeUnknown when no pathway has it.
    """
    asked = [(p, scope or p.scope) for p in catalogue.pathways if scope is None or scope in p.scopes]
    if not asked:
        known = sorted({s for p in catalogue.pathways for s in p.scopes})
        raise ScopeUnknown("No pathway is counted in this scope.", known=known)
    return asked


def counted_on(year: int, today: date) -> date:
    """The day on which a year's measures must not have ended to count: today, or the last day of a year that is over."""
    return min(today, date(year, 12, 31))


def county_of(division: str | None, divisions: Sequence[str]) -> str:
    """The division whose policy pack names the pathways: the one asked for, or the caller's first. Raises DivisionNeeded."""
    found = division or next(iter(divisions), None)
    if found is None:
        raise DivisionNeeded("Say of which division: its county's pack names the pathways.")
    return found
