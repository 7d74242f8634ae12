"""Whole counties as XLSX files: 23,450 households with 75,777 people each, in as many counties as asked for.

The counts are those of the published county of handbook speed.md; what the rows say comes from the demo's generator.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from demo.county import rows
from demo.county.files import write_xlsx
from demo.county.generate import PLACE, Maker, read_divisions
from demo.county.identity import Identities
from demo.county.model import Division, Household, Kind
from demo.county.solver import Plan
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE

HOUSEHOLDS_A_COUNTY, PEOPLE_A_COUNTY = 23_450, 75_777
LARGEST = 9
SEED = 6


def county_code(n: int) -> str:
    """The six digits of county n (from 0): Pingli's, then codes beside it."""
    return str(int(PLACE) + n)


def divisions_file(path: Path, n: int) -> Path:
    """The divisions of county n, and what lies above it, as XLSX."""
    write_xlsx(path, [(DIVISIONS, (rows.division(_moved(division, n)) for division in read_divisions()))])
    return path


def county_files(folder: Path, counties: int = 1) -> Iterator[Path]:
    """One file a county, each made when it is asked for: `<folder>/<code>.xlsx`. No person is in two of them."""
    identities = Identities(Random(SEED))
    for n in range(counties):
        path = folder / f"{county_code(n)}.xlsx"
        homes = _households(n, identities)
        people = [rows.person(home, person) for home in homes for person in home.people]
        assert (len(homes), len(people)) == (HOUSEHOLDS_A_COUNTY, PEOPLE_A_COUNTY)
        write_xlsx(path, [(HOUSEHOLDS, map(rows.household, homes)), (PEOPLE, people)])
        yield path


def _households(n: int, identities: Identities) -> list[Household]:
    rng = Random(SEED + n)
    sizes = [1] * HOUSEHOLDS_A_COUNTY
    left = PEOPLE_A_COUNTY - HOUSEHOLDS_A_COUNTY
    while left:
        at = rng.randrange(HOUSEHOLDS_A_COUNTY)
        if sizes[at] < LARGEST:
            sizes[at] += 1
            left -= 1
    maker = Maker(Plan(sizes, [Kind.ORDINARY] * len(sizes)), [_moved(d, n) for d in read_divisions()], rng)
    maker.identities = identities
    return sorted(maker.households(), key=lambda home: home.number)


def _moved(division: Division, n: int) -> Division:
    """A division of the generated county, in county n: 610926 → 610927 … What lies above it stays."""

    def code(old: str) -> str:
        return county_code(n) + old[6:] if old.startswith(PLACE) else old

    return Division(code(division.code), division.name, division.level, code(division.parent))
