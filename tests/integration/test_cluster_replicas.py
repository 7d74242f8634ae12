"""Two of each process: both work, both write to one book, and what is killed under load is started again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from demo import cast
from tests.integration.cluster import Cluster
from tests.integration.load import PATIENCE_S, RECEIPT_FEN, Client, Load, a_fund, rows
from tests.integration.tally import all_came_out, metric
from tests.servers import until

RECEIPTS = 40


@pytest.mark.parametrize("service", ["funds", "assessment"])
def test_both_replicas_of_a_worker_take_events(twins: Cluster, service: str) -> None:
    def taken() -> list[float]:
        return [
            metric(worker, "daohu_consumer_events_total", outcome="taken") for worker in twins.of(f"{service}-worker")
        ]

    load, before = Load(twins, "shared"), taken()
    with load.at_work():
        until(lambda: all(map(float.__gt__, taken(), before)), PATIENCE_S, "both take events")


def test_two_apis_write_to_one_book_and_every_receipt_stands_once(twins: Cluster) -> None:
    apis = twins.of("funds-api")
    clients = [Client(twins, api.name, f"http://127.0.0.1:{api.port}") for api in apis]
    commands = "daohu_ledger_batch_commands_sum"
    before = [metric(api, commands) for api in apis]
    [first, second] = clients
    fund = first.done(cast.FINANCE, "POST", "/funds/v1/sources", act="one-book", body=a_fund("one-book")).json()["id"]

    def receive(client: Client, name: str) -> None:
        path = f"/funds/v1/sources/{fund}/receipts"
        for n in range(RECEIPTS):
            body = {"amount_fen": RECEIPT_FEN, "received_on": "2016-10-31", "voucher_no": f"{name}-{n}"}
            client.done(cast.FINANCE, "POST", path, act=f"receipt-{n}", body=body)

    with ThreadPoolExecutor() as threads:
        list(threads.map(receive, clients, "AB"))
    shown = second.done(cast.FINANCE, "GET", f"/funds/v1/sources/{fund}").json()
    assert shown["figures"]["received_fen"] == 2 * RECEIPTS * RECEIPT_FEN
    assert all(metric(api, commands) >= was + RECEIPTS for api, was in zip(apis, before, strict=True))
    [(entries, newest)] = rows(twins, "funds", "select count(*), max(seq) from ledger_entry where book = %s", "610926")
    assert entries == newest
    for client in clients:
        client.close()


def test_what_is_killed_under_load_is_started_again(twins: Cluster) -> None:
    load, names = Load(twins, "killed"), ("funds-api-1", "origin-1")
    with load.at_work():
        for name in names:
            process, killed = twins.processes[name], twins.processes[name].pid
            load.go_on()
            twins.kill(name)
            until(lambda: process.pid != killed and process.ready(), PATIENCE_S, f"{name} is there again")  # noqa: B023
        load.go_on()
    assert [twins.processes[name].exits[-1] for name in names] == [-9, -9]
    all_came_out(twins, load)
