"""People and programs of a county at work on all four services, who repeat what was not answered, as docs/operations.md asks of a client."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg

from demo import cast
from demo.command import issuing
from demo.driver import Who
from demo.month import STARTS_AT
from shared.pii import TEST_ID_AREA, make_check_digit
from shared.roles import Role
from tests.integration.cluster import Cluster
from tests.integration.composed import ROOT
from tests.servers import until

CALLERS = 4
CHANGES = 3
"""How often a household's file is changed after it was entered."""

PAUSE_S = 0.1
"""Between one round of a caller and the next: the processes that start again need this machine too."""

RECEIPT_FEN = 100
PATIENCE_S = 90.0
TIMEOUT_S = 65.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

DIVISIONS = ROOT / "data" / "divisions" / "divisions-610926-pingli.csv"
VILLAGE = "610926100201"
CLERK = cast.of_village(Role.VILLAGE_CLERK, VILLAGE)

_loads, _people = count(1), count()


class Gone(Exception):
    """No answer for PATIENCE_S, however often it was asked for."""


class Reached(Protocol):
    """Whatever is served at an address, with the keys of its home: a cluster, or a house of one process."""

    @property
    def home(self) -> Path: ...

    @property
    def url(self) -> str: ...


class Client:
    """A program that calls the county. `repeats`: why it had to repeat a request → how often. `seconds`: of each request sent."""

    def __init__(self, server: Reached, name: str, url: str = "") -> None:
        self.repeats: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._name, self._issue = name, issuing(server.home)
        self._http = httpx.Client(base_url=url or server.url, timeout=TIMEOUT_S, trust_env=False)
        self._tokens: dict[Who, str] = {}

    def close(self) -> None:
        self._http.close()

    def once(
        self, who: Who, method: str, path: str, *, act: str = "", body: Any = None, data: bytes = b"", etag: str = ""
    ) -> httpx.Response:
        """One request, asked once. `act` makes the key of a POST. Raises httpx.TransportError."""
        headers = {"authorization": f"Bearer {self._token(who)}"}
        if method == "POST":
            headers["idempotency-key"] = f"{self._name}:{act}"
        if etag:
            headers["if-match"] = etag
        started = time.monotonic()
        try:
            return self._http.request(method, path, headers=headers, json=body, content=data or None)
        finally:
            self.seconds.append(time.monotonic() - started)

    def ask(self, who: Who, method: str, path: str, **given: Any) -> httpx.Response:
        """One request, repeated with the same key until it has an answer that is not `retryable`. Raises Gone."""
        given_up, pause = time.monotonic() + PATIENCE_S, FIRST_PAUSE_S
        while True:
            wait = pause * random.uniform(0.5, 1.0)
            try:
                answer = self.once(who, method, path, **given)
            except httpx.TransportError as error:
                why = type(error).__name__
            else:
                if not is_retryable(answer):
                    return answer
                why = f"{answer.status_code} {answer.json()['code']}"
                wait = max(wait, float(answer.headers.get("retry-after", 0)))
            if time.monotonic() > given_up:
                raise Gone(f"{method} {path}: {why}")
            self.repeats[why] += 1
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def done(self, who: Who, method: str, path: str, **given: Any) -> httpx.Response:
        """The same, and it succeeded. Raises AssertionError with the refusal."""
        answer = self.ask(who, method, path, **given)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def change(self, who: Who, path: str, etag: str, body: dict[str, Any], *, is_made: Callable[[Any], bool]) -> str:
        """A PATCH has no key: one that is stale when it is repeated may have been made; the file says so. Answers the new ETag."""
        answer = self.ask(who, "PATCH", path, body=body, etag=etag)
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            answer = self.done(who, "GET", path)
            assert is_made(answer.json()), answer.text
        assert answer.is_success, f"PATCH {path}: {answer.status_code} {answer.text}"
        return answer.headers["etag"]

    def _token(self, who: Who) -> str:
        if who not in self._tokens:
            self._tokens[who] = self._issue(who)
        return self._tokens[who]


def is_retryable(answer: httpx.Response) -> bool:
    """What the APIs say themselves: 503 always, 409 when two wrote at the same moment."""
    is_problem = answer.headers.get("content-type", "") == "application/problem+json"
    return is_problem and bool(answer.json()["retryable"])


