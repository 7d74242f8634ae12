"""The product as a user has it: commands and HTTP, nothing of its inside. A month is lived once; tests work on copies of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.driver import Driver, Who
from demo.server import Server
from shared import keys
from shared.clock import MovableClock, county_instant
from shared.roles import Role

ROOT = Path(__file__).resolve().parents[2]
DAOHU = Path(sys.executable).with_name("daohu")
COMMAND_SECONDS = 300
STARTS_AT = county_instant(date(2016, 11, 1), 9)


def daohu(*words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`daohu …` as a person types it; its output is captured."""
    return subprocess.run(
        [str(DAOHU), *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=COMMAND_SECONDS,
        check=False,
        cwd=ROOT,
    )


@dataclass(frozen=True, slots=True)
class House:
    """A running house and somebody's hands. Times are the house's own clock's."""

    server: Server
    driver: Driver

    @property
    def home(self) -> Path:
        return self.server.home

    @property
    def now(self) -> datetime:
        return MovableClock(self.home / "clock").now()

    def pass_days(self, days: int) -> None:
        """Nights go by; answers when everything due by then was done."""
        self.driver.clock(Who("county-admin", (Role.COUNTY_ADMIN,), ("610926000000",)), self.now + timedelta(days=days))


def issue_at(home: Path) -> Callable[[Who], str]:
    """Tokens of the home's own issuer, as `daohu token` gives them."""

    def issue(who: Who) -> str:
        return keys.issuer(home).token(
            subject=who.subject,
            roles=who.roles,
            divisions=list(who.divisions),
            client=f"e2e-{who.subject}",
            lifetime=timedelta(days=400),
            now=MovableClock(home / "clock").now(),
        )

    return issue


@contextmanager
def running_house(home: Path) -> Iterator[House]:
    """`daohu up` on a home with a movable clock, and a driver for it."""
    server = Server(home, STARTS_AT)
    server.start()
    try:
        with Driver(server.url, issue_at(home), key_prefix="e2e") as driver:
            yield House(server, driver)
    finally:
        server.stop()


Copied = Callable[[], AbstractContextManager[House]]


@dataclass(frozen=True, slots=True)
class Month:
    """What `daohu demo --json` left behind: its answer and its home, which is not to be touched."""

    home: Path
    said: dict[str, Any]
    exit_code: int


def live(folder: Path, seed: int) -> Month:
    home = folder / f"seed-{seed}"
    run = daohu("demo", "--county", "pingli", "--seed", str(seed), "--json", "--home", home)
    assert run.returncode == 0, f"daohu demo failed:\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}"
    return Month(home, json.loads(run.stdout), run.returncode)


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """One lived month of seed 1."""
    return live(tmp_path_factory.mktemp("month"), 1)


@pytest.fixture
def copied(month: Month, tmp_path: Path) -> Copied:
    """Opens a copy of the lived month, running."""

    def start() -> AbstractContextManager[House]:
        shutil.copytree(month.home, tmp_path / "home")
        return running_house(tmp_path / "home")

    return start


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An empty house, running; one for a whole module."""
    with running_house(tmp_path_factory.mktemp("house") / "home") as live:
        yield live
