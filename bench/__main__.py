"""`python -m bench [module …] [--rounds N]`: measures, merges into results.json, prints and renews the tables. No module: all of them.

Each module is a process of its own, so that none measures the memory, the caches or the garbage of another.
"""

import argparse
import importlib
import logging
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import structlog

from bench import harness, pages, results
from bench.env import Env
from shared.clock import SystemClock

MODULE_S = 900
"""A module that takes longer hangs; the others are measured all the same."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("modules", nargs="*", help="those to measure; default: all")
    parser.add_argument("--rounds", type=int, help="instead of each case's own number")
    parser.add_argument(
        "--here", action="store_true", help="measure one module in this process (what the others are started with)"
    )
    parser.add_argument("--pages", action="store_true", help="measure nothing; renew the tables of the pages")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    known = _known()
    if unknown := set(given.modules) - set(known):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if given.pages:
        pages.write(results.read())
        return 0
    if given.here:
        (name,) = given.modules
        _measure(name, given.rounds)
        return 0
    began = SystemClock().now().isoformat(timespec="seconds")
    failed = [name for name in given.modules or known if not _measured(name, given.rounds)]
    rows = [row for row in results.read() if not given.modules or row["module"] in given.modules]
    print("\n" + results.table(rows))
    for name in failed:
        old = sum(row["module"] == name and row["measured_at"] < began for row in rows)
        print(f"\nFAILED {name}: {old} of its figures above are of an earlier run, those it has not are missing")
    pages.write(results.read())
    return 1 if failed else 0


def _known() -> list[str]:
    """The modules that say what their cases are."""
    texts = {path.stem: path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))}
    return [name for name, text in texts.items() if "\ndef cases(env: Env) -> list[Case]:" in text]


def _measured(name: str, rounds: int | None) -> bool:
    """Whether it came to its end. What it had measured when it did not is kept."""
    started = time.monotonic()
    print(f"\n{name}", flush=True)
    line = [sys.executable, "-m", "bench", "--here", name, *(["--rounds", str(rounds)] if rounds else [])]
    with subprocess.Popen(line, cwd=results.ROOT) as measuring:
        try:
            ended = measuring.wait(MODULE_S)
        except subprocess.TimeoutExpired:
            print(f"{name} did not end within {MODULE_S} s", flush=True)
            measuring.terminate()
            ended = measuring.wait()
        except BaseException:
            measuring.terminate()  # it stops its servers, and is waited for
            raise
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return ended == 0


def _measure(name: str, rounds: int | None) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    module = importlib.import_module(f"bench.{name}")
    rows: list[results.Row] = []
    with Env() as env, ExitStack() as kept:
        kept.callback(lambda: results.merge(name, rows, whole=False))
        for case in module.cases(env):
            started = time.monotonic()
            result = harness.run(case, rounds)
            rows.append(results.row(name, result))
            print(
                f"{results.line(rows[-1])} ({result.measured} rounds, {time.monotonic() - started:.0f} s)", flush=True
            )
    results.merge(name, rows)


if __name__ == "__main__":
    sys.exit(main())
