"""An upgrade while people work: the release before this one and this one serve side by side on one database and one Kafka."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.month import STARTS_AT
from tests.integration.cluster import Cluster, Process, base
from tests.integration.composed import ROOT
from tests.integration.conftest import running_cluster
from tests.integration.load import PATIENCE_S, Load
from tests.integration.releases import code_before
from tests.integration.tally import SERVICES, all_came_out, metric
from tests.servers import NotHere, until

WATCHED = ("registry-api", "funds-api", "notify-api", "funds-worker", "assessment-worker")
"""Who is written to all the time (the load's targets come to an end), and who hears of households."""


@pytest.fixture(scope="module")
def before() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="daohu-before-") as folder:
        try:
            yield code_before(Path(folder))
        except NotHere as missing:
            pytest.skip(str(missing))  # a checkout without history is no missing server


def test_what_runs_as_the_older_one_is_its_code(before: Path) -> None:
    line = [sys.executable, "-c", "import services, shared; print(services.__file__, shared.__file__)"]
    said = subprocess.run(line, env=base(before), cwd=before, capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(before / name / "__init__.py") for name in ("services", "shared")]


def of_release(cluster: Cluster, code: Path) -> list[Process]:
    return [process for process in cluster.processes.values() if process.part.service and process.code == code]


def done(process: Process) -> float:
    """Writes that an API has answered, or events that a worker has taken."""
    if process.part.name.endswith("-api"):
        return metric(process, "daohu_http_requests_total", method="POST")
    return metric(process, "daohu_consumer_events_total", outcome="taken")


def test_two_releases_serve_side_by_side_and_the_older_one_ends_without_an_error(
    before: Path, say: Callable[[str], None]
) -> None:
    apart = [f"{service}-{role}" for service in SERVICES for role in ("api", "worker")]
    with running_cluster(starts_at=STARTS_AT, scale=dict.fromkeys(apart, 2), before=before) as cluster:
        older, newer = of_release(cluster, before), of_release(cluster, ROOT)
        assert len(older) == len(newer) == len(apart)
        load = Load(cluster, "upgrade")
        with load.at_work():
            load.go_on()
            migrated = cluster.command("migrate")
            assert migrated.returncode == 0, migrated.stdout + migrated.stderr
            load.go_on()
            for process in newer:
                process.start()
            cluster.wait_ready()
            watched = [process for process in (*older, *newer) if process.part.name in WATCHED]
            so_far = [done(process) for process in watched]
            until(
                lambda: all(map(float.__gt__, map(done, watched), so_far)), PATIENCE_S, "both releases answer and hear"
            )
            load.go_on()
            for process in older:
                assert process.stop() == 0, process.last_lines()
            load.go_on()
        all_came_out(cluster, load)
    assert [process.name for process in newer if process.exits != [0]] == []
    say(f"The release before and this one served side by side. {load.said()}")
