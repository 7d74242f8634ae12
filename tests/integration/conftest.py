"""A cluster of the whole product, started once for the tests that look at it and do it no harm."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.month import STARTS_AT
from tests.integration.cluster import Cluster
from tests.servers import NotHere


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
