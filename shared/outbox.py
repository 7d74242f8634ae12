"""Facts leave a service here: rows written in the transaction that made them true, then published by one relay.

Handbook: architecture.md 2. The rows stay: with their dense `position` they are the change feeds of the APIs.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import ARRAY, BigInteger, bindparam, func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import faults, telemetry
from shared.bus import MAX_MESSAGE_BYTES, Bus, BusError, Message, came
from shared.clock import Clock, SystemClock
from shared.db import Database, Instant, in_area
from shared.errors import Gone
from shared.events.base import Envelope, Event
from shared.metrics import RELAY_ACTIVE, RELAY_FAILURES, RELAY_PUBLISHED
from shared.rows import insert_rows
from shared.scope import Area
from shared.tables import outbox

RELAY_BATCH = 500
"""Rows a send."""

MAX_UNMARKED = 4 * RELAY_BATCH
"""Rows sent and not marked yet, at most: what a takeover sends again."""

IDLE_FIRST_S, IDLE_MAX_S = 0.002, 0.250
"""How long an idle relay sleeps: first, then double each time, at most."""

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 5.0
"""After a failure of bus or database, the same way."""

STANDBY_S = 1.0
"""How often a relay looks whether the active one of its service has gone."""

HELD_IDLE_S, TOUCH_S = 3.5, 0.5
"""PostgreSQL ends the active relay's session, and with it the lock, when it hears nothing of it for the first: its machine has
vanished or its process stands still. It is heard of every second one. With STANDBY_S a standby takes over within 5 s.
"""

STOP_S = 10.0
"""A stop waits so long for the batch in hand."""

FEED_LIMIT = 500
"""Rows of a change feed in one answer, at most."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fact:
    """An event with its envelope: what happened, and who, where and when."""

    event: Event
    envelope: Envelope


