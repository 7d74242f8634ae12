"""The county from a seed: the plan of measures first, then people who fit it, then the files."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from csv import DictReader
from datetime import date, timedelta
from pathlib import Path
from random import Random

from demo.county import people
from demo.county.cadres import cadres
from demo.county.figures import Figures, published
from demo.county.identity import Identities
from demo.county.model import (
    YEAR,
    Cadre,
    County,
    Division,
    Household,
    Kind,
    Measure,
    Payee,
    Person,
)
from demo.county.solver import Need, Plan, solve
from shared.scope import Level

PLACE = "610926"
DIVISIONS = Path(__file__).resolve().parents[2] / "data" / "divisions" / "divisions-610926-pingli.csv"

CANDIDATE, REGISTERED = "candidate", "registered"
SAFE_HOUSE, DANGEROUS_C, DANGEROUS_D = "01", "02", "03"
ORDINARY_POOR, DIBAO_POOR, WUBAO_POOR = "01", "04", "06"
BY_ILLNESS, BY_DISABILITY, BY_SCHOOL, NO_LABOUR, NO_EFFORT = "01", "02", "03", "08", "11"
_OTHER_CAUSES = ("04", "05", "06", "07", "07", "07", "09", "09", "10")
"""Skill and money lack most often (ours)."""

SPARE_HOUSEHOLDS = 10

_LEAVER_KIND = ("industry", "养殖")
_LEAVER_SIZE = range(3, 6)


def generate(seed: int, out: Path) -> County:
    """Makes the county of this seed and writes its files into `out` (made when missing).

    The same seed gives the same bytes; another seed other households under the same figures.
    Raises FileNotFoundError without data/, Unsolvable when no choice meets the figures.
    """
    from demo.county.files import write  # the sheet specs pull in the services, building a county needs none

    county = build(seed, published())
    write(county, out)
    return county


def build(seed: int, figures: Figures) -> County:
    """The county of this seed, without files."""
    rng = Random(f"{PLACE}-{seed}")  # a stream of its own for each part, so that one part can change alone
    plan = solve(figures, Random(rng.getrandbits(64)))
    divisions = read_divisions()
    maker = Maker(plan, divisions, Random(rng.getrandbits(64)))
    households = maker.households()
    measures = _measures(plan, maker.by_index, Random(rng.getrandbits(64)))
    leaver = _leaver(plan, maker.by_index, Random(rng.getrandbits(64)))
    _make_ready(leaver)
    candidate = maker.candidate()
    spare = maker.spare()
    households.append(candidate)
    households.sort(key=lambda household: household.number)
    identities = maker.identities
    staff: list[Cadre] = cadres(divisions, Random(rng.getrandbits(64)), identities)
    return County(
        seed=seed,
        divisions=divisions,
        households=households,
        measures=measures,
        payees=[_payee(household, identities) for household in households],
        cadres=staff,
        candidate=candidate,
        leaver=leaver,
        spare=spare,
    )


def read_divisions(path: Path = DIVISIONS) -> list[Division]:
    """Pingli's real towns and villages with what lies above them (data/SOURCES.md)."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [Division(row["code"], row["name"], row["level"], row["parent"]) for row in DictReader(file)]


