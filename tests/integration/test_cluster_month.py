"""The county's month on PostgreSQL and Kafka, every service as its own processes: the same history as in one process."""

import pytest

from tests.chaos import checks
from tests.chaos.months import Month, dumped, lived, witness
from tests.integration.cluster import Cluster
from tests.integration.conftest import Lived


@pytest.fixture(scope="module")
def apart(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """The month on the cluster, through its origin."""
    folder = tmp_path_factory.mktemp("apart")
    with witness(cluster) as driver:
        came_of_it = lived(driver, folder)
    return dumped(came_of_it, driver.acts, folder / "rows", cluster.database_urls())


def test_the_same_came_of_the_month_and_every_row_is_the_same(apart: Month, undisturbed: Lived) -> None:
    """Figures, money, trail, scores and messages, as the driver saw them; and the canonical dump."""
    found = checks.of_months(undisturbed.month, apart)
    assert not any(found.values()), found
    assert apart.summary == undisturbed.month.summary
    assert apart.rows.total() > 100_000


def test_no_process_of_the_cluster_had_to_be_started_twice(apart: Month, cluster: Cluster) -> None:
    assert apart.came_of_it
    assert {process.name: process.exits for process in cluster.processes.values() if process.exits} == {}