async def append(tx: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Records facts in the transaction that made them true. Call it after the aggregates' own rows are written.

    Raises ValueError for an event over MAX_MESSAGE_BYTES: a bus would refuse it for ever.
    """
    if facts:
        await insert_rows(tx, outbox, [row_of(fact) for fact in facts])


def row_of(fact: Fact) -> dict[str, Any]:
    """A fact as its row of the outbox. Raises ValueError as `append` does; the ledger writes these rows by a statement of its own."""
    body = fact.event.model_dump_json().encode()
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{fact.envelope.type}: {len(body)} bytes, allowed are {MAX_MESSAGE_BYTES}")
    return {
        "event_id": fact.envelope.id,
        "topic": fact.event.topic,
        "key": fact.envelope.subject,
        "type": fact.envelope.type,
        "headers": fact.envelope.headers(),
        "body": body,
        "division": fact.envelope.division,
        "recorded_at": fact.envelope.time,
    }


@dataclass(frozen=True, slots=True)
class Change:
    """One row of a change feed. `position` is the cursor: dense, in the order in which the facts were published."""

    position: int
    event_id: UUID
    type: str
    key: str
    division: str
    recorded_at: datetime
    body: bytes


async def feed(tx: AsyncConnection, topic: str, area: Area, after: int, limit: int) -> list[Change]:
    """Published facts of a topic in the area with a position over `after`, in order, at most min(limit, FEED_LIMIT).

    Raises Gone when some that followed `after` are no longer kept (retention.PUBLISHED); 0 starts with what there is.
    """
    c = outbox.c
    if after and after + 1 < (await tx.scalar(_FIRST_POSITION) or 0):
        raise Gone("This cursor is too old. Take the feed from its start, without a cursor, and read the list anew.")
    rows = await tx.execute(
        select(c.position, c.event_id, c.type, c.key, c.division, c.recorded_at, c.body)
        .where(c.topic == topic, c.position > after, in_area(c.division, area))
        .order_by(c.position)
        .limit(min(limit, FEED_LIMIT))
    )
    return [Change(*row) for row in rows]


_FIRST_UNPUBLISHED = select(outbox.c.id).where(outbox.c.published_at.is_(None)).order_by(outbox.c.id).limit(1)
_BATCH = (
    select(outbox.c.id, outbox.c.topic, outbox.c.key, outbox.c.body, outbox.c.headers)
    .where(outbox.c.published_at.is_(None))
    .order_by(outbox.c.id)
    .limit(RELAY_BATCH)
)
_BATCH_BESIDES = _BATCH.where(outbox.c.id != func.all(bindparam("ids", type_=ARRAY(BigInteger))))
_FIRST_POSITION = select(func.min(outbox.c.position))
_LAST_POSITION = select(func.max(outbox.c.position))
_MARK = (
    update(outbox)
    .where(outbox.c.id == bindparam("row_id"))
    .values(published_at=bindparam("now"), position=bindparam("place"))
)
_MARK_ALL = text(
    """
    UPDATE outbox SET published_at = :now, position = start.last + marked.n
    FROM unnest(:ids) WITH ORDINALITY AS marked (id, n), (SELECT coalesce(max(position), 0) AS last FROM outbox) AS start
    WHERE outbox.id = marked.id
    """
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)), bindparam("now", type_=Instant()))
"""On PostgreSQL, one statement for a batch."""
_TAKE_LOCK = text("SELECT pg_try_advisory_lock(:number)")
_END_WHEN_SILENT = text(f"SET idle_session_timeout = {int(HELD_IDLE_S * 1000)}")


class _LockLost(Exception):
    """The session that held the lock has ended; SQLAlchemy would go on with a new one, without the lock."""


class Relay:
    """Publishes one service's facts in the order of their ids, at least once. One relay a service is active at a time."""

    def __init__(self, database: Database, bus: Bus, service_name: str, *, clock: Clock | None = None) -> None:
        self._database, self._service, self._clock = database, service_name, clock or SystemClock()
        self._producer = bus.producer()
        self._spans = telemetry.spans(service_name)
        self._news, self._stopping, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._failures = 0
        self._number = int.from_bytes(hashlib.sha256(f"relay {service_name}".encode()).digest()[:8], signed=True)
        self._held: AsyncConnection | None = None
        self._touching: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._unmarked: list[int] = []
        self._sent, self._marked, self._all_sent = asyncio.Event(), asyncio.Event(), False

    async def run(self) -> None:
        """Until `stop`. Failures of bus and database are waited out; any other error ends it."""
        self._runner = asyncio.current_task()
        RELAY_ACTIVE.labels(self._service).set(0)
        try:
            while not self._stopping.is_set():
                try:
                    async with self._alone():
                        await self._publish_all()
                except (BusError, OSError, DBAPIError, PoolTimeout, _LockLost) as error:
                    delay = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 10))
                    self._failures += 1
                    RELAY_FAILURES.labels(self._service).inc()
                    RELAY_ACTIVE.labels(self._service).set(0)
                    log.warning("relay_waits", service=self._service, error=type(error).__name__, tries=self._failures)
                    await came(self._stopping, delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        finally:
            RELAY_ACTIVE.labels(self._service).set(0)
            self._ended.set()

    async def stop(self) -> None:
        """Ends after the batch in hand, or by cancellation after STOP_S."""
        self._stopping.set()
        self.wake()
        if self._runner is not None and not await came(self._ended, STOP_S):
            self._runner.cancel()

    def wake(self) -> None:
        """A transaction of this process has committed: look at once instead of at the next poll."""
        self._news.set()

    async def unpublished(self) -> int:
        """Facts recorded and not yet known to be published."""
        async with self._database.read() as tx:
            count = await tx.scalar(select(func.count()).select_from(outbox).where(outbox.c.published_at.is_(None)))
        return count or 0

    async def all_out(self) -> bool:
        """Whether every recorded fact is known to be published: cheaper than counting those that are not."""
        async with self._database.read() as tx:
            return (await tx.execute(_FIRST_UNPUBLISHED)).first() is None

    async def publish_once(self) -> int:
        """Publishes one batch and marks it; answers how many rows. A crash in between sends the batch again."""
        async with self._database.read() as tx:
            ids = await self._send_next(tx)
        if ids:
            await self._mark(ids)
        return len(ids)

    async def _send_next(self, tx: AsyncConnection) -> list[int]:
        """Sends the next batch, without those that were sent and are being marked; answers the ids of its rows."""
        if self._unmarked:
            rows = (await tx.execute(_BATCH_BESIDES, {"ids": self._unmarked})).all()
        else:
            rows = (await tx.execute(_BATCH)).all()
        if not rows:
            return []
        parents = [row.headers.get("traceparent", "") for row in rows]
        with self._spans.together("publish", parents, kind=SpanKind.PRODUCER):
            await self._producer.send([Message(row.topic, row.key, row.body, row.headers) for row in rows])
        faults.point(self._service, "relay_after_send")
        return [row.id for row in rows]

    async def _mark(self, ids: list[int]) -> None:
        now = self._clock.now()
        if self._database.sqlite:
            async with self._database.write() as tx:
                last = await tx.scalar(_LAST_POSITION) or 0
                await tx.execute(_MARK, [{"row_id": id, "now": now, "place": last + n} for n, id in enumerate(ids, 1)])
        else:
            async with self._locked() as tx:
                await tx.execute(_MARK_ALL, {"ids": ids, "now": now})
        RELAY_PUBLISHED.labels(self._service).inc(len(ids))

    async def _publish_all(self) -> None:
        RELAY_ACTIVE.labels(self._service).set(not self._stopping.is_set())
        if self._database.sqlite:
            await self._until_stopped(self.publish_once)
            return
        self._unmarked, self._all_sent = [], False
        marking = asyncio.create_task(self._mark_what_was_sent())
        try:
            async with self._database.writer.connect() as pooled:
                tx = await pooled.execution_options(isolation_level="AUTOCOMMIT")
                await self._until_stopped(lambda: self._send_ahead(tx, marking))
        finally:
            self._all_sent = True
            self._sent.set()
            await marking

    async def _until_stopped(self, publish: Callable[[], Awaitable[int]]) -> None:
        """At once while rows come, then ever more seldom."""
        idle = IDLE_FIRST_S
        while not self._stopping.is_set():
            self._news.clear()
            published = await publish()
            self._failures = 0
            if published:
                idle = IDLE_FIRST_S
            else:
                await came(self._news, idle)
                idle = min(IDLE_MAX_S, idle * 2)

    async def _send_ahead(self, tx: AsyncConnection, marking: asyncio.Task[None]) -> int:
        """A row does not wait until those before it are marked: that is a commit of its own."""
        if marking.done() or self._touching is None or self._touching.done():
            raise _LockLost
        if len(self._unmarked) > MAX_UNMARKED:
            self._marked.clear()
            return int(await came(self._marked, IDLE_MAX_S))
        ids = await self._send_next(tx)
        if ids:
            self._unmarked = [*self._unmarked, *ids]
            self._sent.set()
        return len(ids)

    async def _mark_what_was_sent(self) -> None:
        """In the order of sending, everything that waits in one statement. Ends when all is sent and marked."""
        while self._unmarked or not self._all_sent:
            await self._sent.wait()
            self._sent.clear()
            if ids := self._unmarked:
                await self._mark(ids)
                self._unmarked = self._unmarked[len(ids) :]
                self._marked.set()
                self._sent.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Waits until this is the service's active relay, or is to stop. SQLite belongs to one process: there it always is."""
        if self._database.sqlite:
            yield
            return
        async with self._database.writer.connect() as pooled:
            connection = await pooled.execution_options(isolation_level="AUTOCOMMIT")
            try:
                await connection.execute(_END_WHEN_SILENT)
                while not self._stopping.is_set():
                    if await connection.scalar(_TAKE_LOCK, {"number": self._number}):
                        self._held, self._touching = connection, asyncio.create_task(self._touch())
                        log.info("relay_active", service=self._service)
                        break
                    await came(self._stopping, STANDBY_S)
                yield
            finally:
                touching, self._held, self._touching = self._touching, None, None
                if touching is not None:
                    touching.cancel()
                # A pooled connection would keep the lock: only its end gives the lock back for certain.
                await connection.invalidate()

    async def _touch(self) -> None:
        """Lets PostgreSQL know that this relay lives, also while a send takes long. Ends when the session has: then so does the lock."""
        with suppress(DBAPIError, OSError, _LockLost):
            while True:
                await asyncio.sleep(TOUCH_S)
                async with self._locked() as tx:
                    await tx.execute(select(1))

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[AsyncConnection]:
        """The connection that holds the lock, where each statement is a transaction: without the lock nothing is marked."""
        if self._held is None:  # a batch published by hand
            async with self._database.write() as tx:
                yield tx
        else:
            async with self._turn:
                if self._held.invalidated:
                    raise _LockLost
                yield self._held
