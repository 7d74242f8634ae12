"""Rules of divisions (行政区划). Pure."""

from datetime import date

from shared.errors import NotFound
from shared.scope import Area, level_of, parent_of, prefix_of


class DivisionUnknown(NotFound):
    code = "division_unknown"


def parent_fits(code: str, parent: str | None) -> bool:
    """A division lies in the one its code names; a province in none. Source: standards.md 7.1."""
    return parent == parent_of(code)


def level_fits(code: str, level: str) -> bool:
    """Source: standards.md 7.1."""
    return level == level_of(code)


def may_record(code: str, area: Area) -> bool:
    """Whether a caller of this area may enter the division: it lies in the area, or the area lies in it (its city, its province)."""
    return area.covers(code) or any(prefix.startswith(prefix_of(code)) for prefix in area.prefixes)


def may_change(code: str, area: Area) -> bool:
    """What lies above an area is recorded once, by whoever comes first; its own people alone may change it."""
    return area.covers(code)


def in_use(valid_from: date | None, valid_to: date | None, day: date) -> bool:
    """有效. An open end means: as long as anybody knows. `valid_to` is the first day on which it is gone."""
    return (valid_from is None or valid_from <= day) and (valid_to is None or day < valid_to)
