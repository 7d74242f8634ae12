"""Every process of the county is restarted while people work, those of a service in turn: who repeats as documented sees no error."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.integration.cluster import Cluster
from tests.integration.load import Load
from tests.integration.tally import SERVICES, all_came_out

AT_ONCE = 2
"""Services that are restarted at the same time."""


def test_a_rolling_restart_of_everything_is_an_error_to_nobody(twins: Cluster, say: Callable[[str], None]) -> None:
    def restart(service: str) -> None:
        for process in [process for process in twins.processes.values() if process.part.service == service]:
            assert twins.restart(process.name) == 0, process.last_lines()

    load = Load(twins, "rolling")
    with load.at_work():
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(restart, SERVICES))
        load.go_on()
    all_came_out(twins, load)
    say(f"Every process restarted under load. {load.said()}")
