"""`python -m tests.fuzz --inputs 100000 --seed 7`: exit code 0 when nothing was wrong."""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.runs import Sizes, run
from tests.servers.postgres import Postgres


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="the same one makes the same inputs")
    given = parser.parse_args()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="daohu-fuzz-") as folder,
        tempfile.TemporaryDirectory(prefix="daohu-fuzz-pg-") as beside,
    ):
        postgres = Postgres(Path(beside))
        try:
            tally = run(Path(folder), Sizes.for_about(given.inputs), given.seed, postgres)
        finally:
            postgres.stop()
    print(f"seed {given.seed}, {time.monotonic() - started:.0f} s")
    print("\n".join([*tally.lines(), *tally.memory]))
    print("\n".join(tally.failures) or "nothing was wrong: no 5xx, nothing of the other town, memory bounded")
    enough = tally.inputs.total() >= given.inputs
    if not enough and not tally.failures:
        print(f"but these were fewer than {given.inputs:,} inputs")
    return 0 if enough and not tally.failures else 1


if __name__ == "__main__":
    sys.exit(main())
