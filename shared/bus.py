"""The bus in Kafka's terms: topic, partition by key, group, offset, redelivery.

Code is written against the protocols `Bus`, `Producer` and `Consumer`; only a composition root names an implementation.
What every implementation must keep is told by tests/contracts/test_bus.py.
"""

import asyncio
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

DEFAULT_PARTITIONS = 6
MAX_MESSAGE_BYTES = 1_000_000
"""Of a value. Kafka's own default limit (message.max.bytes) lies just above."""

TopicPartition = tuple[str, int]


class BusError(Exception):
    """The bus cannot do it now. Whoever sends or consumes backs off and tries again."""


class UnknownTopic(BusError):
    """Topics are made by `daohu migrate`, never by a service that happens to use one."""


class MessageTooLarge(BusError):
    """A value over MAX_MESSAGE_BYTES; the outbox refuses such an event before it is recorded."""


class CommitRefused(BusError):
    """The partition belongs to another member of the group by now. Normal: the inbox makes the redelivery harmless."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent. Messages of one key stay in order."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """What is received: a message at its place in a partition. `at` is when it was sent (UTC)."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, str]
    at: datetime

    @property
    def tp(self) -> TopicPartition:
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds, as offsets: the first record, where the group goes on, and the place after the newest."""

    first: int
    committed: int
    end: int


def partition_of(key: str, partitions: int) -> int:
    """The partition of a topic where messages of this key go, on every bus."""
    return zlib.crc32(key.encode()) % partitions


class Producer(Protocol):
    async def send(self, messages: Sequence[Message]) -> None:
        """Returns when all are durable, in this order within each key. Raises BusError: then some may have been sent."""
        ...


class Consumer(Protocol):
    """One member of a group. It joins with its first poll; a new group begins at the oldest record."""

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """The next records of this member's partitions, in order in each; [] after `timeout_s` seconds without any.

        Polling again says that what was polled before is done with: partitions that move to another member go then.
        Raises BusError.
        """
        ...

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keeps for the group where to go on: the offset after the last one done. Raises BusError."""
        ...

    def rewind(self, tp: TopicPartition, offset: int) -> None:
        """The next poll gives this partition's records from `offset` on. Ignored when the partition is no longer ours."""
        ...

    def pause(self, tp: TopicPartition) -> None:
        """Polls leave this partition out until `resume`."""
        ...

    def resume(self, tp: TopicPartition) -> None: ...

    async def span(self, since: datetime | None = None) -> dict[TopicPartition, Span]:
        """Of every partition of its topics, whichever member has it; nobody need have joined. Raises BusError.

        `first` is the oldest record kept or, with `since`, the first one sent at or after it (`end` when there is none).
        A group that never committed in a partition goes on at the oldest record kept.
        """
        ...

    async def lag(self) -> int:
        """Records of the group's topics that the group has not committed, whichever member has them. Raises BusError."""
        ...

    async def close(self) -> None:
        """Leaves the group: its partitions go to the other members at once."""
        ...


class Bus(Protocol):
    async def start(self) -> None:
        """Returns also while the broker is away: whoever sends or polls then gets a BusError, and `health` says so."""
        ...

    async def stop(self) -> None: ...

    async def health(self) -> str:
        """ "ok", or what is the matter, for people: "waiting for Kafka"."""
        ...

    async def topics(self) -> set[str]:
        """The names of the topics there are. Raises BusError."""
        ...

    async def create_topics(
        self, topics: Iterable[str] | Mapping[str, int], partitions: int = DEFAULT_PARTITIONS
    ) -> None:
        """Makes those that do not exist yet; the others keep their partitions. Raises BusError."""
        ...

    def producer(self) -> Producer: ...

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer: ...


async def came(event: asyncio.Event, within_s: float) -> bool:
    """Waits until the event is set, or for so many seconds; answers whether it is."""
    try:
        return await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
