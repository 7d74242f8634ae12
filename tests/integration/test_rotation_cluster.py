"""All keys of a cluster are replaced under load: two of each process notice by themselves, workers renew, no act is lost."""

import json
from collections.abc import Callable

from tests.integration.cluster import Cluster
from tests.integration.load import Load
from tests.integration.tally import all_came_out

QUICK = ("--notice", "2", "--settled", "3")


def test_two_of_each_process_go_over_to_new_keys_under_load(twins: Cluster, say: Callable[[str], None]) -> None:
    before = json.loads(twins.command("keys", "status", "--json").stdout)["keys"]
    load = Load(twins, "rotation")
    with load.at_work():
        load.go_on()
        rotated = twins.command("keys", "rotate", "all", *QUICK)
        assert rotated.returncode == 0, rotated.stdout + rotated.stderr
        load.go_on()
    assert (load.failures, dict(load.repeats)) == ([], {})
    status = twins.command("keys", "status", "--json")
    assert status.returncode == 0, status.stderr
    after = json.loads(status.stdout)["keys"]
    assert {key["id"] for key in after} & {key["id"] for key in before} == set()
    assert [key["state"] for key in after] == ["current", "current"]
    assert {key["purpose"]: key["values"] > 0 for key in after} == {"data": True, "blind": True}
    all_came_out(twins, load)
    say(f"rotation on the cluster: {load.said()}")
