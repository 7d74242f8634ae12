"""Outbox, relay and change feed: recorded with the rows, published in order at least once, read in the caller's area."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from shared import outbox, tables
from shared.bus import MAX_MESSAGE_BYTES, BusError, Message, Record
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.local_bus import LocalBus, LocalProducer
from shared.outbox import FEED_LIMIT, RELAY_BATCH, Fact, Relay, append, feed
from shared.scope import EVERYWHERE, Area, Level

TOPIC = DivisionRecorded.topic
TOWN, OTHER_TOWN = "610926100000", "610926101000"
NOW = datetime(2016, 11, 1, 1, tzinfo=UTC)
DEADLINE_S = 20.0


def fact(n: int, division: str = TOWN) -> Fact:
    event = DivisionRecorded(code=division, name=f"name {n}", level=Level.TOWN)
    return Fact(
        event,
        Envelope(
            id=new_id(), type=event.type_name, source="/daohu/registry", subject=event.key, time=NOW,
            division=division, actor="tester", aggregate_version=n,
        ),
    )  # fmt: skip


class Flaky(LocalBus):
    """A bus whose next sends fail: before anything is sent, or after everything was (the answer is lost)."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.before, self.after = 0, 0

    def producer(self) -> LocalProducer:
        return FlakyProducer(self)


class FlakyProducer(LocalProducer):
    def __init__(self, bus: Flaky) -> None:
        super().__init__(bus)
        self.flaky = bus

    async def send(self, messages: Sequence[Message]) -> None:
        if self.flaky.before:
            self.flaky.before -= 1
            raise BusError("the broker is away")
        await super().send(messages)
        if self.flaky.after:
            self.flaky.after -= 1
            raise BusError("the answer is lost")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def bus() -> AsyncIterator[Flaky]:
    bus = Flaky()
    await bus.start()
    await bus.create_topics([TOPIC])
    yield bus
    await bus.stop()


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        await relay.stop()
        await task


async def record(database: Database, *facts: Fact) -> None:
    async with database.write() as tx:
        await append(tx, facts)


async def published(bus: LocalBus) -> list[Record]:
    reader = bus.consumer(f"reader {new_id()}", [TOPIC])
    records = await reader.poll(10_000, 0)
    await reader.close()
    return records


async def positions(database: Database) -> list[int | None]:
    async with database.read() as tx:
        return list(await tx.scalars(select(tables.outbox.c.position).order_by(tables.outbox.c.id)))


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.005)


