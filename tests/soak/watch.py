"""What is sampled while the load runs: memory, open files, connections, queues; and rows and bytes of every table."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from services.catalogue import NAMES
from tests.integration.cluster import Cluster
from tests.servers import family
from tests.soak.growth import RULES

Connection = psycopg.Connection[tuple[Any, ...]]

HEARING = [name for name in NAMES if find_spec(f"services.{name}.consumers")]
"""The services that hear of others' events."""

EVERY_S = 1.0
SCRAPE_S = 5.0
MIB = 1 << 20

CONNECTIONS = """select application_name, count(*) from pg_stat_activity
where backend_type = 'client backend' and application_name like 'daohu-%' group by 1"""
UNPUBLISHED, LAG = "daohu_outbox_unpublished", "daohu_consumer_lag"
OLDEST_UNPUBLISHED = "select min(id) from outbox where published_at is null"


@dataclass(slots=True)
class Series:
    """Samples: seconds of the monotonic clock, and values."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        self.times.append(at)
        self.values.append(value)

    def since(self, begin: float) -> "Series":
        pairs = [(at, value) for at, value in zip(self.times, self.values, strict=True) if at >= begin]
        return Series([at for at, _ in pairs], [value for _, value in pairs])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a service. `oldest`: the least value of its rule's column, if it has a period."""

    rows: int
    mib: float
    oldest: datetime | None


class Watch:
    """Samples in a thread of its own. Series by what they are: `memory_mib`, `files`, `connections`, `outbox_age_s`, `lag`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.memory_mib: dict[str, Series] = defaultdict(Series)
        self.files: dict[str, Series] = defaultdict(Series)
        self.connections: dict[str, Series] = defaultdict(Series)
        self.outbox_age_s: dict[str, Series] = defaultdict(Series)
        """Real seconds for which the oldest unpublished fact has been seen unpublished: the county's clock runs faster."""
        self.lag: dict[str, Series] = defaultdict(Series)
        self.failures: list[str] = []
        self._seen: dict[str, tuple[int, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def tables(self) -> dict[str, Table]:
        """`service.table` → its rows, size with indexes, and oldest row, counted now."""
        found = {}
        for service in NAMES:
            with self._connect(service) as connection:
                names = [
                    row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")
                ]
                for name in sorted(names):
                    if name == f"{service}_version":  # of the migrations
                        continue
                    rule = RULES.get(name)
                    oldest = sql.Identifier(rule.column) if rule and rule.column else sql.NULL
                    query = sql.SQL("select count(*), pg_total_relation_size({}), min({}) from {}").format(
                        sql.Literal(f'"{name}"'), oldest, sql.Identifier(name)
                    )
                    row = connection.execute(query).fetchone()
                    assert row is not None
                    found[f"{service}.{name}"] = Table(row[0], row[1] / MIB, row[2])
        return found

    def queued(self) -> float:
        """Facts not published and records not taken, of all services; infinite while one cannot tell."""
        return sum(self._gauge(service, UNPUBLISHED) for service in NAMES) + sum(self._lags().values())

    def _run(self) -> None:
        scraped = 0.0
        try:
            with psycopg.connect(self._cluster.postgres.admin_url, autocommit=True) as server:
                own = {service: self._connect(service) for service in NAMES}
                while not self._over.wait(EVERY_S):
                    now = time.monotonic()
                    self._look_at_processes(now)
                    for name, count in server.execute(CONNECTIONS):
                        self.connections[name].add(now, count)
                    for service, connection in own.items():
                        self._look_at_outbox(now, service, connection)
                    if now - scraped >= SCRAPE_S:
                        scraped = now
                        for service, lag in self._lags().items():
                            self.lag[service].add(now, lag)
                for connection in own.values():
                    connection.close()
        except Exception as error:
            self.failures.append(f"watch: {type(error).__name__}: {error}")

    def _look_at_processes(self, now: float) -> None:
        for name, process in self._cluster.processes.items():
            pids = family(process.pid)
            self.memory_mib[name].add(now, sum(_memory_kib(pid, "VmRSS") for pid in pids) / 1024)
            self.files[name].add(now, sum(_files(pid) for pid in pids))
        # Of PostgreSQL the private memory: each process also shows the buffers they share.
        server = family(self._cluster.postgres.pid)
        self.memory_mib["postgres"].add(now, sum(_memory_kib(pid, "RssAnon") for pid in server) / 1024)
        self.memory_mib["kafka"].add(now, _memory_kib(self._cluster.kafka.pid(1), "VmRSS") / 1024)

    def _look_at_outbox(self, now: float, service: str, connection: Connection) -> None:
        row = connection.execute(OLDEST_UNPUBLISHED).fetchone()
        oldest = row[0] if row else None
        if oldest is None:
            self._seen.pop(service, None)
        elif self._seen.get(service, (0, 0.0))[0] != oldest:
            self._seen[service] = (oldest, now)
        self.outbox_age_s[service].add(now, now - self._seen[service][1] if service in self._seen else 0.0)

    def _lags(self) -> dict[str, float]:
        return {service: self._gauge(service, LAG) for service in HEARING}

    def _gauge(self, service: str, name: str) -> float:
        """A gauge of a service's worker; infinite when its look-up failed, so that it is not shown."""
        [worker] = self._cluster.of(f"{service}-worker")
        answer = httpx.get(f"http://127.0.0.1:{worker.port}/{service}/metrics", timeout=10, trust_env=False)
        answer.raise_for_status()
        samples = (s for kind in text_string_to_metric_families(answer.text) for s in kind.samples)
        return next((sample.value for sample in samples if sample.name == name), math.inf)

    def _connect(self, service: str) -> Connection:
        return psycopg.connect(self._cluster.postgres.url(f"daohu_{service}"), autocommit=True)


def _memory_kib(pid: int, what: str) -> int:
    """0 when it has ended meanwhile."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0
