"""What every part of the month works with: the driver, the generated county, a place for papers, and a voice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from demo.county import County
from demo.driver import Driver

Say = Callable[[str, str], None]
"""Tells what just happened, in Chinese and in English."""


class CheckFailed(Exception):
    """The house answered something else than what must be true of the generated county."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`out`: where the papers of the month go (annotated sheet, bundle, key, checkpoint)."""

    driver: Driver
    county: County
    out: Path
    say: Say

    def rng(self, *about: object) -> Random:
        """Chance that is the same whenever it is asked about the same thing."""
        return Random("/".join(map(str, (self.county.seed, *about))))


def check(holds: bool, what: str) -> None:
    """Raises CheckFailed when it does not hold: the demo ends with an honest exit code."""
    if not holds:
        raise CheckFailed(what)
