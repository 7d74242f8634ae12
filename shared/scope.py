"""Division codes (行政区划代码) and areas: province 2 digits, city 4, county 6, town 9, village 12.

Source: standards.md 7.1 (12-digit statistical division code). A code is hierarchical, so "your area" is a prefix test.
The SQL side of the same test is `shared.db.in_area`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Level(StrEnum):
    """Levels of a division (级别)."""

    COUNTRY = "country"
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"
    TOWN = "town"
    VILLAGE = "village"


_DIGITS = {2: Level.PROVINCE, 4: Level.CITY, 6: Level.COUNTY, 9: Level.TOWN, 12: Level.VILLAGE}
_ABOVE = {12: 9, 9: 6, 6: 4, 4: 2}

NOWHERE_ABOVE = "000000000000"
"""No division, and in nobody's area: for what concerns several provinces, or none."""

REMEMBERED = 20_000
"""Codes whose place is kept in memory: a prefecture has some thousands, and every event and row asks for its own."""


def is_division(code: str) -> bool:
    """Whether this is a 12-digit code of a province or below."""
    return len(code) == 12 and code.isascii() and code.isdigit() and code[:2] != "00"


@lru_cache(REMEMBERED)
def prefix_of(division: str) -> str:
    """The digits a 12-digit code shares with all that lies in it: 610926000000 → 610926."""
    return next((division[:n] for n in (2, 4, 6, 9) if not division[n:].strip("0")), division)


def level_of(division: str) -> Level:
    return _DIGITS[len(prefix_of(division))]


def parent_of(division: str) -> str | None:
    """The next division above: a village's town, a town's county … None above a province."""
    above = _ABOVE.get(len(prefix_of(division)))
    return division[:above].ljust(12, "0") if above else None


@lru_cache(REMEMBERED)
def ancestors(division: str) -> tuple[str, ...]:
    """The division itself and all above it, nearest first."""
    chain = [division]
    while (above := parent_of(chain[-1])) is not None:
        chain.append(above)
    return tuple(chain)


@lru_cache(REMEMBERED)
def at_level(division: str, level: Level) -> str | None:
    """The ancestor (or the division itself) at a level: (village, TOWN) → its town. None when the division is above it."""
    return next((code for code in ancestors(division) if level_of(code) == level), None)


@dataclass(frozen=True, slots=True)
class Area:
    """The union of divisions a caller may see. An empty area sees nothing: unknown means refused."""

    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, divisions: Iterable[str]) -> "Area":
        prefixes = {prefix_of(division) for division in divisions}
        return cls(tuple(sorted(p for p in prefixes if not any(q != p and p.startswith(q) for q in prefixes))))

    def covers(self, division: str) -> bool:
        return any(division.startswith(prefix) for prefix in self.prefixes)

    def within(self, other: "Area") -> "Area":
        """What lies in both."""
        return Area(
            tuple(sorted({max(p, q, key=len) for p in self.prefixes for q in other.prefixes if _one_line(p, q)}))
        )

    @property
    def narrowest(self) -> str:
        """The lowest division in which all of it lies; NOWHERE_ABOVE when no province holds it."""
        above = [set(ancestors(prefix.ljust(12, "0"))) for prefix in self.prefixes]
        shared = set.intersection(*above) if above else set()
        return max(shared, key=lambda code: len(prefix_of(code)), default=NOWHERE_ABOVE)


def _one_line(prefix: str, other: str) -> bool:
    return prefix.startswith(other) or other.startswith(prefix)


EVERYWHERE = Area(("",))
"""For the system's own work (jobs, handlers). Never the area of a person: a token carries divisions."""