class Load:
    """CALLERS who enter households and change their files, receive money, bring messages and set targets, each act after the other.

    `done`: act → how often it was acknowledged; `failures`: what no caller should see.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.number = next(_loads)
        self.name = f"{name}-{self.number}"
        self.done: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self._cluster = cluster
        self._over, self._lock = threading.Event(), threading.Lock()
        self._clients = [Client(cluster, f"{self.name}-{number}") for number in range(CALLERS)]
        self.desk = Client(cluster, f"{self.name}-desk")
        known_divisions(self.desk, cluster)
        self.fund = self.desk.done(
            cast.FINANCE, "POST", "/funds/v1/sources", act="fund", body=a_fund(self.name)
        ).json()["id"]
        villages = [line.split(",")[0] for line in DIVISIONS.read_text().splitlines() if ",village," in line]
        self._villages = [iter(villages[number::CALLERS]) for number in range(CALLERS)]

    @property
    def repeats(self) -> Counter[str]:
        return sum((client.repeats for client in self._clients), Counter())

    @property
    def seconds(self) -> list[float]:
        """Of every request sent, sorted."""
        return sorted(second for client in self._clients for second in client.seconds)

    def said(self) -> str:
        """What a person wants to know of it."""
        took = self.seconds
        p99 = took[int(0.99 * len(took))]
        acts = ", ".join(f"{number} × {act}" for act, number in sorted(self.done.items()))
        return f"{self.name}: {acts}; repeats {dict(self.repeats)}; p99 {p99:.3f} s, longest {took[-1]:.3f} s"

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            for client in self._clients:
                client.close()

    def go_on(self) -> None:
        """Returns when each kind of act was acknowledged once more from now on. Raises AssertionError when a caller has failed."""
        before = self.done.copy()
        acts = ("household", "change", "receipt", "message")
        until(lambda: bool(self.failures) or all(self.done[a] > before[a] for a in acts), PATIENCE_S, "callers go on")
        assert self.failures == []

    def lasts(self, seconds: float) -> None:
        """Returns after so long. Raises AssertionError when a caller has failed."""
        ends = time.monotonic() + seconds
        until(lambda: time.monotonic() > ends or bool(self.failures), seconds + 1, "the time to pass")
        assert self.failures == []

    def _work(self, number: int) -> None:
        client, acts = self._clients[number], count(1)
        try:
            while not self._over.wait(PAUSE_S):
                self._round(client, number, next(acts))
        except BaseException as error:
            self.failures.append(error)

    def _round(self, client: Client, caller: int, number: int) -> None:
        household = {"kind": "identification", "household": a_household(f"{self.number:03}{caller}{number:05}")}
        path = "/registry/v1/cases"
        id = client.done(CLERK, "POST", path, act=f"case-{number}", body=household).json()["household_id"]
        self._acknowledged("household")
        receipt = {"amount_fen": RECEIPT_FEN, "received_on": "2016-10-31", "voucher_no": f"{caller}-{number}"}
        path = f"/funds/v1/sources/{self.fund}/receipts"
        client.done(cast.FINANCE, "POST", path, act=f"receipt-{number}", body=receipt)
        self._acknowledged("receipt")
        message = {
            "from": "13900000000",
            "text": "已走访",
            "received_at": STARTS_AT.isoformat(),
            "message_ref": f"{self.name}-{caller}-{number}",
        }
        client.done(cast.SMS_GATEWAY, "POST", "/notify/v1/inbound", act=f"message-{number}", body=message)
        self._acknowledged("message")
        if village := next(self._villages[caller], ""):
            target = {"division": village, "year": 2016 + self.number, "indicator": "exits", "planned": number}
            path = "/assessment/v1/targets"
            [result] = client.done(
                cast.POVERTY_OFFICE, "POST", path, act=f"target-{number}", body={"items": [target]}
            ).json()["results"]
            assert result["status"] == httpx.codes.CREATED, result
            self._acknowledged("target")
        self._change(client, f"/registry/v1/households/{id}")

    def _change(self, client: Client, path: str) -> None:
        etag = client.done(CLERK, "GET", path).headers["etag"]
        for number in range(1, CHANGES + 1):
            group = f"第{number}组"
            body = {"group": group, "reason": "重新分组"}
            etag = client.change(CLERK, path, etag, body, is_made=lambda shown, group=group: shown["group"] == group)
            self._acknowledged("change")

    def _acknowledged(self, act: str) -> None:
        with self._lock:
            self.done[act] += 1


def known_divisions(client: Client, cluster: Cluster) -> None:
    """The county's divisions are entered, and all services have heard of them."""
    path = "/registry/v1/imports/divisions"
    client.done(cast.STATISTICS, "POST", path, act="divisions", data=DIVISIONS.read_bytes())
    settle(cluster)


def settle(cluster: Cluster) -> None:
    """Returns when every fact is published, heard and handled."""
    with cluster.driver("settle") as driver:
        driver.clock(cast.ADMIN)


def rows(cluster: Cluster, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a service's own database says."""
    with psycopg.connect(cluster.database_urls()[f"DAOHU_{service.upper()}_DATABASE_URL"]) as connection:
        return connection.execute(query, values).fetchall()


def a_fund(name: str) -> dict[str, Any]:
    return {
        "fund_no": name,
        "name": "专项扶贫资金",
        "level": "county",
        "year": 2016,
        "division": cast.COUNTY,
        "document_no": f"平财农〔2016〕{name}",
    }


def a_household(number: str) -> dict[str, Any]:
    """The file of a candidate who lives alone."""
    person = next(_people)
    first17 = f"{TEST_ID_AREA}{1950 + person // 336}{1 + person % 12:02}{1 + person // 12 % 28:02}001"
    head = {
        "name": "王试验",
        "sex": "1",
        "id_number": first17 + make_check_digit(first17),
        "relation": "02",
        "education": "80",
        "student": "01",
        "health": "01",
        "labour": "01",
        "insured": True,
    }
    return {
        "household_no": f"{VILLAGE}-{number}",
        "division": VILLAGE,
        "attribute": "01",
        "cause": "01",
        "housing": "01",
        "safe_water": True,
        "members": [head],
    }
