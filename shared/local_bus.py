"""LocalBus: the bus in one process, whose log lies in an SQLite file."""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shared import keyfiles
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
from shared.clock import Clock, SystemClock

RETAINED_RECORDS = 10_000
"""A partition of a LocalBus keeps this many records behind its end, and all that some group of its topic has not committed."""

TRIM_EVERY = 1_000
"""So many sent records apart LocalBus looks for records it need not keep."""

_TABLES = """
CREATE TABLE IF NOT EXISTS topic (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
    key TEXT NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    "group" TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
    PRIMARY KEY ("group", topic, partition)
) WITHOUT ROWID;
"""


class LocalBus:
    """A bus of one process whose log, partitions and group offsets live in an SQLite file, so that kill -9 loses nothing.

    sqlite3 runs on the loop's own thread (docs/decisions/0003). One process at a time may consume from the file.
    """

    def __init__(self, path: Path | str, *, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._connection: sqlite3.Connection | None = None
        self._groups: dict[str, _Group] = {}
        self._changed = asyncio.Event()
        self._sent = 0
        self.partitions: dict[str, int] = {}
        self.ends: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        keyfiles.own(str(self._path))
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(_TABLES)
        self._look()

    async def stop(self) -> None:
        self.wake()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def started(self) -> bool:
        return self._connection is not None

    async def health(self) -> str:
        return "ok" if self.started else "the bus is not started"

    async def topics(self) -> set[str]:
        self._look()
        return set(self.partitions)

    async def create_topics(
        self, topics: Iterable[str] | Mapping[str, int], partitions: int = DEFAULT_PARTITIONS
    ) -> None:
        wanted = topics if isinstance(topics, Mapping) else dict.fromkeys(topics, partitions)
        with self.transaction() as sql:
            sql.executemany("INSERT INTO topic VALUES (?, ?) ON CONFLICT DO NOTHING", wanted.items())
        self._look()

    def producer(self) -> "LocalProducer":
        return LocalProducer(self)

    def consumer(self, group: str, topics: Sequence[str]) -> "LocalConsumer":
        joined = self._groups.setdefault(group, _Group(self, group))
        joined.topics.update(topics)
        return LocalConsumer(self, joined, tuple(topics))

    def append(self, messages: Sequence[Message]) -> None:
        at = self._clock.now().isoformat()
        ends = dict(self.ends)
        rows = []
        for message in messages:
            partition = self._partition_of(message)
            offset = ends.get(partition, 0)
            ends[partition] = offset + 1
            headers = json.dumps(message.headers, ensure_ascii=False)
            rows.append((*partition, offset, message.key, message.value, headers, at))
        try:
            with self.transaction() as sql:
                sql.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        except BusError:
            self._look()
            raise
        self.ends = ends
        self._sent += len(rows)
        if self._sent >= TRIM_EVERY:
            self._sent = 0
            self._trim()
        self.wake()

    def fetch(self, tp: TopicPartition, offset: int, limit: int) -> list[Record]:
        with self.transaction() as sql:
            rows = sql.execute(
                'SELECT "offset", key, value, headers, at FROM record'
                ' WHERE topic = ? AND partition = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?',
                (*tp, offset, limit),
            ).fetchall()
        return [
            Record(*tp, at, key, value, json.loads(headers), datetime.fromisoformat(sent).astimezone(UTC))
            for at, key, value, headers, sent in rows
        ]

    def first_kept(self, tp: TopicPartition, since: datetime | None) -> int:
        """The offset of the oldest record kept, or of the first sent at or after `since`; the end when there is none."""
        with self.transaction() as sql:
            rows = sql.execute(
                'SELECT min("offset") FROM record WHERE topic = ? AND partition = ? AND at >= ?',
                (*tp, since.astimezone(UTC).isoformat() if since else ""),
            )
            [(first,)] = rows.fetchall()
        return self.ends.get(tp, 0) if first is None else first

    def committed(self, group: str) -> dict[TopicPartition, int]:
        with self.transaction() as sql:
            rows = sql.execute(
                'SELECT topic, partition, "offset" FROM committed WHERE "group" = ?', (group,)
            ).fetchall()
        return {(topic, partition): offset for topic, partition, offset in rows}

    def commit(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        with self.transaction() as sql:
            sql.executemany(
                'INSERT INTO committed VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "offset" = excluded."offset"',
                [(group, *tp, offset) for tp, offset in offsets.items()],
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction without an await in it, so that nobody else on the loop gets between. Raises BusError."""
        if self._connection is None:
            raise BusError("the bus is not started")
        try:
            self._connection.execute("BEGIN")
            yield self._connection
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise BusError(f"the log refused: {error}") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    async def news(self, timeout_s: float) -> None:
        """Returns when something was sent or partitions moved, or after `timeout_s` seconds."""
        await came(self._changed, timeout_s)

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        if topic not in self.partitions:
            self._look()
        if topic not in self.partitions:
            raise UnknownTopic(f"{topic}: no such topic; `daohu migrate` makes them")
        return [(topic, n) for n in range(self.partitions[topic])]

    def _partition_of(self, message: Message) -> TopicPartition:
        if len(message.value) > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(f"{message.topic}: {len(message.value)} bytes, allowed are {MAX_MESSAGE_BYTES}")
        places = self.partitions_of(message.topic)
        return places[partition_of(message.key, len(places))]

    def _look(self) -> None:
        with self.transaction() as sql:
            self.partitions = dict(sql.execute("SELECT name, partitions FROM topic").fetchall())
            ends = sql.execute('SELECT topic, partition, max("offset") + 1 FROM record GROUP BY topic, partition')
            self.ends = {(topic, partition): end for topic, partition, end in ends.fetchall()}

    def _trim(self) -> None:
        with self.transaction() as sql:
            done = {
                (group, topic, partition): offset
                for group, topic, partition, offset in sql.execute("SELECT * FROM committed").fetchall()
            }
            groups = {(group, topic) for group, topic, _ in done}
            groups |= {(group.name, topic) for group in self._groups.values() for topic in group.topics}
            keep = {}
            for (topic, partition), end in self.ends.items():
                # A group of the topic that has not committed in this partition needs it from the beginning.
                needed = [done.get((group, topic, partition), 0) for group, of in groups if of == topic]
                keep[topic, partition] = min([*needed, end - RETAINED_RECORDS])
            sql.executemany(
                'DELETE FROM record WHERE topic = ? AND partition = ? AND "offset" < ?',
                [(*tp, first) for tp, first in keep.items()],
            )


class LocalProducer:
    def __init__(self, bus: LocalBus) -> None:
        self._bus = bus

    async def send(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)  # nothing below gives way to others on the loop
        self._bus.append(messages)


class _Group:
    """Who of a group has which partition, and who should. A partition changes hands only when its owner has drained it."""

    def __init__(self, bus: LocalBus, name: str) -> None:
        self.bus, self.name = bus, name
        self.topics: set[str] = set()
        self.members: list[LocalConsumer] = []
        self._wanted: dict[TopicPartition, LocalConsumer] = {}

    def rebalance(self) -> None:
        topics = sorted({topic for member in self.members for topic in member.topics})
        self._wanted = {}
        for turn, tp in enumerate(tp for topic in topics for tp in self.bus.partitions_of(topic)):
            takers = [member for member in self.members if tp[0] in member.topics]
            self._wanted[tp] = takers[turn % len(takers)]
        self.hand_out()

    def wants(self, member: "LocalConsumer", tp: TopicPartition) -> bool:
        return self._wanted.get(tp) is member

    def hand_out(self) -> None:
        taken = {tp for member in self.members for tp in member.positions}
        free = self._wanted.keys() - taken
        if free:
            done = self.bus.committed(self.name)
            for tp in free:
                self._wanted[tp].positions[tp] = done.get(tp, 0)
        self.bus.wake()


class LocalConsumer:
    def __init__(self, bus: LocalBus, group: _Group, topics: tuple[str, ...]) -> None:
        self._bus, self._group, self.topics = bus, group, topics
        self._joined = self._closed = False
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self.positions: dict[TopicPartition, int] = {}

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        await asyncio.sleep(0)  # nothing below gives way to others on the loop while there are records
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            self._join()
            self._give_back(drained_only=False)
            records = self._fetch(max_records)
            left = deadline - asyncio.get_running_loop().time()
            if records or left <= 0:
                return records
            await self._bus.news(left)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        lost = [tp for tp in offsets if tp not in self.positions]
        if lost:
            raise CommitRefused(f"{self._group.name}: not the owner of {lost}")
        self._bus.commit(self._group.name, offsets)
        self._give_back(drained_only=True)

    def rewind(self, tp: TopicPartition, offset: int) -> None:
        if tp in self.positions:
            self.positions[tp] = offset

    def pause(self, tp: TopicPartition) -> None:
        self._paused.add(tp)

    def resume(self, tp: TopicPartition) -> None:
        self._paused.discard(tp)

    async def span(self, since: datetime | None = None) -> dict[TopicPartition, Span]:
        done = self._bus.committed(self._group.name)
        spans = {}
        for tp in (tp for topic in self.topics for tp in self._bus.partitions_of(topic)):
            first = self._bus.first_kept(tp, since)
            committed = done[tp] if tp in done else self._bus.first_kept(tp, None)
            spans[tp] = Span(first, committed, self._bus.ends.get(tp, 0))
        return spans

    async def lag(self) -> int:
        done = self._bus.committed(self._group.name)
        places = [tp for topic in self.topics for tp in self._bus.partitions_of(topic)]
        return sum(self._bus.ends.get(tp, 0) - done.get(tp, 0) for tp in places)

    async def close(self) -> None:
        self._closed = True
        self.positions.clear()
        if self._joined:
            self._joined = False
            self._group.members.remove(self)
            if self._bus.started:
                self._group.rebalance()

    def _join(self) -> None:
        if self._closed or not self._bus.started:
            raise BusError("this consumer or its bus is closed")
        if not self._joined:
            for topic in self.topics:
                self._bus.partitions_of(topic)
            self._joined = True
            self._group.members.append(self)
            self._group.rebalance()

    def _give_back(self, *, drained_only: bool) -> None:
        leaving = [tp for tp in self.positions if not self._group.wants(self, tp)]
        if leaving and drained_only:
            done = self._bus.committed(self._group.name)
            leaving = [tp for tp in leaving if done.get(tp, 0) >= self.positions[tp]]
        for tp in leaving:
            del self.positions[tp]
            self._paused.discard(tp)
        if leaving:
            self._group.hand_out()

    def _fetch(self, max_records: int) -> list[Record]:
        ready = [
            tp
            for tp, position in sorted(self.positions.items())
            if tp not in self._paused and self._bus.ends.get(tp, 0) > position
        ]
        records: list[Record] = []
        # Each poll begins with another partition and takes a share of each, so that a busy one cannot starve the others.
        self._turn += 1
        share = -(-max_records // max(1, len(ready)))
        for n in range(len(ready)):
            tp = ready[(self._turn + n) % len(ready)]
            left = max_records - len(records)
            if left and (found := self._bus.fetch(tp, self.positions[tp], min(share, left))):
                self.positions[tp] = found[-1].offset + 1
                records += found
        return records
