"""The county's month on PostgreSQL and Kafka, every service as its own processes: the same history as in one process."""

import os
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.command import issuing
from demo.county import generate
from demo.driver import Driver
from demo.month import STARTS_AT, Stage, live
from demo.server import Server
from tests.integration.cluster import DAOHU, ROOT, Cluster

SEED = 1
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Month:
    """What the driver counted, and the canonical dump: its summary and its rows, each with how often it is there."""

    came_of_it: dict[str, Any]
    summary: str
    rows: Counter[str]


def dumped(came_of_it: dict[str, Any], file: Path, environment: Mapping[str, str]) -> Month:
    """A month with what `daohu dump --canonical` says after it."""
    done = subprocess.run(
        [DAOHU, "dump", "--canonical", "--rows", str(file)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return Month(came_of_it, done.stdout, Counter(file.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def apart(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """The month on the cluster, through its origin."""
    folder = tmp_path_factory.mktemp("apart")
    county = generate(SEED, folder / "county")
    with cluster.driver("month") as driver:
        came_of_it = live(Stage(driver, county, folder, lambda *_: None))
    return dumped(came_of_it, folder / "rows", cluster.environment(cluster.parts["migrate"]))


@pytest.fixture(scope="module")
def in_one(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """The month in one process, on SQLite."""
    folder = tmp_path_factory.mktemp("in-one")
    county = generate(SEED, folder / "county")
    server = Server(folder / "home", STARTS_AT)
    server.start()
    try:
        with Driver(server.url, issuing(server.home), key_prefix="month") as driver:
            came_of_it = live(Stage(driver, county, folder, lambda *_: None))
    finally:
        server.stop()
    return dumped(came_of_it, folder / "rows", {"DAOHU_HOME": str(server.home)})


def test_the_same_came_of_the_month(apart: Month, in_one: Month) -> None:
    """Figures, money, trail, scores and messages, as the driver saw them."""
    assert without_pace(apart.came_of_it) == without_pace(in_one.came_of_it)


def test_every_row_of_every_table_is_the_same(apart: Month, in_one: Month) -> None:
    only_apart, only_in_one = apart.rows - in_one.rows, in_one.rows - apart.rows
    assert (first(only_apart), first(only_in_one)) == ([], [])
    assert apart.summary == in_one.summary
    assert apart.rows.total() > 100_000


def test_no_process_of_the_cluster_had_to_be_started_twice(apart: Month, cluster: Cluster) -> None:
    assert apart.came_of_it
    assert {process.name: process.exits for process in cluster.processes.values() if process.exits} == {}


def without_pace(came_of_it: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run: how long it took, and how often an answer was asked for."""
    return {key: value for key, value in came_of_it.items() if key not in ("seconds", "requests")}


def first(rows: Counter[str]) -> list[str]:
    return [f"{times} × {row[:400]}" for row, times in sorted(rows.items())[:SHOWN]]
