"""The published figures of Pingli 2016 (policy-rules.md 7.1). Only this generator and the tests read their file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published" / "pingli-2016.json"


@dataclass(frozen=True, slots=True)
class Count:
    """Households and people of one published figure."""

    households: int
    people: int


@dataclass(frozen=True, slots=True)
class Pathway:
    """The published figures of one pathway (脱贫路径). `in_persons`: sub-categories whose people are persons, not members."""

    key: str
    scope: str
    total: Count
    subs: dict[str, Count]
    disjoint: bool
    in_persons: frozenset[str]


@dataclass(frozen=True, slots=True)
class Figures:
    """All published household and people counts: ten pathways and the three series beside them."""

    pathways: dict[str, Pathway]
    entity_led: Count
    relocation_year_total: int
    share_pilot: Count


def published(path: Path = PUBLISHED) -> Figures:
    """Reads the published figures. Raises FileNotFoundError or KeyError when the file is not what it should be."""
    data = json.loads(path.read_text(encoding="utf-8"))
    raw: dict[str, Any] = data["pingli_2016_pathways"]
    pilot = data["pingli_share_pilot"]
    return Figures(
        pathways={key: _pathway(key, value) for key, value in raw.items()},
        entity_led=Count(*raw["industry"]["entity_led"]),
        relocation_year_total=raw["relocation"]["year_total_households"],
        share_pilot=Count(pilot["households"], pilot["people"]),
    )


def _pathway(key: str, raw: dict[str, Any]) -> Pathway:
    bases: dict[str, str] = raw.get("people_basis_of_subs", {})
    return Pathway(
        key=key,
        scope=raw["scope"],
        total=Count(raw["households"], raw["people"]),
        subs={sub: Count(*count) for sub, count in raw.get("subs", {}).items()},
        disjoint=raw.get("subs_disjoint", True),
        in_persons=frozenset(sub for sub, basis in bases.items() if basis == "persons"),
    )
