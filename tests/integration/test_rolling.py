"""Every process of the county is restarted, one after the other, while people work: who repeats as documented sees no error."""

import pytest

from tests.integration.cluster import Cluster
from tests.integration.load import Load
from tests.integration.tally import all_came_out


def test_a_rolling_restart_of_everything_is_an_error_to_nobody(
    twins: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    load = Load(twins, "rolling")
    restarted = [name for name in twins.processes if name != "origin-1"]
    with load.at_work():
        for name in restarted:
            assert twins.restart(name) == 0, twins.processes[name].last_lines()
        load.go_on()
    all_came_out(twins, load)
    with capsys.disabled():
        print(f"\n{len(restarted)} processes restarted under load. {load.said()}")
