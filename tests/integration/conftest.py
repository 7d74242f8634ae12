"""Clusters of the whole product, each started once: one for the tests that do it no harm, one for those that do."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.month import STARTS_AT
from tests.chaos import months
from tests.integration.cluster import Cluster
from tests.integration.tally import SERVICES
from tests.servers import NotHere


@dataclass(frozen=True, slots=True)
class Lived:
    """A month that nobody disturbed, with its home, which is not to be touched."""

    home: Path
    month: months.Month
    acknowledged: list[months.Act]


@contextmanager
def running_cluster(**given: Any) -> Iterator[Cluster]:
    """A cluster in a temporary folder, ready; stopped at the end. A machine without a server is said so, or a failure."""
    with tempfile.TemporaryDirectory(prefix="daohu-cluster-") as folder:
        try:
            cluster = Cluster(Path(folder), **given)
        except NotHere as missing:
            (pytest.fail if os.environ.get("DAOHU_REQUIRE_SERVERS") == "1" else pytest.skip)(str(missing))
        with cluster:
            yield cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One of everything and two of funds, at the first morning of the demo's month."""
    with running_cluster(starts_at=STARTS_AT, scale={"funds-api": 2, "funds-worker": 2}) as started:
        yield started


REQUEST_S = 5
"""The time limit of a request in the cluster that is harmed; 60 s in a county."""


@pytest.fixture(scope="package")
def harmed() -> Iterator[Cluster]:
    """Two of each process. For the fixture `twins` alone."""
    apart = [f"{service}-{role}" for service in SERVICES for role in ("api", "worker")]
    env = {"DAOHU_REQUEST_SECONDS": str(REQUEST_S)}
    with running_cluster(starts_at=STARTS_AT, scale=dict.fromkeys(apart, 2), env=env) as started:
        yield started


@pytest.fixture
def twins(harmed: Cluster) -> Iterator[Cluster]:
    """Two of each process, all ready, to be killed, stopped and starved; they must be ready again afterwards."""
    harmed.wait_ready()
    yield harmed
    harmed.wait_ready()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The month in one process, on SQLite."""
    folder = tmp_path_factory.mktemp("undisturbed")
    month, acknowledged = months.undisturbed(folder)
    return Lived(folder / "home", month, acknowledged)
