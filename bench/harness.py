"""How a figure is measured: floor, product, floor, product …, the ratio of each round to the floors beside it, and their median."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

SAME_FLOOR = 1.25
"""Two measurements of one floor that differ by more than this factor saw two different machines: the round is measured again."""

MAX_REPEATS = 3
"""A case is measured at most so many times its rounds; a figure of a machine that never came to rest is marked `noisy`."""

Sense = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Case:
    """One figure. `measure` and `floor` each do the work once and answer in `unit`.

    With a floor, `target` is a ratio (measure ÷ floor), whatever the unit; without one it is in `unit` itself.
    """

    name: str
    unit: str
    sense: Sense
    target: float
    measure: Callable[[], float]
    floor: Callable[[], float] | None = None
    rounds: int = 3
    against: str = ""
    """what the floor is, in words"""


@dataclass(frozen=True, slots=True)
class Round:
    """A measurement and the floor before and after it (none for an absolute figure)."""

    value: float
    before: float | None = None
    after: float | None = None

    @property
    def floor(self) -> float | None:
        return (self.before + self.after) / 2 if self.before is not None and self.after is not None else None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None

    @property
    def quiet(self) -> bool:
        if self.before is None or self.after is None:
            return True
        return max(self.before, self.after) <= SAME_FLOOR * min(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case: medians over its quiet rounds, or over all when too few were quiet (`noisy`)."""

    case: Case
    rounds: Sequence[Round]
    noisy: bool
    measured: int = field(default=0)
    """rounds measured in all, those thrown away included"""

    @property
    def value(self) -> float:
        return statistics.median(r.value for r in self.rounds)

    @property
    def floor(self) -> float | None:
        floors = [r.floor for r in self.rounds if r.floor is not None]
        return statistics.median(floors) if floors else None

    @property
    def ratio(self) -> float | None:
        ratios = [r.ratio for r in self.rounds if r.ratio is not None]
        return statistics.median(ratios) if ratios else None

    @property
    def decisive(self) -> float:
        """What is held against the target."""
        return self.value if self.ratio is None else self.ratio

    @property
    def met(self) -> bool:
        enough = self.case.sense == "at least"
        return self.decisive >= self.case.target if enough else self.decisive <= self.case.target

    @property
    def spread(self) -> float:
        """(largest − smallest) ÷ median of what is held against the target."""
        decisive = [r.value if r.ratio is None else r.ratio for r in self.rounds]
        middle = statistics.median(decisive)
        return (max(decisive) - min(decisive)) / middle if middle else 0.0


def run(case: Case, rounds: int | None = None) -> Result:
    """Measures a case. `rounds` overrides its own number."""
    wanted = rounds or case.rounds
    taken: list[Round] = []
    before = case.floor() if case.floor else None
    while len(taken) < wanted * MAX_REPEATS and sum(r.quiet for r in taken) < wanted:
        value = case.measure()
        after = case.floor() if case.floor else None
        taken.append(Round(value, before, after))
        before = after
    quiet = [r for r in taken if r.quiet]
    noisy = len(quiet) < wanted
    return Result(case, taken if noisy else quiet, noisy, len(taken))
