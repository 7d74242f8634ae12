"""One run of named tests in a copy, and what it says of a protection."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.protections import Mutant
from tests.mutants.witness import ASSERTED, PASSED

MOST_S = 300.0
"""For one run of pytest; a mutant that hangs has not been killed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`outcomes`: how each test ended. `files`: module → the file it was imported from. `said`: the end of pytest's output."""

    outcomes: dict[str, str]
    files: dict[str, str]
    said: str = ""
    seconds: float = 0.0


def run(copy: Path, tests: Iterable[str]) -> Seen:
    """Runs tests with the code of a copy."""
    witness = copy / ".witness.json"
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.mutants.witness", *tests]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DAOHU_"))}
    environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "DAOHU_MUTANT_WITNESS": str(witness)}
    started = time.monotonic()
    with subprocess.Popen(
        line, cwd=copy, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as testing:
        try:
            output, _ = testing.communicate(timeout=MOST_S)
        except BaseException as ended:
            os.killpg(testing.pid, signal.SIGKILL)
            if not isinstance(ended, subprocess.TimeoutExpired):
                raise
            output = f"it did not end within {MOST_S:.0f} s".encode()
    said = output.decode(errors="replace")[-4_000:]
    seconds = time.monotonic() - started
    if not witness.exists():
        return Seen({}, {}, said, seconds)
    return Seen(**json.loads(witness.read_text()), said=said, seconds=seconds)


def judged(mutant: Mutant, copy: Path, whole: Seen, off: Seen) -> str:
    """`killed`, or why not. `whole`: the unmutated run; `off`: the run without the protection, in `copy`."""
    before = {test: outcome for test, outcome in whole.outcomes.items() if _is_of(test, mutant.test)}
    if not before:
        return "its test does not exist or was not run"
    if any(outcome != PASSED for outcome in before.values()):
        return f"its test does not pass as it is: {_others(before, PASSED)}"
    module = mutant.file.removesuffix(".py").replace("/", ".")
    if off.files.get(module) != str(copy / mutant.file):
        return f"{mutant.file} of the copy was not imported: {off.said.strip()[-300:] or 'no output'}"
    if off.outcomes.keys() != before.keys():
        return "other tests ran than without the mutant"
    if unclear := _others(off.outcomes, PASSED, ASSERTED):
        return f"its test died of something else than its assertion: {unclear}"
    return "killed" if ASSERTED in off.outcomes.values() else "survived"


def _is_of(test: str, named: str) -> bool:
    return test == named or test.startswith(f"{named}[")


def _others(outcomes: dict[str, str], *but: str) -> str:
    return ", ".join(sorted({outcome for outcome in outcomes.values() if outcome not in but}))
