"""The consumer loop of a service: a batch is one transaction; what fails is retried, then dead, and its key waits.

Handbook: architecture.md 3 (failures). Delivery is at least once; the inbox makes the effect once.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import dead_letters, faults, telemetry
from shared.bus import Bus, BusError, Consumer, Record, TopicPartition, came
from shared.clock import Clock, SystemClock
from shared.db import Database
from shared.dead_letters import DEAD, DISCARDED, PARKED, RETRIED, DeadLetter, list_dead, read_dead
from shared.events.base import REGISTRY, Envelope, Event
from shared.failures import backoff, name_of, transient
from shared.heard import Heard, Unreadable, envelope_of, event_of
from shared.inbox import unseen
from shared.metrics import CONSUMER_EVENTS
from shared.topics import group_of

if TYPE_CHECKING:
    from shared.work import Work

__all__ = ["Group", "Handler", "Heard", "NotYet", "TooManyDeadLetters", "list_dead", "read_dead"]

MAX_BATCH = 500
"""Records a transaction. The writer of an SQLite database is held so long."""

POLL_S = 0.25
"""An idle poll; also how long a stop waits for one."""

MAX_TRIES = 3
"""Of a handler, before its event is a dead letter."""

NOT_YET_S = 60.0
"""So long an event may wait for a fact it builds on (`NotYet`)."""

NOT_YET_BACKOFF_S = 0.25
"""At most between looks for that fact."""

RATE_WINDOW, RATE_MAX_DEAD = 100, 20
"""More dead letters than that among the last so many records: the release is bad, not the events."""

RATE_MEMORY = timedelta(minutes=10)
"""A group that is started anew counts the dead letters of so long before, or each restart would put so many more aside."""

STOP_S = 10.0
"""A stop waits so long for the batch in hand."""

SLOW_S = 30.0
"""A loop that made no progress for so long is not healthy any more."""

TAKEN, KNOWN, PASSED = "taken", "known", "passed over"
"""What became of a record, beside dead and parked: it took effect, it had before, nobody here listens to it."""

PUT_OFF = "put off"
"""Not done with: its partition waits, and it is tried again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Handler:
    """What a service does when it hears of an event: one of the two, called once for each event, in the order of its key.

    `run` takes one event. `batch` takes all of this type that came one after another, in one go, and records no facts: it is for
    projections, which gain from writing many rows with one statement. It may be called with one.
    """

    event: type[Event]
    run: Callable[["Work", Any, Envelope], Awaitable[None]] | None = None
    batch: Callable[["Work", Sequence[Heard]], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        assert (self.run is None) != (self.batch is None), "a handler takes one event, or a batch"

    async def hear(self, work: "Work", heard: Sequence[Heard]) -> None:
        """Several events only with `batch`."""
        if self.batch is not None:
            await self.batch(work, heard)
            assert not work.facts, "what a batch handler records would not name its cause"
        elif self.run is not None:
            [(event, envelope)] = heard
            await self.run(work, event, envelope)


class NotYet(Exception):
    """A handler raises it when a fact it builds on has not been heard: topics have no order among each other.

    The partition waits up to NOT_YET_S while the others go on; after that it is an error like any other.
    """


class TooManyDeadLetters(Exception):
    """The group stops by itself, so that a bad release cannot empty a topic. Its process must end and be looked at; started anew,
    it stops at the next one.
    """


@dataclass(slots=True)
class _Trouble:
    """A partition that waits at a record that failed. Times are the event loop's seconds."""

    offset: int
    since: float
    resume_at: float = 0.0
    failures: int = 0
    tries: int = 0


def _nothing() -> None:
    pass


class Group:
    """The consumer group `daohu.<service>`: each event of the handlers' topics takes effect once in this service."""

    def __init__(
        self,
        service_name: str,
        handlers: Sequence[Handler],
        database: Database,
        bus: Bus,
        work_for: Callable[[AsyncConnection, Envelope], "Work"],
        *,
        clock: Clock | None = None,
        after_commit: Callable[[], None] = _nothing,
        reader: Consumer | None = None,
    ) -> None:
        """`reader`: where the records come from, if not from the group's own place on the bus (a replay)."""
        self.name = group_of(service_name)
        self._service, self.database, self._work_for = service_name, database, work_for
        self.clock, self._after_commit = clock or SystemClock(), after_commit
        self.bus, self._hears = bus, tuple(handlers)
        self._handlers: dict[str, list[Handler]] = {}
        for handler in handlers:
            self._handlers.setdefault(handler.event.type_name, []).append(handler)
        self.topics = tuple(sorted({handler.event.topic for handler in handlers}))
        self._consumer = reader or bus.consumer(self.name, self.topics)
        self._spans = telemetry.spans(service_name)
        self._trouble: dict[TopicPartition, _Trouble] = {}
        self._recent: deque[bool] = deque(maxlen=RATE_WINDOW)
        self._remembers = False
        self._stopping, self._ended = asyncio.Event(), asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._busy = False
        self.counts: Counter[str] = Counter()
        """Records by what became of them, since this object was made."""
        self.progress = 0
        """Goes up with every poll and every event: what a watchdog looks at."""
        self._progressed = monotonic()

    def over(self, reader: Consumer) -> "Group":
        """The same group taking other records: its own place on the bus stays as it is."""
        return Group(
            self._service, self._hears, self.database, self.bus, self._work_for,
            clock=self.clock, after_commit=self._after_commit, reader=reader,
        )  # fmt: skip

    def health(self) -> str:
        """ "ok", or for how long a running loop has stood still."""
        still = self.still_s
        running = self._runner is not None and not self._ended.is_set()
        return f"no progress for {still:.0f} s" if running and still > SLOW_S else "ok"

    @property
    def still_s(self) -> float:
        """Seconds since its last poll or event."""
        return monotonic() - self._progressed

    async def lag(self) -> int:
        """Records of its topics that the group has not committed. Raises BusError."""
        return await self._consumer.lag()

    def _step(self) -> None:
        self.progress += 1
        self._progressed = monotonic()

    async def run(self) -> None:
        """Until `stop`. Raises TooManyDeadLetters."""
        self._runner = asyncio.current_task()
        failures = 0
        try:
            while not self._stopping.is_set():
                self._step()
                try:
                    records = await self._consumer.poll(MAX_BATCH, self._resume())
                    failures = 0
                except (BusError, OSError) as error:
                    failures += 1
                    log.warning("bus_waits", group=self.name, error=type(error).__name__, tries=failures)
                    await came(self._stopping, backoff(failures))
                    continue
                if records:
                    self._busy = True
                    try:
                        await self._work_off(records)
                    finally:
                        self._busy = False
        finally:
            await self._consumer.close()
            self._ended.set()

    async def stop(self) -> None:
        """Ends after the batch in hand, or by cancellation after STOP_S: then the batch is redelivered."""
        self._stopping.set()
        if self._runner is not None and not await came(self._ended, STOP_S):
            self._runner.cancel()

    async def settled(self) -> bool:
        """Whether every record sent so far is done with (taken, dead or parked). False while the bus cannot tell."""
        try:
            return not self._busy and (not self.topics or await self._consumer.lag() == 0)
        except (BusError, OSError):
            return False

    async def retry(self, id: int, actor: str) -> int:
        """Runs a dead letter again, then those parked behind it, in order. Answers how many took effect.

        The first that fails again is the dead one of the key from then on; each run leaves an audit row.
        Raises NotFound and NotTheDeadOne; a transient error of the database goes to the caller.
        """
        async with self.database.write() as tx:
            letter = await dead_letters.the_dead_one(tx, self.name, id)
        return await self._release((letter.topic, letter.key), actor)

    async def discard(self, id: int, actor: str, reason: str) -> int:
        """Gives a dead letter up for good, then runs those parked behind it. Answers how many of them took effect.

        Raises NotFound, NotTheDeadOne and MoneyIsNeverSkipped.
        """
        async with self.database.write() as tx:
            await dead_letters.hold_still(tx, self.name)
            letter = await dead_letters.the_dead_one(tx, self.name, id)
            dead_letters.may_be_given_up(letter)
            now = self.clock.now()
            try:
                # Entered as seen, so that the same event delivered once more is not taken after all.
                await unseen(tx, self.name, [Envelope.from_headers(letter.headers).id], at=now)
            except (KeyError, ValueError):
                log.info("discarded_without_id", group=self.name, dead_letter=id)
            await dead_letters.close(tx, letter, state=DISCARDED)
            await dead_letters.note(
                tx,
                letter,
                actor=actor,
                action="dead_letter_discarded",
                at=now,
                reason=reason,
                facts={"error": letter.error},
            )
        return await self._release((letter.topic, letter.key), actor)

    async def _release(self, key: dead_letters.Key, actor: str) -> int:
        taken = 0
        while True:
            letter: DeadLetter | None = None
            try:
                async with self.database.write() as tx:
                    await dead_letters.hold_still(tx, self.name)
                    letter = await dead_letters.head_of(tx, self.name, key)
                    if letter is None:
                        return taken
                    await self._take(tx, [letter.record], shut=set())
                    await dead_letters.close(tx, letter, state=RETRIED)
                    await self._note_retry(tx, letter, actor, outcome="taken")
            except Exception as error:
                if letter is None or transient(error):
                    raise
                async with self.database.write() as tx:
                    await dead_letters.fail(tx, letter, error=_kind(error))
                    await self._note_retry(tx, letter, actor, outcome=_kind(error))
                return taken
            taken += 1
            self._after_commit()

    async def _note_retry(self, tx: AsyncConnection, letter: DeadLetter, actor: str, *, outcome: str) -> None:
        await dead_letters.note(
            tx,
            letter,
            actor=actor,
            action="dead_letter_retried",
            at=self.clock.now(),
            reason=None,
            facts={"outcome": outcome},
        )

    async def _work_off(self, records: list[Record]) -> None:
        done: dict[TopicPartition, int] = {}
        waiting: set[TopicPartition] = set()
        try:
            if await self._all_at_once(records):
                done = {record.tp: record.offset + 1 for record in records}
                return
            for record in records:
                if record.tp in waiting:
                    continue
                if await self._one(record):
                    done[record.tp] = record.offset + 1
                else:
                    waiting.add(record.tp)
        finally:
            # What is done is committed also when the group stops itself.
            await self._acknowledge(done)

    async def _acknowledge(self, done: dict[TopicPartition, int]) -> None:
        if not done:
            return
        faults.point(self._service, "before_ack")
        try:
            await self._consumer.commit(done)
        except (BusError, OSError) as error:
            # Normal: they come again, and the inbox knows them.
            log.warning("offsets_not_committed", group=self.name, error=type(error).__name__)

    async def _all_at_once(self, records: Sequence[Record]) -> bool:
        """One transaction for the whole batch. False when something in it failed: then each goes by itself."""
        if any(record.tp in self._trouble for record in records):
            return False
        try:
            await self._transaction(records)
        except Exception as error:
            log.debug("batch_taken_apart", group=self.name, records=len(records), error=type(error).__name__)
            return False
        self._recent.extend([False] * len(records))
        return True

    async def _one(self, record: Record) -> bool:
        """Whether the record is done with: taken, parked or dead. If not, its partition waits."""
        self._step()
        try:
            await self._transaction([record])
            self._recent.append(False)
        except Exception as error:
            if not await self._failed(record, error):
                return False
        self._trouble.pop(record.tp, None)
        if sum(self._recent) > RATE_MAX_DEAD:
            raise TooManyDeadLetters(f"{self.name}: over {RATE_MAX_DEAD} of the last {RATE_WINDOW} records")
        return True

    async def _failed(self, record: Record, error: Exception) -> bool:
        """Whether the record is dead now. If not, its partition waits and it is tried again."""
        now = asyncio.get_running_loop().time()
        trouble = self._trouble.get(record.tp)
        if trouble is None or trouble.offset != record.offset:
            trouble = self._trouble[record.tp] = _Trouble(record.offset, since=now)
        trouble.failures += 1
        waits = isinstance(error, NotYet) and now - trouble.since < NOT_YET_S
        if not waits and not transient(error):
            trouble.tries += 1
            if isinstance(error, Unreadable) or trouble.tries >= MAX_TRIES:
                try:
                    await self._bury(record, error, trouble.tries)
                    return True
                except Exception as failure:  # the database refuses this too: the record waits until it does not
                    log.error("not_buried", group=self.name, error=type(failure).__name__)
        delay = backoff(trouble.failures)
        trouble.resume_at = now + (min(delay, NOT_YET_BACKOFF_S) if waits else delay)
        self._consumer.rewind(record.tp, record.offset)
        self._consumer.pause(record.tp)
        CONSUMER_EVENTS.labels(self._service, PUT_OFF).inc()
        log.warning(
            "event_waits", group=self.name, topic=record.topic, partition=record.partition, offset=record.offset,
            error=_kind(error), tries=trouble.failures,
        )  # fmt: skip
        return False

    async def _bury(self, record: Record, error: Exception, tries: int) -> None:
        now = self.clock.now()
        async with self.database.write() as tx:
            before = 0 if self._remembers else await dead_letters.open_since(tx, self.name, now - RATE_MEMORY)
            new = await dead_letters.enter(tx, self.name, record, state=DEAD, error=_kind(error), tries=tries, at=now)
        self._remembers = True
        self._recent.extendleft([True] * min(before, RATE_WINDOW - len(self._recent)))
        if not new:
            self._count({KNOWN: 1})
            return
        self._recent.append(True)
        self._count({DEAD: 1})
        self._after_commit()
        log.error(
            "dead_letter", group=self.name, topic=record.topic, partition=record.partition, offset=record.offset,
            error=_kind(error), tries=tries,
        )  # fmt: skip

    async def _transaction(self, records: Sequence[Record]) -> None:
        async with self.database.write() as tx:
            became = await self._take(tx, records, shut=await dead_letters.shut_keys(tx, self.name))
        self._count(became)
        self._after_commit()

    async def _take(
        self, tx: AsyncConnection, records: Sequence[Record], *, shut: set[dead_letters.Key]
    ) -> Counter[str]:
        """Answers how many of the records became what."""
        now = self.clock.now()
        ours: list[Record] = []
        parked = 0
        for record in records:
            if self.skips(record):
                continue
            if shut and dead_letters.key_of(record) in shut:
                await dead_letters.enter(tx, self.name, record, state=PARKED, error="", tries=0, at=now)
                parked += 1
            else:
                ours.append(record)
        envelopes = [envelope_of(record) for record in ours]
        entering = asyncio.create_task(unseen(tx, self.name, [envelope.id for envelope in envelopes], at=now))
        try:
            await _under_way()
            heard = [(event_of(record, envelope), envelope) for record, envelope in zip(ours, envelopes, strict=True)]
        finally:
            fresh = await entering
        first: list[Heard] = []
        for one in heard:
            if one[1].id in fresh:
                fresh.discard(one[1].id)
                first.append(one)
        for kind, many in groupby(first, key=lambda one: one[1].type):
            await self._hear(tx, self._handlers[kind], list(many))
        passed = len(records) - len(heard) - parked
        return Counter({TAKEN: len(first), KNOWN: len(heard) - len(first), PARKED: parked, PASSED: passed})

    async def _hear(self, tx: AsyncConnection, handlers: Sequence[Handler], heard: list[Heard]) -> None:
        """Events of one type, in their order."""
        together = all(handler.batch for handler in handlers)
        for some in [heard] if together else ([one] for one in heard):
            with self._spans.together(
                f"process {some[0][1].type}", [one.traceparent or "" for _, one in some], kind=SpanKind.CONSUMER
            ):
                work = self._work_for(tx, some[0][1])
                for handler in handlers:
                    await handler.hear(work, some)
                    faults.point(self._service, "in_handler")
                await work.flush()
            self._step()
            await asyncio.sleep(0)  # inline SQLite never gives way by itself

    def _count(self, became: Mapping[str, int]) -> None:
        self.counts.update(became)
        for outcome, records in became.items():
            CONSUMER_EVENTS.labels(self._service, outcome).inc(records)

    def skips(self, record: Record) -> bool:
        """A known event of our topics that this service does not listen to."""
        kind = record.headers.get("ce_type", "")
        return kind in REGISTRY and kind not in self._handlers

    def _resume(self) -> float:
        """Lets partitions go on whose time has come; answers how long a poll may take until the next one's, in seconds."""
        now = asyncio.get_running_loop().time()
        rest = POLL_S
        for tp, trouble in self._trouble.items():
            if trouble.resume_at > now:
                rest = min(rest, trouble.resume_at - now)
            elif trouble.resume_at:
                trouble.resume_at = 0.0
                self._consumer.resume(tp)
        return rest


async def _under_way() -> None:
    """Lets a statement that was just begun reach the database, which works on it while we go on."""
    for _ in range(2):  # in the first turn of the loop it is made, at the end of the second it has been sent
        await asyncio.sleep(0)


def _kind(error: Exception) -> str:
    return str(error) if isinstance(error, Unreadable) else name_of(error)