class Maker:
    """Makes the households of a plan: their villages, their members, their numbers."""

    def __init__(self, plan: Plan, divisions: Iterable[Division], rng: Random) -> None:
        self._plan = plan
        self._rng = rng
        self._villages = [division.code for division in divisions if division.level == Level.VILLAGE]
        self._running: dict[str, int] = defaultdict(int)
        self.identities = Identities(Random(rng.getrandbits(64)))
        self.by_index: dict[int, Household] = {}

    def households(self) -> list[Household]:
        needs: dict[int, list[Need]] = defaultdict(list)
        for need in self._plan.needs:
            needs[need.household].append(need)
        weights = [self._rng.uniform(0.5, 1.5) for _ in self._villages]
        homes = self._rng.choices(self._villages, weights, k=len(self._plan.sizes))
        homes[: len(self._villages)] = self._villages  # no village without a household
        order = sorted(range(len(homes)), key=lambda index: (homes[index], self._rng.random()))
        for index in order:
            self.by_index[index] = self._household(
                homes[index], self._plan.sizes[index], self._plan.kinds[index], needs[index]
            )
        return list(self.by_index.values())

    def candidate(self) -> Household:
        """A household in hardship after an illness, known to the village but not on the register; it has no measure."""
        village = self._rng.choice(self._villages)
        wanted = people.Wanted(size=4, kind=Kind.ORDINARY, stage="义务教育", workers=1)
        members = people.members(wanted, self._rng, self.identities)
        members[1].health, members[1].labour = people.SERIOUS, people.CANNOT_WORK
        members[1].work_place, members[1].work_months = "", 0
        return Household(
            number=self._number(village),
            division=village,
            group=self._group(),
            kind=Kind.ORDINARY,
            attribute=ORDINARY_POOR,
            cause=BY_ILLNESS,
            other_cause=BY_SCHOOL,
            identified_on=None,
            status=CANDIDATE,
            housing=DANGEROUS_C,
            safe_water=True,
            incomes_fen={YEAR - 1: 410_000, YEAR: 168_000},
            people=members,
        )

    def spare(self) -> list[Household]:
        """Households for the file with bad rows."""
        villages = self._rng.sample(self._villages, SPARE_HOUSEHOLDS)
        return [self._household(village, self._rng.randint(2, 4), Kind.ORDINARY, []) for village in villages]

    def _household(self, village: str, size: int, kind: Kind, needs: Sequence[Need]) -> Household:
        rng = self._rng
        subs = {need.pathway: need.sub for need in needs}
        wanted = people.Wanted(
            size=size,
            kind=kind,
            stage=subs.get("education"),
            labour=subs.get("labour"),
            workers=max((need.persons or 0 for need in needs), default=0),
        )
        members = people.members(wanted, rng, self.identities)
        exits = any(need.scope == "exit_target_2016" for need in needs)
        cause, other = _causes(members, wanted, rng)
        return Household(
            number=self._number(village),
            division=village,
            group=self._group(),
            kind=kind,
            attribute={Kind.ORDINARY: ORDINARY_POOR, Kind.DIBAO: DIBAO_POOR, Kind.DISABLED: DIBAO_POOR}.get(
                kind, WUBAO_POOR
            ),
            cause=cause,
            other_cause=other,
            identified_on=date(2014, 3, 1) + timedelta(days=rng.randrange(600)),
            status=REGISTERED,
            housing=rng.choices((SAFE_HOUSE, DANGEROUS_C, DANGEROUS_D), (96, 3, 1) if exits else (70, 20, 10))[0],
            safe_water=rng.random() < (0.98 if exits else 0.9),
            incomes_fen={
                YEAR - 2: rng.randrange(150_000, 275_000, 100),
                YEAR - 1: rng.randrange(180_000, 284_000, 100),
                YEAR: rng.randrange(300_000, 620_000, 100) if exits else rng.randrange(205_000, 294_000, 100),
            },
            people=members,
        )

    def _number(self, village: str) -> str:
        self._running[village] += 1
        return f"{village}{self._running[village]:04d}"

    def _group(self) -> str:
        return f"{self._rng.choice('一二三四五六')}组"


def _causes(members: Sequence[Person], wanted: people.Wanted, rng: Random) -> tuple[str, str]:
    """Main and other cause (主要/其他致贫原因) that the members bear out; the other one may be empty."""
    found: list[str] = []
    if any(person.health in (people.CHRONIC, people.SERIOUS) for person in members):
        found.append(BY_ILLNESS)
    if any(person.health == people.DISABLED for person in members):
        found.append(BY_DISABILITY)
    if wanted.stage and any(person.student != people.NO_STUDENT for person in members):
        found.append(BY_SCHOOL)
    if not any(person.labour in (people.WORKER, people.SKILLED) for person in members):
        found.append(NO_LABOUR)
    rng.shuffle(found)
    found.append(rng.choice(_OTHER_CAUSES))
    if len(found) == 1 and rng.random() < 0.1:
        found.insert(0, NO_EFFORT)
    return found[0], found[1] if len(found) > 1 and rng.random() < 0.5 else ""


def _measures(plan: Plan, households: dict[int, Household], rng: Random) -> list[Measure]:
    """By household number, as a county office would hand them in."""
    first = date(YEAR, 1, 4)
    span = (date(YEAR, 9, 30) - first).days
    found = [
        Measure(
            household_no=households[need.household].number,
            pathway=need.pathway,
            sub=need.sub,
            scope=need.scope,
            year=YEAR,
            persons=need.persons,
            started_on=first + timedelta(days=rng.randrange(span)),
        )
        for need in plan.needs
    ]
    return sorted(found, key=lambda measure: (measure.household_no, measure.pathway, measure.scope, measure.sub))


def _leaver(plan: Plan, households: dict[int, Household], rng: Random) -> Household:
    """A household that raises animals and needs no safety net."""
    fitting = [
        households[need.household]
        for need in plan.needs
        if (need.pathway, need.sub) == _LEAVER_KIND
        and plan.kinds[need.household] is Kind.ORDINARY
        and plan.sizes[need.household] in _LEAVER_SIZE
    ]
    return rng.choice(fitting)


def _make_ready(household: Household) -> None:
    """Meets all five exit items (standards.md 3): income, safe house, no drop-out, insurance, safe water."""
    household.housing, household.safe_water = SAFE_HOUSE, True
    household.incomes_fen[YEAR] = max(household.incomes_fen[YEAR], 486_000)
    for person in household.people:
        person.insured = True


def _payee(household: Household, identities: Identities) -> Payee:
    head = household.head
    return Payee(household.number, head.name, head.id_number, identities.card())
