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
PATIENCE_S = 60


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

    def go_on(self) -> None:
        """Returns when one more was answered from now on, or one has failed."""
        before = self.done
        until(lambda: self.done > before or bool(self.failures), PATIENCE_S, "receipts go on")

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


def back_after_kill(cluster: Cluster, name: str) -> None:
    """kill -9; returns when the supervisor's new process is ready."""
    process = cluster.processes[name]
    killed = process.pid
    cluster.kill(name)
    until(lambda: process.pid != killed and process.ready(), PATIENCE_S, f"{name} is there again")


@pytest.mark.parametrize("name", ["funds-api-1", "funds-worker-2", "origin-1"])
def test_what_is_killed_is_started_again(pair: Cluster, name: str) -> None:
    back_after_kill(pair, name)
    assert pair.processes[name].exits == [-9]


def test_a_rolling_restart_under_load_shows_no_error(pair: Cluster) -> None:
    """Every process of funds in turn, while receipts are posted: each is answered, and each is in the ledger once."""
    callers = Callers(pair, "rolling")
    with callers.at_work():
        for name in ("funds-api-1", "funds-api-2", "funds-worker-1", "funds-worker-2"):
            assert pair.restart(name) == 0
            callers.go_on()
    assert callers.failures == [], pair.complaints()
    assert callers.received_fen() == callers.done * RECEIPT_FEN > 0


def test_a_killed_api_under_load_loses_and_repeats_nothing(pair: Cluster) -> None:
    """kill -9 of one API and then the other, the ledger's writer in it."""
    callers = Callers(pair, "killed")
    with callers.at_work():
        for name in ("funds-api-1", "funds-api-2"):
            back_after_kill(pair, name)
            callers.go_on()
    assert callers.failures == [], pair.complaints()
    assert callers.received_fen() == callers.done * RECEIPT_FEN > 0
