"""Two of each process of funds: what dies is started again, and a rolling restart under load is an error to nobody who repeats."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo import cast
from demo.command import issuing
from demo.driver import Driver
from demo.month import STARTS_AT
from tests.integration.cluster import Cluster
from tests.integration.conftest import running_cluster
from tests.servers import until

CALLERS = 4
RECEIPT_FEN = 100


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    """A cluster of this module's own, with two of each process of funds."""
    with running_cluster(starts_at=STARTS_AT, scale={"funds-api": 2, "funds-worker": 2}) as started:
        yield started


class Callers:
    """Four who post receipts of one fund, each as fast as it is answered, and repeat as documented. `done`: answered posts."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.done = 0
        self.failures: list[BaseException] = []
        self._name, self._over, self._lock = name, threading.Event(), threading.Lock()
        self._issue, self._url = issuing(cluster.home), cluster.url
        with self._driver("fund") as driver:
            self.fund = driver.post(cast.FINANCE, "/funds/v1/sources", name, a_fund(name))["id"]
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(CALLERS)]

    def received_fen(self) -> int:
        """What the ledger says has arrived."""
        with self._driver("look") as driver:
            return int(driver.get(cast.FINANCE, f"/funds/v1/sources/{self.fund}")["figures"]["received_fen"])

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _post(self, caller: int) -> None:
        with self._driver(f"caller-{caller}") as driver:
            number = 0
            try:
                while not self._over.is_set():
                    number += 1
                    driver.post(
                        cast.FINANCE, f"/funds/v1/sources/{self.fund}/receipts", f"receipt-{number}",
                        {"amount_fen": RECEIPT_FEN, "received_on": "2016-10-31", "voucher_no": f"{caller}-{number}"},
                    )  # fmt: skip
                    with self._lock:
                        self.done += 1
            except BaseException as error:
                self.failures.append(error)

    def _driver(self, who: str) -> Driver:
        return Driver(self._url, self._issue, key_prefix=f"{self._name}-{who}")


def a_fund(name: str) -> dict[str, Any]:
    return {
        "fund_no": name,
        "name": "专项扶贫资金",
        "level": "county",
        "year": 2016,
        "division": cast.COUNTY,
        "document_no": f"平财农〔2016〕{name}",
    }


@pytest.mark.parametrize("name", ["funds-api-1", "funds-worker-2", "origin-1"])
def test_what_is_killed_is_started_again(pair: Cluster, name: str) -> None:
    process = pair.processes[name]
    before = process.pid
    pair.kill(name)
    until(lambda: process.pid != before and process.ready(), 60, f"{name} is there again")
    assert process.exits == [-9]


def test_a_rolling_restart_under_load_shows_no_error(pair: Cluster) -> None:
    """Every process of funds in turn, while receipts are posted: each is answered, and each is in the ledger once."""
    callers = Callers(pair, "rolling")
    with callers.at_work():
        for name in ("funds-api-1", "funds-api-2", "funds-worker-1", "funds-worker-2"):
            before = callers.done
            assert pair.restart(name) == 0
            until(lambda since=before: callers.done > since or callers.failures, 60, "receipts go on")  # type: ignore[misc]
    assert callers.failures == [], pair.complaints()
    assert callers.received_fen() == callers.done * RECEIPT_FEN > 0


def test_a_killed_api_under_load_loses_and_repeats_nothing(pair: Cluster) -> None:
    """kill -9 of one API and then the other, the ledger's writer in it."""
    callers = Callers(pair, "killed")
    with callers.at_work():
        for name in ("funds-api-1", "funds-api-2"):
            process, before = pair.processes[name], callers.done
            pid = process.pid
            pair.kill(name)
            until(lambda p=process, pid=pid: p.pid != pid and p.ready(), 60, f"{name} is there again")  # type: ignore[misc]
            until(lambda since=before: callers.done > since or callers.failures, 60, "receipts go on")  # type: ignore[misc]
    assert callers.failures == [], pair.complaints()
    assert callers.received_fen() == callers.done * RECEIPT_FEN > 0
