"""`python -m tests.mutants [PROTECTION …]`: turns each protection off in a copy of the code and runs the test named for it.

Prints a table and `killed 16/16`; ends with 1 when a mutant survived, died otherwise or does not fit the code any more.
"""

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.copies import Stale, copy_tree, turned_off
from tests.mutants.protections import MORE, MUTANTS, NAMED, Mutant
from tests.mutants.trial import Seen, judged, run

AT_ONCE = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("protection", nargs="*", help="these alone; without any, all")
    chosen = parser.parse_args().protection
    if strange := set(chosen) - {mutant.protection for mutant in MUTANTS}:
        parser.error(f"no such protection: {', '.join(sorted(strange))}")
    mutants = [mutant for mutant in MUTANTS if not chosen or mutant.protection in chosen]
    with tempfile.TemporaryDirectory(prefix="daohu-mutants-") as folder:
        verdicts = try_all(mutants, Path(folder).resolve())
    killed = {mutant for mutant, verdict in zip(mutants, verdicts, strict=True) if verdict == "killed"}
    print()
    for group, words in ((MORE, "beyond those of the issue:"), (NAMED, "killed")):
        if tried := [mutant for mutant in mutants if mutant in group]:
            print(f"{words} {len(killed.intersection(tried))}/{len(tried)}")
    return 0 if len(killed) == len(mutants) else 1


def try_all(mutants: list[Mutant], folder: Path) -> list[str]:
    """The verdict on each mutant, in order. Prints a line of the table for each."""
    original = folder / "whole"
    copy_tree(original)
    whole = run(original, [mutant.test for mutant in mutants])
    print(f"unmutated: {len(whole.outcomes)} tests, {', '.join(sorted(set(whole.outcomes.values()))) or whole.said}")
    print(f"\n{'protection':24} {'without it':12} {'s':>4}  the test named for it")

    def try_one(mutant: Mutant) -> tuple[str, Seen]:
        copy = folder / mutant.protection.replace(" ", "-")
        try:
            shutil.copytree(original, copy)
            (copy / mutant.file).write_text(turned_off(mutant, copy))
            off = run(copy, [mutant.test])
            return judged(mutant, copy, whole, off), off
        except Stale as stale:
            return f"stale mutant: {stale}", Seen({}, {})

    verdicts = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, (verdict, off) in zip(mutants, pool.map(try_one, mutants), strict=True):
            print(f"{mutant.protection:24} {verdict:12} {off.seconds:4.0f}  {mutant.test}", flush=True)
            verdicts.append(verdict)
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
