"""`python -m tests.soak [--minutes 20]`: the soak. Prints what it found, writes bench/soak.json and the section of docs/reliability.md.

The county's clock runs 15 days a minute in steps of half a day, so that notices run out, weeks begin and end, nights are scored and
rows reach the end of their period while it lasts. `--try` writes no file. Ends with 1 when something did not hold.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from demo import cast
from demo.county import County, generate
from demo.driver import Who
from demo.month import STARTS_AT, Stage
from demo.month.imports import Imports
from shared import keys
from shared.clock import MovableClock
from tests.integration.cluster import Cluster
from tests.servers import NotHere, until
from tests.soak import judge, report
from tests.soak.judge import Check
from tests.soak.load import PACE_S, Ground, Load
from tests.soak.watch import Watch

SEED = 1
MINUTES = 20.0
"""In ten, one step of an allocator (1.6 MiB) looks like a slope of 14 MiB an hour."""
WARM_SHARE, WARM_AT_MOST_S = 1 / 3, 180.0
"""Before the measured minutes the same load runs a while, so that pools, caches and tables are as in a running house."""

STEP, EVERY_S = timedelta(hours=12), 2.0
TOKENS_FOR = timedelta(days=800)
DRAINED_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="measured minutes, after the warm-up")
    parser.add_argument("--try", dest="trying", action="store_true", help="write no file")
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="daohu-soak-", dir="/var/tmp") as folder:
            found = soak(Path(folder), given.minutes * 60)
    except NotHere as missing:
        print(missing)
        return 2
    print(report.text(found))
    if not given.trying:
        report.keep(found)
    return 0 if found["held"] else 1


def soak(folder: Path, measured_s: float, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Runs one in an empty folder and answers what bench/soak.json holds. Raises NotHere."""
    county = generate(SEED, folder / "county")
    warm_s = min(WARM_AT_MOST_S, measured_s * WARM_SHARE)
    with Cluster(folder, starts_at=STARTS_AT) as cluster:
        ground = _taken_over(cluster, county, folder)
        load, watch = Load(cluster.url, _issuing(cluster.home), ground), Watch(cluster)
        with cluster.driver("settled") as driver:
            driver.clock(cast.ADMIN)  # the first entries are sealed: from now on there is a checkpoint to read
        say(f"warm-up {warm_s:.0f} s, then {measured_s:.0f} s")
        with _time_passes(cluster), watch.running():
            load.start()
            try:
                _wait(warm_s, load, watch)
                begin, before = time.monotonic(), watch.tables()
                _wait(measured_s, load, watch)
                ended = time.monotonic()
            finally:
                load.stop()
        checks = [_drained(watch), *_as_acknowledged(load), *_undisturbed(cluster, load, watch)]
        asked = [one for one in load.asked if begin <= one.at <= ended]
        memory = {name: series.since(begin) for name, series in watch.memory_mib.items()}
        checks += judge.flat(memory, ended - begin)
        for what, series in (("open files", watch.files), ("connections", watch.connections), ("lag", watch.lag)):
            checks += judge.steady(what, {name: samples.since(begin) for name, samples in series.items()})
        checks += judge.fresh(watch.outbox_age_s) + judge.as_fast(asked)
        checks += judge.growth(before, watch.tables(), ground.clock.now())
        days = (ground.clock.now() - STARTS_AT).days
    return report.found(
        measured_s=ended - begin, days=days, checks=checks, asked=asked, begin=begin, memory=memory, done=load.done
    )


def _taken_over(cluster: Cluster, county: County, folder: Path) -> Ground:
    """The county's files imported, each event of them heard; afterwards it is five past nine."""
    with cluster.driver("soak") as driver:
        Imports(Stage(driver, county, folder, lambda *_: None)).take_over()
        listed = driver.pages(cast.POVERTY_OFFICE, "/registry/v1/households")
    clock = MovableClock(cluster.home / "clock")
    clock.move_to(STARTS_AT + timedelta(hours=1, minutes=5))
    return Ground(county, clock, {home["household_no"]: home["id"] for home in listed})


def _issuing(home: Path) -> Callable[[Who], str]:
    """Tokens that last as long as any soak's county time."""
    issuer = keys.issuer(home)
    return lambda who: issuer.token(
        who.subject, who.roles, who.divisions, client="soak", lifetime=TOKENS_FOR, now=STARTS_AT
    )


@contextmanager
def _time_passes(cluster: Cluster) -> Iterator[None]:
    over = threading.Event()
    clock = MovableClock(cluster.home / "clock")

    def move() -> None:
        while not over.wait(EVERY_S):
            clock.move_to(clock.now() + STEP)

    thread = threading.Thread(target=move, name="clock")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait(seconds: float, load: Load, watch: Watch) -> None:
    """Until then, or until something went wrong."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not load.failures and not watch.failures:
        time.sleep(0.1)


def _drained(watch: Watch) -> Check:
    try:
        until(lambda: watch.queued() == 0, DRAINED_S, "every fact is published and heard")
    except TimeoutError as late:
        return Check("drained", False, str(late))
    return Check("drained", True, "every fact is published and heard")


def _as_acknowledged(load: Load) -> list[Check]:
    """The ledger holds exactly what was acknowledged, and every actor did something."""
    figures, money = load.figures(), load.money
    same = (figures["received_fen"], figures["paid_fen"]) == (money.received_fen, money.paid_fen)
    said = f"received {figures['received_fen']} fen, paid {figures['paid_fen']} fen in {money.payments} payments"
    idle = [actor for actor in PACE_S if not load.done[actor]]
    return [
        Check("money as acknowledged", same and money.payments > 0, said),
        Check("every actor acted", not idle, ", ".join(idle) or ", ".join(f"{n} {a}" for a, n in load.done.items())),
    ]


def _undisturbed(cluster: Cluster, load: Load, watch: Watch) -> list[Check]:
    ended = [f"{process.name} {process.exits}" for process in cluster.processes.values() if process.exits]
    complaints, failures = cluster.complaints(), load.failures + watch.failures
    return [
        Check("no process ended", not ended, ", ".join(ended) or "none"),
        Check("no error in a log", not complaints, "; ".join(complaints[:5]) or "none"),
        Check("no request failed", not failures, "; ".join(failures[:5]) or "none"),
    ]


if __name__ == "__main__":
    sys.exit(main())
