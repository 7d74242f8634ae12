"""A consumer that stands still in the cluster: its process ends itself, is started again, and each event takes effect once."""

from shared.watchdog import EXIT_STUCK
from tests.integration.cluster import Cluster
from tests.integration.load import PATIENCE_S, Load
from tests.integration.tally import all_came_out
from tests.servers import until

STUCK_S = 3


def test_a_worker_stuck_in_a_handler_ends_and_is_started_again(twins: Cluster) -> None:
    worker, there = twins.processes["assessment-worker-1"], twins.folder / "stuck"
    worker.extra = {
        "DAOHU_FAULT": "assessment.in_handler",
        "DAOHU_FAULT_FILE": str(there),
        "DAOHU_STUCK_SECONDS": str(STUCK_S),
    }
    twins.restart(worker.name)
    stuck, load = worker.pid, Load(twins, "stuck")
    with load.at_work():
        until(there.exists, PATIENCE_S, "a handler hangs")
        worker.extra = {}
        until(lambda: worker.pid != stuck and worker.ready(), PATIENCE_S, "the worker is there again")
        load.go_on()
    assert worker.exits[-1] == EXIT_STUCK
    assert '"event": "stuck"' in worker.log.read_text()
    all_came_out(twins, load)
