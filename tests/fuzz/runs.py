"""A run of all attacks on one house, and what it must come to."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import crossed, files, replies, routes
from tests.fuzz.house import Target, attacked
from tests.fuzz.judge import FOUND, Input, Judge, Tally

MAX_MEGABYTES = 900
"""Resident memory of the house at its highest: four services, files of 20 MiB, every bomb."""

MAX_GROWN_MEGABYTES = 650
"""What it may keep after that of what it had before: what an import needed, the allocator gives back to the next."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Inputs of each kind. `each`: right and wrong ones of every operation."""

    each: int
    crossed: int
    replies: int
    sent_files: int
    files: int

    @classmethod
    def for_about(cls, inputs: int) -> "Sizes":
        """Shares of a total, as large as what they cost allows."""
        return cls(inputs // 2000, inputs // 5, inputs // 7, inputs // 50, inputs * 55 // 100)


def run(folder: Path, sizes: Sizes, seed: int) -> Tally:
    """All attacks; the tally says what was wrong, with every input that did harm kept in FOUND."""
    tally, alone, rng = Tally(), Tally(), random.Random(seed)
    with ThreadPoolExecutor(1) as beside, attacked(folder) as target:
        reading = beside.submit(files.in_process, alone, sizes.files, rng.getrandbits(32))
        judge, before = Judge(tally, target.mine, target.theirs), target.megabytes
        ask_again(target, judge)
        crossed.attack(target, judge, sizes.crossed, rng.getrandbits(32))
        replies.attack(target, judge, sizes.replies, rng.getrandbits(32))
        routes.attack(target, judge, sizes.each, rng.getrandbits(32))
        files.attack(target, judge, sizes.sent_files, rng.getrandbits(32))
        reading.result()
        tally.add(alone)
        tally.failures += [f"the log: {complaint}" for complaint in target.log_complaints()]
        tally.memory = f"{before} MB before, {target.megabytes} after, {target.peak_megabytes} at most"
        if target.peak_megabytes > MAX_MEGABYTES or target.megabytes - before > MAX_GROWN_MEGABYTES:
            tally.failures.append(f"memory: {tally.memory}")
    return tally


def ask_again(target: Target, judge: Judge) -> None:
    """Every input that once did harm."""
    for path in sorted(FOUND.glob("*.json")):
        given = Input.kept(path)
        judge.see("found before", given, target.send(given))