async def test_facts_of_a_transaction_that_fails_are_not_recorded(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as tx:
            await append(tx, [fact(1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await positions(database) == []


async def test_the_envelope_travels_as_headers_and_the_body_as_json(database: Database, bus: Flaky) -> None:
    one = fact(1)
    await record(database, one)
    await Relay(database, bus, "registry").publish_once()
    [sent] = await published(bus)
    assert (sent.topic, sent.key) == (TOPIC, one.event.key)
    assert Envelope.from_headers(sent.headers) == one.envelope
    assert DivisionRecorded.read(sent.value) == one.event


async def test_facts_are_published_in_the_order_they_were_recorded(database: Database, bus: Flaky) -> None:
    for start in range(0, 30, 10):
        await record(database, *(fact(n) for n in range(start, start + 10)))
    await Relay(database, bus, "registry").publish_once()
    assert [int(r.headers["ce_aggregateversion"]) for r in await published(bus)] == list(range(30))
    assert await positions(database) == list(range(1, 31))


async def test_a_batch_takes_as_many_as_its_limit(database: Database, bus: Flaky) -> None:
    await record(database, *(fact(n) for n in range(RELAY_BATCH + 1)))
    relay = Relay(database, bus, "registry")
    assert [await relay.publish_once() for _ in range(3)] == [RELAY_BATCH, 1, 0]


async def test_what_waits_to_be_published_is_counted(database: Database, bus: Flaky) -> None:
    relay = Relay(database, bus, "registry")
    await record(database, fact(1), fact(2))
    assert await relay.unpublished() == 2
    await relay.publish_once()
    assert await relay.unpublished() == 0


async def test_a_bus_that_is_away_is_waited_for_and_nothing_is_lost(
    database: Database, bus: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BACKOFF_FIRST_S", 0.001)
    bus.before = 3
    await record(database, fact(1), fact(2))
    relay = Relay(database, bus, "registry")

    async def is_out() -> bool:
        return await relay.unpublished() == 0

    async with running(relay):
        await until(is_out)
    assert [int(r.headers["ce_aggregateversion"]) for r in await published(bus)] == [1, 2]


async def test_a_send_whose_answer_is_lost_is_repeated_with_the_same_ids(database: Database, bus: Flaky) -> None:
    """A crash between send and mark looks the same: the consumers' inboxes know the ids."""
    bus.after = 1
    await record(database, fact(1), fact(2))
    relay = Relay(database, bus, "registry")
    with pytest.raises(BusError):
        await relay.publish_once()
    assert await relay.unpublished() == 2
    await relay.publish_once()
    ids = [r.headers["ce_id"] for r in await published(bus)]
    assert ids[:2] == ids[2:]
    assert await positions(database) == [1, 2]


async def test_a_commit_wakes_the_relay(database: Database, bus: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "IDLE_FIRST_S", DEADLINE_S * 10)
    monkeypatch.setattr(outbox, "IDLE_MAX_S", DEADLINE_S * 10)
    relay = Relay(database, bus, "registry")
    reader = bus.consumer("reader", [TOPIC])
    async with running(relay):
        assert await reader.poll(10, 0.1) == []
        await record(database, fact(1))
        relay.wake()
        assert len(await reader.poll(10, DEADLINE_S)) == 1


async def test_an_idle_relay_finds_what_another_process_recorded(database: Database, bus: Flaky) -> None:
    reader = bus.consumer("reader", [TOPIC])
    async with running(Relay(database, bus, "registry")):
        assert await reader.poll(10, 0.1) == []
        await record(database, fact(1))
        assert len(await reader.poll(10, DEADLINE_S)) == 1


async def test_an_event_over_the_limit_is_not_recorded(database: Database) -> None:
    large = fact(1)
    event = DivisionRecorded.model_construct(code=TOWN, name="x" * MAX_MESSAGE_BYTES, level=Level.TOWN, parent=None)
    with pytest.raises(ValueError, match="allowed are"):
        await record(database, Fact(event, large.envelope))
    assert await positions(database) == []


async def test_a_row_that_commits_late_is_published_all_the_same(postgres_url: str, bus: Flaky) -> None:
    """On PostgreSQL a smaller id may commit after a larger one was published: `id > last seen` would lose it."""
    database = Database(postgres_url, service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    relay = Relay(database, bus, "registry")
    async with database.write() as late:
        await append(late, [fact(1)])
        await record(database, fact(2))
        assert await relay.publish_once() == 1
    assert await relay.publish_once() == 1
    assert await positions(database) == [2, 1]
    await database.close()


async def test_one_relay_is_active_and_the_standby_takes_over(
    postgres_url: str, bus: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STANDBY_S", 0.02)
    database = Database(postgres_url, service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    first, second = Relay(database, bus, "registry"), Relay(database, bus, "registry")

    async def is_out() -> bool:
        return await first.unpublished() == 0

    async with running(second):
        async with running(first):
            for n in range(20):
                await record(database, fact(n))
            await until(is_out)
        await record(database, fact(20))
        await until(is_out)
    assert [int(r.headers["ce_aggregateversion"]) for r in await published(bus)] == list(range(21))
    assert await positions(database) == list(range(1, 22))
    await database.close()


async def test_an_idle_relay_whose_session_was_ended_takes_the_lock_again(postgres_url: str, bus: Flaky) -> None:
    """It has nothing to mark, and notices all the same: two would take themselves for the active one."""
    database = Database(postgres_url, service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    holder = text(
        "SELECT pid FROM pg_locks JOIN pg_database ON oid = database"
        " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
    )
    seen: set[int] = set()

    async def another_holds_it() -> bool:
        async with database.read() as tx:
            found = set(await tx.scalars(holder)) - seen
        seen.update(found)
        return bool(found)

    async with running(Relay(database, bus, "registry")):
        await until(another_holds_it)
        async with database.write() as tx:
            await tx.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": seen.copy().pop()})
        await until(another_holds_it)
    await database.close()


async def test_the_feed_shows_each_published_change_of_the_area_once_and_in_order(
    database: Database, bus: Flaky
) -> None:
    await record(database, *(fact(n, TOWN if n % 2 else OTHER_TOWN) for n in range(10)))
    await Relay(database, bus, "registry").publish_once()
    seen, after = [], 0
    async with database.read() as tx:
        while changes := await feed(tx, TOPIC, Area.of([TOWN]), after, 2):
            assert len(changes) <= 2
            seen += [DivisionRecorded.read(change.body).name for change in changes]
            after = changes[-1].position
            assert {change.division for change in changes} == {TOWN}
    assert seen == [f"name {n}" for n in range(1, 10, 2)]


async def test_the_feed_of_another_area_or_topic_is_empty(database: Database, bus: Flaky) -> None:
    await record(database, fact(1))
    await Relay(database, bus, "registry").publish_once()
    async with database.read() as tx:
        assert await feed(tx, TOPIC, Area.of([OTHER_TOWN]), 0, 10) == []
        assert await feed(tx, TOPIC, Area(()), 0, 10) == []
        assert await feed(tx, "daohu.registry.household", EVERYWHERE, 0, 10) == []


async def test_the_feed_leaves_out_what_is_not_published(database: Database) -> None:
    await record(database, fact(1))
    async with database.read() as tx:
        assert await feed(tx, TOPIC, EVERYWHERE, 0, 10) == []


async def test_the_feed_gives_at_most_its_limit(database: Database, bus: Flaky) -> None:
    await record(database, *(fact(n) for n in range(FEED_LIMIT + 1)))
    relay = Relay(database, bus, "registry")
    while await relay.publish_once():
        pass
    async with database.read() as tx:
        assert len(await feed(tx, TOPIC, EVERYWHERE, 0, FEED_LIMIT + 1)) == FEED_LIMIT
