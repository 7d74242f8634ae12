"""A run of all attacks on two houses, one on each database, and what it must come to."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import crossed, cursors, doors, files, replies, routes
from tests.fuzz.house import Target, attacked, taken
from tests.fuzz.judge import FOUND, Input, Judge, Tally
from tests.servers.postgres import Databases

MAX_MEGABYTES = 900
"""Resident memory of the house at its highest: four services, files of 20 MiB, every bomb."""

MAX_GROWN_MEGABYTES = 650
"""What it may keep after that of what it had before: what an import needed, the allocator gives back to the next."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Inputs of each kind, to each of the two houses. `each`: right and wrong ones of every operation; `files`: without a house."""

    each: int
    crossed: int
    cursors: int
    doors: int
    replies: int
    sent_files: int
    files: int

    @classmethod
    def for_about(cls, inputs: int) -> "Sizes":
        """Shares of a total, as large as what they cost allows."""
        return cls(
            inputs // 4000, inputs // 12, inputs // 50, inputs // 100, inputs // 14, inputs // 100, inputs * 55 // 100
        )


def run(folder: Path, sizes: Sizes, seed: int, postgres: Databases) -> Tally:
    """All attacks; the tally says what was wrong, with every input that did harm kept in FOUND."""
    tally, alone, rng = Tally(), Tally(), random.Random(seed)
    with ThreadPoolExecutor(1) as beside, taken(postgres) as urls:
        reading = beside.submit(files.in_process, alone, sizes.files, rng.getrandbits(32))
        for where, of_services in {"SQLite": {}, "PostgreSQL": urls}.items():
            with attacked(folder / where, of_services) as target:
                _attack(target, tally, where, sizes, rng)
        reading.result()
    tally.add(alone)
    return tally


def _attack(target: Target, tally: Tally, where: str, sizes: Sizes, rng: random.Random) -> None:
    judge, before = Judge(tally, target.mine, target.theirs, where), target.megabytes
    ask_again(target, judge)
    crossed.attack(target, judge, sizes.crossed, rng.getrandbits(32))
    cursors.attack(target, judge, sizes.cursors, rng.getrandbits(32))
    replies.attack(target, judge, sizes.replies, rng.getrandbits(32))
    routes.attack(target, judge, sizes.each, rng.getrandbits(32))
    files.attack(target, judge, sizes.sent_files, rng.getrandbits(32), bombs=where == "SQLite")
    doors.attack(target, judge, sizes.doors, rng.getrandbits(32))
    tally.failures += [f"the log · {where}: {complaint}" for complaint in target.log_complaints()]
    memory = f"{where}: {before} MB before, {target.megabytes} after, {target.peak_megabytes} at most"
    tally.memory.append(memory)
    if target.peak_megabytes > MAX_MEGABYTES or target.megabytes - before > MAX_GROWN_MEGABYTES:
        tally.failures.append(f"memory · {memory}")


def ask_again(target: Target, judge: Judge) -> None:
    """Every input that once did harm."""
    for path in sorted(FOUND.glob("*.json")):
        given = Input.kept(path)
        judge.see("found before", given, target.send(given))
