"""What is asked of Kafka beside sending and consuming: which topics there are, how far a group has come, is it there at all."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from aiokafka import TopicPartition as Place
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.offset import OffsetRequest

from shared.bus import BusError, Span, TopicPartition, UnknownTopic
from shared.retention import IN_TOPICS

ASK_S, ASK_TRIES = 5.0, 3
"""A question waits so long for its answer, and is put so often: of three brokers one may be away."""

CREATE_S, LOOK_EVERY_S = 60.0, 0.1
"""New topics are known to every broker within this."""

HEALTH_S = 1.0
"""An answer about the broker's health is this old at most."""

MIN_IN_SYNC = 2
"""Of three replicas and more: one broker may go, and nothing acknowledged lies on one disk alone."""

LATEST, EARLIEST = -1, -2
ANY_REPLICA = -1
READ_UNCOMMITTED = 0

T = TypeVar("T")
log = structlog.get_logger()


class KafkaCluster:
    """One connection for questions, made when the first is asked and anew after one that failed."""

    def __init__(self, bootstrap_servers: str, client_id: str) -> None:
        self._servers, self._client_id = bootstrap_servers, client_id
        self._admin: AIOKafkaAdminClient | None = None
        self._turn = asyncio.Lock()
        self._healthy = False
        self._asked_at = self._heard_at = float("-inf")

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await ended(admin.close())

    async def health(self) -> str:
        """ "ok" or, for people, that we wait and since when."""
        if time.monotonic() - self._asked_at > HEALTH_S:
            self._asked_at = time.monotonic()
            try:
                await self.topics()
                self._healthy = True
            except BusError:
                self._healthy = False
        if self._healthy:
            return "ok"
        if self._heard_at == float("-inf"):
            return "waiting for Kafka"
        return f"waiting for Kafka, last heard of {time.monotonic() - self._heard_at:.0f} s ago"

    async def topics(self) -> set[str]:
        """Raises BusError, as all questions do."""
        return set(await self._ask(lambda admin: admin.list_topics()))

    async def create(self, topics: Mapping[str, int], replicas: int) -> None:
        """Name → partitions. Those that exist keep theirs."""
        kept = {"retention.ms": str(IN_TOPICS // timedelta(milliseconds=1))}
        if replicas > MIN_IN_SYNC:
            kept["min.insync.replicas"] = str(MIN_IN_SYNC)
        there = await self.topics()
        new = [NewTopic(name, n, replicas, topic_configs=kept) for name, n in topics.items() if name not in there]
        if not new:
            return
        answer = await self._ask(lambda admin: admin.create_topics(new), within_s=CREATE_S)
        for name, code, *text in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise BusError(f"{name} cannot be made: {for_code(code).__name__} {' '.join(map(str, text))}")
        for _ in range(int(CREATE_S / LOOK_EVERY_S)):
            if topics.keys() <= await self.topics():
                log.info("topics_made", topics=len(new), replicas=replicas)
                return
            await asyncio.sleep(LOOK_EVERY_S)
        raise BusError("the new topics are not known to every broker")

    async def spans(self, group: str, topics: Sequence[str], since: datetime | None) -> dict[TopicPartition, Span]:
        """Of every partition of the topics. Raises UnknownTopic too."""
        leaders = await self._leaders(topics)
        done = await self._ask(lambda admin: admin.list_consumer_group_offsets(group))
        first, end = await self._offsets(leaders, EARLIEST), await self._offsets(leaders, LATEST)
        begin = await self._offsets(leaders, int(since.timestamp() * 1000)) if since else first
        spans = {}
        for tp in leaders:
            committed = done[Place(*tp)].offset if Place(*tp) in done else -1
            spans[tp] = Span(begin[tp] if begin[tp] >= 0 else end[tp], max(committed, first[tp]), end[tp])
        return spans

    async def _leaders(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Partition → the broker that has it."""
        if missing := set(topics) - await self.topics():
            raise UnknownTopic(f"{', '.join(sorted(missing))}: no such topic; `daohu migrate` makes them")
        found = await self._ask(lambda admin: admin.describe_topics(list(topics)))
        return {(topic["topic"], p["partition"]): p["leader"] for topic in found for p in topic["partitions"]}

    async def _offsets(self, leaders: Mapping[TopicPartition, int], at_ms: int) -> dict[TopicPartition, int]:
        """Partition → offset of the first record sent at that time or later, or LATEST, EARLIEST; -1 when there is none."""
        wanted: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for (topic, partition), leader in leaders.items():
            wanted[leader][topic].append((partition, at_ms))
        offsets: dict[TopicPartition, int] = {}
        for leader, parts in wanted.items():
            request = OffsetRequest(ANY_REPLICA, READ_UNCOMMITTED, list(parts.items()))
            # aiokafka offers this question on consumers alone, and only after they have begun to fetch.
            answer = await self._ask(partial(_put, leader, request))
            for topic, answers in answer.topics:
                for partition, code, _, offset in answers:
                    if code:
                        raise BusError(f"{topic} {partition}: {for_code(code).__name__}")
                    offsets[topic, partition] = offset
        return offsets

    async def _ask(self, question: Callable[[Any], Awaitable[T]], within_s: float = ASK_S) -> T:
        """One at a time. A connection that fails is made anew, to whichever broker is there then."""
        async with self._turn:
            try:
                async with asyncio.timeout(within_s):
                    for _ in range(ASK_TRIES - 1):
                        try:
                            return await self._answer(question)
                        except (KafkaError, OSError):
                            await self.close()
                    return await self._answer(question)
            except (KafkaError, OSError, TimeoutError) as error:
                await self.close()
                raise BusError(f"Kafka does not answer: {type(error).__name__}") from error

    async def _answer(self, question: Callable[[Any], Awaitable[T]]) -> T:
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(
                bootstrap_servers=self._servers, client_id=self._client_id, request_timeout_ms=int(ASK_S * 1000)
            )
            await self._admin.start()
        answer = await question(self._admin)
        self._heard_at = time.monotonic()
        return answer


async def _put(leader: int, request: OffsetRequest, admin: AIOKafkaAdminClient) -> Any:
    return await admin._client.send(leader, request)


STOP_S = 3.0
"""Whatever ends has so long for it; aiokafka's own stops have no bound."""


async def ended(stop: Awaitable[None]) -> bool:
    """Waits for a stop, STOP_S at most; answers whether it came to its end."""
    try:
        await asyncio.wait_for(stop, STOP_S)
        return True
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("kafka_stop_cut_short", error=type(error).__name__)
        return False
