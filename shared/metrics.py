"""Metrics (Prometheus): every number a service shows, by name. What each means and when to act: docs/operations.md.

Counters and histograms are counted where things happen. Gauges of the database are looked up when somebody scrapes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

LOOK_EVERY_S = 1.0
"""However often it is scraped, the database is asked at most once in so many seconds."""

LOOK_SECONDS = 2.0
"""A look that takes longer is given up: its gauges are absent then."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COMMANDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(name, says, ("service", *labels), registry=REGISTRY)


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(name, says, ("service", *labels), registry=REGISTRY)


def _histogram(name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, says, ("service", *labels), buckets=buckets, registry=REGISTRY)


REQUESTS = _counter("daohu_http_requests_total", "Requests answered", "method", "route", "status")
REFUSALS = _counter("daohu_refusals_total", "Requests refused by a rule", "code")
CONNECTIONS_REFUSED = _counter(
    "daohu_connections_refused_total", "Connections refused or cut before any app heard", "code"
)
REQUEST_SECONDS = _histogram("daohu_http_request_seconds", "Time to the end of the answer", _SECONDS, "method", "route")

OUTBOX_UNPUBLISHED = _gauge("daohu_outbox_unpublished", "Facts recorded and not known to be published (capped)")
OUTBOX_AGE = _gauge("daohu_outbox_oldest_age_seconds", "Age of the oldest of them")
RELAY_PUBLISHED = _counter("daohu_relay_published_total", "Facts published")
RELAY_FAILURES = _counter("daohu_relay_failures_total", "Rounds of the relay that bus or database ended")
RELAY_ACTIVE = _gauge("daohu_relay_active", "1 in the process whose relay is the active one of its service")

CONSUMER_LAG = _gauge("daohu_consumer_lag", "Records of its topics that the group has not committed")
CONSUMER_POLL_AGE = _gauge("daohu_consumer_last_poll_age_seconds", "Since the consumer loop last made progress")
CONSUMER_EVENTS = _counter("daohu_consumer_events_total", "Events done with or put off", "outcome")
DEAD_LETTERS = _gauge("daohu_dead_letters", "Events that wait for a person", "state")

LEDGER_BATCH_COMMANDS = _histogram(
    "daohu_ledger_batch_commands", "Commands of one transaction of its writer", _COMMANDS
)
LEDGER_WAITING = _gauge("daohu_ledger_waiting", "Commands that wait for its writer")
LEDGER_IN_FLIGHT = _gauge("daohu_ledger_batches_in_flight", "Batches handed to the database and not answered yet")
LEDGER_REDONE = _counter("daohu_ledger_batches_redone_total", "Batches that had to be written again")
LEDGER_REFUSED = _counter("daohu_ledger_refused_total", "Commands refused", "code")
LEDGER_UNSEALED = _gauge("daohu_ledger_unsealed_seconds", "Age of the oldest entry that is not in the signed log")

SMS_MESSAGES = _gauge("daohu_sms_messages", "Prompts of this week and the last, by where they stand", "state")
SMS_CALLS = _counter("daohu_sms_calls_total", "Calls of the gateway by what it answered", "outcome")

JOB_SUCCESS = _gauge(
    "daohu_job_last_success_timestamp_seconds", "When a job last ended well, or its process began (Unix time)", "name"
)
JOB_FAILURES = _counter("daohu_job_failures_total", "Runs of a job that raised", "name")

ISSUER_KEYS_AGE = _gauge(
    "daohu_issuer_keys_age_seconds", "Since an OpenID provider last showed its keys, +Inf when it never did", "issuer"
)

DB_IN_USE = _gauge("daohu_db_connections_in_use", "Connections handed out", "pool")
DB_MAX = _gauge("daohu_db_connections_max", "Connections the pool may hand out", "pool")

LOOK_FAILURES = _counter("daohu_look_failures_total", "Looks given up while somebody scraped", "look")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a look found for one gauge; `labels` follow the service's name."""

    gauge: Gauge
    value: float
    labels: tuple[str, ...] = ()


Look = Callable[[], Awaitable[Iterable[Reading]]]
"""Fills gauges when somebody scrapes: one or two bounded queries, never a scan of a table that grows."""


class Looks:
    """The looks of a service. A gauge whose look failed is absent, so that no old number stands for the present."""

    def __init__(self, service: str, looks: Mapping[str, Look]) -> None:
        self._service, self._looks = service, dict(looks)
        self._lock = asyncio.Lock()
        self._fresh_until = 0.0
        self._shown: set[tuple[Gauge, tuple[str, ...]]] = set()

    async def take(self) -> None:
        """Brings the gauges up to date, unless that was done a moment ago."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            if loop.time() < self._fresh_until:
                return
            shown = set()
            for name, look in self._looks.items():
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        readings = list(await look())
                except Exception as error:  # a scrape shows what can be seen, whatever is wrong
                    LOOK_FAILURES.labels(self._service, name).inc()
                    log.warning("look_failed", service=self._service, look=name, error=type(error).__name__)
                    continue
                for reading in readings:
                    labels = (self._service, *reading.labels)
                    reading.gauge.labels(*labels).set(reading.value)
                    shown.add((reading.gauge, labels))
            for gauge, labels in self._shown - shown:
                gauge.remove(*labels)
            self._shown = shown
            self._fresh_until = loop.time() + LOOK_EVERY_S


class _Of:
    """The registry as one service shows it: what is labelled with another's name is left out."""

    def __init__(self, service: str) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        for family in REGISTRY.collect():
            family.samples = [s for s in family.samples if s.labels.get("service", self._service) == self._service]
            if family.samples:
                yield family


def text(service: str | None = None) -> bytes:
    """The metrics of a service in Prometheus' text format, or of all that run in this process."""
    return generate_latest(REGISTRY if service is None else _Of(service))
