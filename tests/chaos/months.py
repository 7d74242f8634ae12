"""The two months that are held against each other: one undisturbed in one process, one on a cluster that is being killed."""

import atexit
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from demo import cast
from demo.cluster import ClusterClock
from demo.command import issuing
from demo.county import County, generate
from demo.driver import Answer, Driver, Unexpected, Who
from demo.month import STARTS_AT, Stage, live
from demo.server import Server
from shared.clock import MovableClock
from shared.retention import ANSWERS
from tests.integration.cluster import DAOHU, Cluster
from tests.integration.composed import ROOT

COUNTY_SEED = 1
KEYS = "month"
"""What every Idempotency-Key of a month begins with: the ledger keeps them as its refs."""

PATIENCE_S, SETTLE_S = 180.0, 300.0
"""Of the driver for one answer, and for a whole cluster to come to rest; servers are away for up to half a minute."""


@dataclass(frozen=True, slots=True)
class Act:
    """A POST that was answered well, and all that is needed to repeat it."""

    name: str
    who: Who
    path: str
    given: dict[str, Any]
    answer: Answer
    at: datetime


@dataclass(frozen=True, slots=True)
class Month:
    """What the driver counted, the acts in their order, and the canonical dump: summary, and rows with how often each is there."""

    came_of_it: dict[str, Any]
    acts: list[str]
    summary: str
    rows: Counter[str]


class Witness(Driver):
    """A driver that says aloud what it is about to do, and remembers what was acknowledged.

    Each acknowledged act is repeated under its key once more, as late as its answer is kept: `changed` are those that were
    then answered otherwise.
    """

    def __init__(self, base_url: str, home: Path, *, about_to: Callable[[int], None] = lambda act: None, **given: Any):
        super().__init__(base_url, issuing(home), key_prefix=KEYS, **given)
        self.acts: list[str] = []
        self.acknowledged: list[Act] = []
        self.changed: list[str] = []
        self._to_repeat: list[Act] = []
        self._about_to, self._clock = about_to, MovableClock(home / "clock")

    def ask(self, who: Who, method: str, path: str, *, act: str = "", **given: Any) -> Answer:
        if not act:
            return super().ask(who, method, path, **given)
        self._begin(act)
        answer = super().ask(who, method, path, act=act, **given)
        if answer.status < 400:
            self.acknowledge(Act(act, who, path, given, answer, self._clock.now()))
        return answer

    def acknowledge(self, act: Act) -> None:
        """Takes an answer as given: it is to be the same when it is asked for again."""
        self.acknowledged.append(act)
        self._to_repeat.append(act)

    def clock(self, who: Who, now: datetime | None = None) -> None:
        self.repeat(before=now - ANSWERS if now else None)
        self._begin(f"clock:{now:%Y-%m-%dT%H:%M}" if now else "clock:")
        super().clock(who, now)

    def repeat(self, before: datetime | None = None, *, all_of_them: bool = False) -> None:
        """Repeats what was acknowledged before an instant and not yet repeated."""
        due = [act for act in self._to_repeat if all_of_them or (before and act.at < before)]
        self._to_repeat = [act for act in self._to_repeat if act not in due]
        for act in due:
            try:
                again = super().ask(act.who, "POST", act.path, act=act.name, **{**act.given, "expect": 0})
            except Unexpected as refusal:
                self.changed.append(f"{act.name}: {refusal}")
                continue
            if (again.status, again.content) != (act.answer.status, act.answer.content):
                self.changed.append(f"{act.name}: {again.status} {again.content[:200]!r}")

    def _begin(self, act: str) -> None:
        self.acts.append(act)
        self._about_to(len(self.acts) - 1)


def undisturbed(folder: Path) -> tuple[Month, list[Act]]:
    """The month in one process on SQLite, nothing killed, and what was acknowledged. Its home stays in `<folder>/home`."""
    server = Server(folder / "home", STARTS_AT)
    server.start()
    try:
        with Witness(server.url, server.home) as driver:
            came_of_it = lived(driver, folder)
    finally:
        server.stop()
    month = dumped(came_of_it, driver.acts, folder / "rows", {"DAOHU_HOME": str(server.home)})
    return month, driver.acknowledged


def witness(cluster: Cluster, about_to: Callable[[int], None] = lambda act: None) -> Witness:
    """A driver at a cluster's origin, as patient as one must be whose servers are killed."""
    clock: ClusterClock = cluster.clock(patience_s=SETTLE_S)
    return Witness(cluster.url, cluster.home, about_to=about_to, patience_s=PATIENCE_S, move_clock=clock)


def lived(driver: Driver, folder: Path) -> dict[str, Any]:
    """The whole month; without what differs from run to run: how long it took, and how often an answer was asked for."""
    came_of_it = live(Stage(driver, _county(), folder, lambda *_: None))
    return {key: value for key, value in came_of_it.items() if key not in ("seconds", "requests")}


@cache
def _county() -> County:
    """The county of every month: generated once; its files stay until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="daohu-county-")
    atexit.register(folder.cleanup)
    return generate(COUNTY_SEED, Path(folder.name))


def dumped(came_of_it: dict[str, Any], acts: list[str], file: Path, environment: Mapping[str, str]) -> Month:
    """A month with what `daohu dump --canonical` says after it."""
    done = subprocess.run(
        [DAOHU, "dump", "--canonical", "--rows", str(file)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return Month(came_of_it, acts, done.stdout, Counter(file.read_text(encoding="utf-8").splitlines()))


def settle(driver: Driver) -> None:
    """Returns when nothing is left to do."""
    driver.clock(cast.ADMIN)
