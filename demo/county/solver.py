"""Which households have which measures, so that every published figure comes out at once.

What makes it solvable (reference/county): rangers are counted in persons; the severely disabled and the orphans live
alone, or the safety-net total would not come out; a household counts once in education; health and the relocation total
of the year are scopes of their own.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from demo.county.figures import Count, Figures, Pathway
from demo.county.model import Kind

LARGEST_HOUSEHOLD = 10
ORDINARY_HOUSEHOLDS = 2400
"""Ours: how many households beside the safety net the register holds. The published text has no county total."""

SWAPS_AT_MOST = 200_000
TRIES_AT_MOST = 20
"""A random start may have no swap that closes the gap; another start does."""

SCOPE_YEAR_TOTAL = "year_total"
SCOPE_ENTITY_LED = "entity_led"
SCOPE_SHARE_PILOT = "share_pilot"
"""Series published beside the exit target, so that none is added to another."""

_BUDGET = "财政资金虚拟量化股份"
_DUAL_RIGHTS = "农户双权"
_MEAN_ORDINARY, _SPREAD_ORDINARY = 3.3, 1.35
_SPREAD = 1.2


class Unsolvable(Exception):
    """No choice of households meets a figure from this random start."""


@dataclass(frozen=True, slots=True)
class Need:
    """A measure of one household, by its index."""

    household: int
    pathway: str
    sub: str
    scope: str
    persons: int | None = None


@dataclass(slots=True)
class Plan:
    """Households by index: how many members, what kind, and their measures."""

    sizes: list[int] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[int]:
        return [index for index, kind in enumerate(self.kinds) if kind in kinds]


def solve(figures: Figures, rng: Random) -> Plan:
    """A plan that meets every published figure. Raises Unsolvable after TRIES_AT_MOST random starts."""
    for _ in range(TRIES_AT_MOST):
        try:
            return _Solver(figures, Random(rng.getrandbits(64))).solve()
        except Unsolvable:
            continue
    raise Unsolvable(f"no county meets the figures in {TRIES_AT_MOST} random starts")


class _Solver:
    def __init__(self, figures: Figures, rng: Random) -> None:
        self._figures = figures
        self._rng = rng
        self._plan = Plan()

    def solve(self) -> Plan:
        self._people_the_county()
        figures, plan = self._figures.pathways, self._plan
        everyone = list(range(len(plan.sizes)))
        workers = plan.of(Kind.ORDINARY, Kind.DIBAO)
        not_wubao = plan.of(Kind.ORDINARY, Kind.DIBAO, Kind.DISABLED)

        for sub in figures["safety_net"].subs:
            self._give(figures["safety_net"], sub, plan.of(Kind(sub)))
        in_industry = self._overlapping(figures["industry"], workers, "养殖")
        self._overlapping(figures["ecology"], workers, "退耕还林")
        self._disjoint(figures["labour"], lambda sub: workers)
        self._whole(figures["community_factory"], self._having("labour", "省内劳务输出"))
        # the keys are handed to those who cannot build themselves
        relocated = self._disjoint(
            figures["relocation"], lambda sub: everyone if sub == "交钥匙" else workers, avoid=plan.of(Kind.ORPHAN)
        )
        self._disjoint(figures["education"], lambda sub: [h for h in workers if plan.sizes[h] > 1])
        # wubao households hold no shares in Pingli (FND-049)
        self._disjoint(figures["asset_income"], lambda sub: workers if sub == _DUAL_RIGHTS else not_wubao)
        self._whole(figures["health"], everyone)
        self._whole(figures["ecommerce"], workers)

        led = self._pick(in_industry, self._figures.entity_led)
        self._note("industry", "", led, SCOPE_ENTITY_LED)
        pilot = self._pick(self._having("asset_income", _BUDGET), self._figures.share_pilot)
        self._note("asset_income", _BUDGET, pilot, SCOPE_SHARE_PILOT)
        taken = set(relocated)
        others = [h for h in not_wubao if h not in taken]
        later = self._rng.sample(others, self._figures.relocation_year_total - len(relocated))
        self._note("relocation", "", [*relocated, *later], SCOPE_YEAR_TOTAL)
        return plan

    def _people_the_county(self) -> None:
        net = self._figures.pathways["safety_net"].subs
        for kind, largest in ((Kind.WUBAO, 3), (Kind.DIBAO, 6), (Kind.ORPHAN, 1), (Kind.DISABLED, 1)):
            self._add(kind, self._sizes(net[kind], largest))
        ordinary = (round(self._rng.gauss(_MEAN_ORDINARY, _SPREAD_ORDINARY)) for _ in range(ORDINARY_HOUSEHOLDS))
        self._add(Kind.ORDINARY, [min(LARGEST_HOUSEHOLD, max(1, size)) for size in ordinary])

    def _add(self, kind: Kind, sizes: Sequence[int]) -> None:
        self._plan.sizes.extend(sizes)
        self._plan.kinds.extend([kind] * len(sizes))

    def _sizes(self, count: Count, largest: int) -> list[int]:
        """Household sizes 1..largest around the mean, with the exact total of people."""
        mean = count.people / count.households
        sizes = [min(largest, max(1, round(self._rng.gauss(mean, _SPREAD)))) for _ in range(count.households)]
        gap = count.people - sum(sizes)
        while gap:
            index, step = self._rng.randrange(len(sizes)), 1 if gap > 0 else -1
            if 1 <= sizes[index] + step <= largest:
                sizes[index] += step
                gap -= step
        return sizes

    def _pick(self, pool: Iterable[int], count: Count) -> list[int]:
        """Households of the pool with exactly the members: a random start, then swaps that close the gap."""
        sizes, rng = self._plan.sizes, self._rng
        shuffled = list(pool)
        rng.shuffle(shuffled)
        inside, outside = shuffled[: count.households], shuffled[count.households :]
        if len(inside) < count.households:
            raise Unsolvable(f"{count} of only {len(shuffled)} households")
        by_size: dict[int, list[int]] = defaultdict(list)
        for household in outside:
            by_size[sizes[household]].append(household)
        gap = count.people - sum(sizes[h] for h in inside)
        for _ in range(SWAPS_AT_MOST):
            if not gap:
                return inside
            index = rng.randrange(len(inside))
            step = min(abs(gap), rng.randint(1, 3)) * (1 if gap > 0 else -1)
            if fitting := by_size[sizes[inside[index]] + step]:
                inside[index], leaving = fitting.pop(), inside[index]
                by_size[sizes[leaving]].append(leaving)
                gap -= step
        raise Unsolvable(f"{count}: a gap of {gap} people stays")

    def _having(self, pathway: str, sub: str) -> list[int]:
        return [need.household for need in self._plan.needs if (need.pathway, need.sub) == (pathway, sub)]

    def _note(self, pathway: str, sub: str, households: Iterable[int], scope: str) -> None:
        self._plan.needs.extend(Need(household, pathway, sub, scope) for household in households)

    def _give(self, pathway: Pathway, sub: str, households: Sequence[int]) -> None:
        if sub not in pathway.in_persons:
            self._note(pathway.key, sub, households, pathway.scope)
            return
        # persons, not members: one each, and a second one in the largest households
        second = pathway.subs[sub].people - len(households)
        largest = sorted(households, key=lambda h: -self._plan.sizes[h])[:second]
        if any(self._plan.sizes[h] < 2 for h in largest):
            raise Unsolvable(f"{sub}: no household for a second person")
        twice = set(largest)
        for household in households:
            persons = 2 if household in twice else 1
            self._plan.needs.append(Need(household, pathway.key, sub, pathway.scope, persons))

    def _whole(self, pathway: Pathway, pool: Iterable[int]) -> None:
        self._note(pathway.key, "", self._pick(pool, pathway.total), pathway.scope)

    def _disjoint(self, pathway: Pathway, pool: Callable[[str], list[int]], avoid: Iterable[int] = ()) -> list[int]:
        """One sub-category a household; the smallest households are given out first, while there are enough of them."""
        used = set(avoid)
        given: list[int] = []
        for sub, count in sorted(pathway.subs.items(), key=lambda item: item[1].people / item[1].households):
            chosen = self._pick([h for h in pool(sub) if h not in used], count)
            used.update(chosen)
            given.extend(chosen)
            self._give(pathway, sub, chosen)
        return given

    def _overlapping(self, pathway: Pathway, pool: Iterable[int], main: str) -> list[int]:
        """Several sub-categories a household: those outside the main one are split, then topped up from the main one."""
        everyone = self._pick(pool, pathway.total)
        in_main = self._pick(everyone, pathway.subs[main])
        chosen = set(in_main)
        rest = [h for h in everyone if h not in chosen]
        self._rng.shuffle(rest)
        self._give(pathway, main, in_main)
        others = {sub: count for sub, count in pathway.subs.items() if sub != main}
        for sub, own in _split(rest, others).items():
            count = others[sub]
            if sub in pathway.in_persons:
                more = self._rng.sample(in_main, count.households - len(own))
            else:
                members = sum(self._plan.sizes[h] for h in own)
                more = self._pick(in_main, Count(count.households - len(own), count.people - members))
            self._give(pathway, sub, own + more)
        return everyone


def _split(rest: Sequence[int], others: Mapping[str, Count]) -> dict[str, list[int]]:
    """Splits households over sub-categories in proportion to their published households."""
    total = sum(count.households for count in others.values())
    parts: dict[str, list[int]] = {}
    start = 0
    for position, (sub, count) in enumerate(others.items(), start=1):
        share = min(count.households, round(len(rest) * count.households / total))
        end = len(rest) if position == len(others) else min(len(rest), start + share)
        parts[sub] = list(rest[start:end])
        start = end
    return parts
