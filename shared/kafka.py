"""The bus on Apache Kafka. It waits through a broker's absence in place: nothing exits, nothing acknowledged is lost.

Delivery is at least once (docs/decisions/0011): a failed or late answer is sent again, and the inbox of the hearer knows it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as Place
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared import faults
from shared.bus import (
    DEFAULT_PARTITIONS,
    MAX_MESSAGE_BYTES,
    BusError,
    CommitRefused,
    Message,
    MessageTooLarge,
    Record,
    Span,
    TopicPartition,
    UnknownTopic,
    came,
    partition_of,
)
from shared.kafka_cluster import KafkaCluster, ended

START_S = 10.0
"""A producer or consumer reaches a broker within this, or tries anew."""

REQUEST_S = 40.0
"""Longer than REBALANCE_S: the answer to a join comes when the slowest member of the group has joined."""

SEND_S = 30.0
"""A send waits so long: a broker that was killed is back after 13 s, and nothing has to be sent twice."""

COMMIT_S = 5.0
"""A commit that did not come through is made again with a later poll."""

SESSION_S, HEARTBEAT_S = 10.0, 1.0
"""A member that died without a word loses its partitions after the first; a new one is noticed within the second."""

DRAIN_S, REBALANCE_S = 30.0, 35.0
"""A member that gives partitions back finishes its batch first; the group waits for it so long."""

POLL_INTERVAL_S = 600.0
"""A batch may take so long. A worker that makes no progress is ended long before, by its watchdog."""

FETCH_WAIT_S = 0.1
"""The broker holds an empty fetch so long; a record of a partition that is not in it waits for its end."""

POLL_GRACE_S = 1.0

BATCH_BYTES = MAX_MESSAGE_BYTES
"""Messages of one partition travel in one request up to here, uncompressed."""

log = structlog.get_logger()

# It repeats each failed connection several times a second. What matters of it is in our own log, and in `health`.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class KafkaBus:
    """`bootstrap_servers` is host:port[,…]; `replicas` is how many copies new topics have."""

    def __init__(self, bootstrap_servers: str, *, replicas: int = 1, client_id: str = "daohu") -> None:
        self._replicas = replicas
        self.common = {"bootstrap_servers": bootstrap_servers, "client_id": client_id}
        self.cluster = KafkaCluster(bootstrap_servers, client_id)
        self.started = False
        self._open: set[KafkaProducer | KafkaConsumer] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.started = False
        await asyncio.gather(*(each.close() for each in list(self._open)))
        await asyncio.gather(*self._leaving)  # also those that only now were let go
        await self.cluster.close()

    async def health(self) -> str:
        return await self.cluster.health()

    async def topics(self) -> set[str]:
        return await self.cluster.topics()

    async def create_topics(
        self, topics: Iterable[str] | Mapping[str, int], partitions: int = DEFAULT_PARTITIONS
    ) -> None:
        wanted = topics if isinstance(topics, Mapping) else dict.fromkeys(topics, partitions)
        await self.cluster.create(wanted, self._replicas)

    def producer(self) -> "KafkaProducer":
        producer = KafkaProducer(self)
        self._open.add(producer)
        return producer

    def consumer(self, group: str, topics: Sequence[str]) -> "KafkaConsumer":
        consumer = KafkaConsumer(self, group, tuple(topics))
        self._open.add(consumer)
        return consumer

    def closed(self, one: "KafkaProducer | KafkaConsumer") -> None:
        self._open.discard(one)

    def let_go(self, stop: Awaitable[None]) -> None:
        """Ends a client that failed beside the work, so that a new one need not wait for it."""
        task = asyncio.ensure_future(stop)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class KafkaProducer:
    """Idempotent, acknowledged by all replicas in sync. One send at a time, so that a failed one is not overtaken."""

    def __init__(self, bus: KafkaBus) -> None:
        self._bus = bus
        self._client: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if len(message.value) > MAX_MESSAGE_BYTES:
                raise MessageTooLarge(f"{message.topic}: {len(message.value)} bytes, allowed are {MAX_MESSAGE_BYTES}")
        async with self._turn:
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(await self._ready(), messages)
            except (KafkaError, OSError, TimeoutError) as error:
                # Whatever it was (fenced, out of sequence, unknown producer, no answer): a new one starts without a past.
                self._drop()
                raise BusError(f"not sent: {type(error).__name__}") from error
            except asyncio.CancelledError:
                self._drop()
                raise

    async def close(self) -> None:
        self._bus.closed(self)
        client, self._client = self._client, None
        if client is not None:
            await _end_producer(client)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._bus.let_go(_end_producer(client))

    async def _ready(self) -> AIOKafkaProducer:
        if not self._bus.started:
            raise BusError("the bus is not started")
        if self._client is None:
            client = AIOKafkaProducer(
                **self._bus.common,
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                max_batch_size=BATCH_BYTES,
                request_timeout_ms=_ms(SEND_S),
            )
            try:
                async with asyncio.timeout(START_S):
                    await client.start()
            except BaseException:
                self._bus.let_go(_end_producer(client))
                raise
            self._client = client
        return self._client

    async def _send(self, client: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        waiting: dict[Place, list[Message]] = defaultdict(list)
        places: dict[str, list[Place]] = {}
        for message in messages:
            if message.topic not in places:
                places[message.topic] = await self._places(client, message.topic)
            here = places[message.topic]
            waiting[here[partition_of(message.key, len(here))]].append(message)
        while waiting:
            # A batch of a partition goes when the one before it is acknowledged: no later message overtakes a failed one.
            sent = []
            for place, left in list(waiting.items()):
                batch, taken = _fill(client, left)
                sent.append(await client.send_batch(batch, place.topic, partition=place.partition))
                if taken == len(left):
                    del waiting[place]
                else:
                    waiting[place] = left[taken:]
            for future in sent:
                future.add_done_callback(_looked_at)
            await asyncio.wait(sent)
            for future in sent:
                future.result()

    async def _places(self, client: AIOKafkaProducer, topic: str) -> list[Place]:
        known = client.client.cluster.partitions_for_topic(topic)
        if known is None:
            if topic not in await self._bus.topics():
                raise UnknownTopic(f"{topic}: no such topic; `daohu migrate` makes them")
            known = await client.partitions_for(topic)
        return [Place(topic, n) for n in sorted(known)]


def _fill(client: AIOKafkaProducer, messages: Sequence[Message]) -> tuple[Any, int]:
    """A batch with as many of the messages as fit, and how many: at least the first."""
    batch = client.create_batch()
    for n, message in enumerate(messages):
        headers = [(name, text.encode()) for name, text in message.headers.items()]
        if batch.append(key=message.key.encode(), value=message.value, timestamp=None, headers=headers) is None:
            return batch, n
    return batch, len(messages)


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """So that a failure nobody waits for any more is no error of the loop."""
    if not future.cancelled():
        future.exception()


class KafkaConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One member of a group. A batch that a poll gave out is drained before its partitions go to another member."""

    def __init__(self, bus: KafkaBus, group: str, topics: tuple[str, ...]) -> None:
        self._bus, self._group, self._topics = bus, group, topics
        self._client: AIOKafkaConsumer | None = None
        self._joining: asyncio.Task[AIOKafkaConsumer] | None = None
        self._closed = False
        self._assigned, self._drained = asyncio.Event(), asyncio.Event()
        self._in_hand: dict[TopicPartition, int] = {}
        self._owed: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        if self._closed or not self._bus.started:
            raise BusError("this consumer or its bus is closed")
        self._done_with()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        try:
            client = await self._joined(timeout_s)
            await self._pay()
            if client is None:
                return []
            if not await came(self._assigned, max(0.0, deadline - loop.time())):
                # A join that the broker refuses is told on asking alone, and waits until it is asked.
                client._coordinator.check_errors()
                return []
            left_ms = max(1, _ms(deadline - loop.time()))
            async with asyncio.timeout(left_ms / 1000 + POLL_GRACE_S):  # a rebalance that begins now has no bound
                found = await client.getmany(timeout_ms=left_ms, max_records=max_records)
        except TimeoutError:
            return []
        except (KafkaError, OSError) as error:
            self._drop()
            raise BusError(f"{self._group}: {type(error).__name__}") from error
        records = [_record(one) for batch in found.values() for one in batch]
        self._in_hand = {(place.topic, place.partition): batch[-1].offset + 1 for place, batch in found.items()}
        if records:
            self._drained.clear()
        return records

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        ours = {tp: offset for tp, offset in offsets.items() if self._owns(tp)}
        await self._commit(ours)
        for tp, offset in ours.items():
            if offset >= self._in_hand.get(tp, 0):
                self._in_hand.pop(tp, None)
        if not self._in_hand:
            self._drained.set()
        if lost := offsets.keys() - ours.keys():
            raise CommitRefused(f"{self._group}: not the owner of {sorted(lost)}")

    def rewind(self, tp: TopicPartition, offset: int) -> None:
        if self._client is not None and self._owns(tp):
            self._client.seek(Place(*tp), offset)

    def pause(self, tp: TopicPartition) -> None:
        self._paused.add(tp)
        if self._client is not None and self._owns(tp):
            self._client.pause(Place(*tp))

    def resume(self, tp: TopicPartition) -> None:
        self._paused.discard(tp)
        if self._client is not None and self._owns(tp):
            self._client.resume(Place(*tp))

    async def span(self, since: datetime | None = None) -> dict[TopicPartition, Span]:
        return await self._bus.cluster.spans(self._group, self._topics, since)

    async def lag(self) -> int:
        return sum(span.end - span.committed for span in (await self.span()).values())

    async def close(self) -> None:
        self._closed = True
        self._bus.closed(self)
        self._done_with()
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait([self._joining])
            self._joining = None
        client, self._client = self._client, None
        if client is not None:
            await _end_consumer(client)

    async def on_partitions_revoked(self, revoked: set[Place]) -> None:
        """A rebalance begins; aiokafka goes on with it when this returns, and swallows what it raises."""
        self._assigned.clear()
        if not revoked:
            return
        faults.point(self._group.rpartition(".")[2], "rebalance")
        if not await came(self._drained, DRAIN_S):
            log.warning("partitions_given_back_undrained", group=self._group, after_s=DRAIN_S)

    async def on_partitions_assigned(self, assigned: set[Place]) -> None:
        ours = {(place.topic, place.partition) for place in assigned}
        self._paused &= ours
        self._owed.clear()  # what was not committed comes again; another member may be far beyond it
        if self._client is not None:
            self._client.pause(*(Place(*tp) for tp in self._paused))
        self._assigned.set()
        log.info("partitions_assigned", group=self._group, partitions=len(ours))

    def _done_with(self) -> None:
        self._in_hand = {}
        self._drained.set()

    def _owns(self, tp: TopicPartition) -> bool:
        return self._client is not None and Place(*tp) in self._client.assignment()

    async def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """What fails for want of a broker is owed, and paid with a later poll."""
        if not offsets:
            return
        assert self._client is not None
        try:
            async with asyncio.timeout(COMMIT_S):
                await self._client.commit({Place(*tp): offset for tp, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            raise CommitRefused(f"{self._group}: {type(error).__name__}") from error
        except (KafkaError, OSError, TimeoutError) as error:
            self._owed.update(offsets)
            raise BusError(f"{self._group}: not committed: {type(error).__name__}") from error
        for tp in offsets:
            self._owed.pop(tp, None)

    async def _pay(self) -> None:
        owed, self._owed = self._owed, {}
        try:
            await self._commit({tp: offset for tp, offset in owed.items() if self._owns(tp)})
        except CommitRefused:
            log.info("owed_offsets_refused", group=self._group)

    async def _joined(self, within_s: float) -> AIOKafkaConsumer | None:
        """The client, or None while it is still on its way. Raises BusError."""
        if self._client is not None:
            return self._client
        if self._joining is None:
            self._joining = asyncio.create_task(self._join())
        done, _ = await asyncio.wait([self._joining], timeout=within_s)
        if not done:
            return None
        joining, self._joining = self._joining, None
        return joining.result()

    async def _join(self) -> AIOKafkaConsumer:
        if missing := set(self._topics) - await self._bus.topics():
            raise UnknownTopic(f"{', '.join(sorted(missing))}: no such topic; `daohu migrate` makes them")
        client = AIOKafkaConsumer(
            **self._bus.common,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=_ms(SESSION_S),
            heartbeat_interval_ms=_ms(HEARTBEAT_S),
            rebalance_timeout_ms=_ms(REBALANCE_S),
            max_poll_interval_ms=_ms(POLL_INTERVAL_S),
            request_timeout_ms=_ms(REQUEST_S),
            fetch_max_wait_ms=_ms(FETCH_WAIT_S),
        )
        try:
            async with asyncio.timeout(START_S):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            self._bus.let_go(_end_consumer(client))
            raise BusError(f"{self._group}: {type(error).__name__}") from error
        except asyncio.CancelledError:
            self._bus.let_go(_end_consumer(client))
            raise
        self._client = client
        client.subscribe(self._topics, listener=self)
        return client

    def _drop(self) -> None:
        """The next poll joins anew."""
        self._assigned.clear()
        self._owed.clear()
        client, self._client = self._client, None
        if client is not None:
            self._bus.let_go(_end_consumer(client))


def _record(one: Any) -> Record:
    """Whatever another program has put there becomes a record, unreadable perhaps: it must reach the dead letters."""
    headers = {name: text.decode("utf-8", "replace") if text else "" for name, text in one.headers}
    at = datetime.fromtimestamp(one.timestamp / 1000, UTC)
    key = (one.key or b"").decode(errors="replace")
    return Record(one.topic, one.partition, one.offset, key, one.value or b"", headers, at)


async def _end_producer(client: AIOKafkaProducer) -> None:
    if not await ended(client.stop()):
        await ended(client._sender.close())  # it would go on for ever, and connect anew
        await ended(client.client.close())


async def _end_consumer(client: AIOKafkaConsumer) -> None:
    if not await ended(client.stop()):
        await ended(client._client.close())


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
