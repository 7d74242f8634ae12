"""What every bus keeps, LocalBus and Kafka alike: written against the protocol alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from shared.bus import MAX_MESSAGE_BYTES, Bus, BusError, Consumer, Message, MessageTooLarge, Record, Span, UnknownTopic
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.local_bus import LocalBus

KINDS = ("local", "kafka")

QUIET_S = 0.7
"""What has not come after this does not come: a member of a Kafka group has joined and fetched by then."""

DEADLINE_S = 20.0

MakeBus = Callable[[], Bus]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def topic() -> str:
    """A name of each test's own: the broker is shared."""
    return f"daohu.tests.thing-{new_id()}"


def other(topic: str) -> str:
    return f"{topic}.other"


def group(topic: str, name: str = "g") -> str:
    return f"{name}.{topic}"


@pytest.fixture
def make_bus(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> MakeBus:
    """Each call opens the same bus again, as another process would."""
    if kind == "local":
        return lambda: LocalBus(tmp_path / "bus.db")
    servers: str = request.getfixturevalue("kafka")
    return lambda: KafkaBus(servers)


@asynccontextmanager
async def opened(make_bus: MakeBus) -> AsyncIterator[Bus]:
    bus = make_bus()
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


@pytest.fixture
async def bus(make_bus: MakeBus, topic: str) -> AsyncIterator[Bus]:
    async with opened(make_bus) as bus:
        await bus.create_topics([topic, other(topic)], partitions=6)
        yield bus


def message(topic: str, n: int, key: str | None = None) -> Message:
    return Message(topic, f"key-{n % 10}" if key is None else key, f"{n}".encode(), {"ce_id": f"{n}", "ce_name": "户"})


def number(record: Record) -> int:
    return int(record.value)


async def receive(consumer: Consumer, count: int, *, commit: bool = True) -> list[Record]:
    """Polls until so many records have come. Fails after DEADLINE_S."""
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(records) < count:
            new = await consumer.poll(100, 0.05)
            records += new
            if commit and new:
                await consumer.commit({r.tp: r.offset + 1 for r in new})
    return records


async def nothing_comes(consumer: Consumer) -> bool:
    return await consumer.poll(100, QUIET_S) == []


async def test_a_record_arrives_as_it_was_sent(bus: Bus, topic: str) -> None:
    await bus.producer().send([Message(topic, "k", b"\x00\xff", {"ce_name": "平利县"})])
    [record] = await receive(bus.consumer(group(topic), [topic]), 1)
    assert (record.topic, record.key, record.value, record.headers) == (topic, "k", b"\x00\xff", {"ce_name": "平利县"})
    assert record.at.utcoffset() is not None


async def test_messages_of_one_key_stay_in_order(bus: Bus, topic: str) -> None:
    producer, consumer = bus.producer(), bus.consumer(group(topic), [topic])
    for start in range(0, 200, 20):
        await producer.send([message(topic, n) for n in range(start, start + 20)])
    records = await receive(consumer, 200)
    for key in {r.key for r in records}:
        numbers = [number(r) for r in records if r.key == key]
        assert numbers == sorted(numbers)


async def test_messages_of_one_key_share_a_partition_and_keys_spread(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n, key=f"key-{n % 50}") for n in range(200)])
    records = await receive(bus.consumer(group(topic), [topic]), 200)
    places = {(r.key, r.partition) for r in records}
    assert len(places) == 50
    assert len({partition for _, partition in places}) == 6


async def test_offsets_of_a_partition_are_dense(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n, key="one") for n in range(5)])
    records = await receive(bus.consumer(group(topic), [topic]), 5)
    assert [r.offset for r in records] == [0, 1, 2, 3, 4]


async def test_a_poll_gives_at_most_what_was_asked(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n) for n in range(50)])
    consumer = bus.consumer(group(topic), [topic])
    assert len(await receive(consumer, 1)) <= 100
    await bus.producer().send([message(topic, n, key="one") for n in range(50)])
    assert len(await consumer.poll(7, 5.0)) <= 7


async def test_what_was_not_committed_comes_again_to_the_next_member(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n, key="one") for n in range(10)])
    first = bus.consumer(group(topic), [topic])
    records = await receive(first, 10, commit=False)
    await first.commit({records[0].tp: records[3].offset + 1})
    await first.close()
    again = await receive(bus.consumer(group(topic), [topic]), 6)
    assert [number(r) for r in again] == [4, 5, 6, 7, 8, 9]


async def test_what_was_committed_does_not_come_again(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n) for n in range(10)])
    first = bus.consumer(group(topic), [topic])
    await receive(first, 10)
    await first.close()
    second = bus.consumer(group(topic), [topic])
    assert await nothing_comes(second)
    assert await second.lag() == 0


async def test_groups_hear_independently(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n) for n in range(10)])
    assert len(await receive(bus.consumer(group(topic, "one"), [topic]), 10)) == 10
    assert len(await receive(bus.consumer(group(topic, "two"), [topic]), 10)) == 10


async def test_a_consumer_hears_all_its_topics_and_no_other(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(other(topic), 1), message(topic, 2)])
    both = await receive(bus.consumer(group(topic, "both"), [topic, other(topic)]), 2)
    assert sorted(r.topic for r in both) == [topic, other(topic)]
    one = bus.consumer(group(topic, "one"), [topic])
    assert [r.topic for r in await receive(one, 1)] == [topic]
    assert await nothing_comes(one)


async def test_rewinding_gives_the_records_again(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n, key="one") for n in range(5)])
    consumer = bus.consumer(group(topic), [topic])
    records = await receive(consumer, 5, commit=False)
    consumer.rewind(records[0].tp, records[2].offset)
    assert [number(r) for r in await receive(consumer, 3)] == [2, 3, 4]


async def test_a_paused_partition_waits_while_others_go_on(bus: Bus, topic: str) -> None:
    consumer, producer = bus.consumer(group(topic), [topic]), bus.producer()
    await producer.send([message(topic, n, key=f"key-{n}") for n in range(20)])
    records = await receive(consumer, 20)
    held = records[0]
    others = next(r for r in records if r.tp != held.tp)
    consumer.pause(held.tp)
    await producer.send([message(topic, 100, key=held.key), message(topic, 101, key=others.key)])
    assert [number(r) for r in await receive(consumer, 1)] == [101]
    assert await nothing_comes(consumer)
    consumer.resume(held.tp)
    assert [number(r) for r in await receive(consumer, 1)] == [100]


async def test_a_waiting_poll_returns_soon_after_a_send(bus: Bus, topic: str) -> None:
    consumer = bus.consumer(group(topic), [topic])
    assert await nothing_comes(consumer)
    waiting = asyncio.create_task(consumer.poll(10, DEADLINE_S))
    await asyncio.sleep(0)
    await bus.producer().send([message(topic, 1)])
    async with asyncio.timeout(DEADLINE_S / 2):
        assert [number(r) for r in await waiting] == [1]


async def test_lag_counts_what_the_group_has_not_committed(bus: Bus, topic: str) -> None:
    consumer = bus.consumer(group(topic), [topic])
    await bus.producer().send([message(topic, n) for n in range(10)])
    assert await consumer.lag() == 10
    records = await receive(consumer, 10, commit=False)
    assert await consumer.lag() == 10
    await consumer.commit({r.tp: r.offset + 1 for r in records})
    assert await consumer.lag() == 0


async def test_a_span_says_what_is_kept_and_where_the_group_goes_on(bus: Bus, topic: str) -> None:
    """Nobody has joined: the tool that looks back into a topic does not."""
    await bus.producer().send([message(topic, n, key="one") for n in range(10)])
    consumer, tool = bus.consumer(group(topic), [topic]), bus.consumer(group(topic), [topic])
    [record, *_] = await receive(consumer, 10, commit=False)
    await consumer.commit({record.tp: 4})
    spans = await tool.span()
    assert spans.pop(record.tp) == Span(first=0, committed=4, end=10)
    assert len(spans) == 5
    assert set(spans.values()) == {Span(0, 0, 0)}


async def test_a_span_can_begin_at_a_time(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, n, key="one") for n in range(3)])
    await asyncio.sleep(0.02)  # Kafka's times are milliseconds
    await bus.producer().send([message(topic, n, key="one") for n in range(3, 5)])
    consumer = bus.consumer(group(topic), [topic])
    records = await receive(consumer, 5)
    middle, end = records[3].at, records[4].at + timedelta(seconds=1)
    assert (await consumer.span(middle))[records[0].tp] == Span(first=3, committed=5, end=5)
    assert (await consumer.span(end))[records[0].tp] == Span(first=5, committed=5, end=5)


async def test_the_topics_that_were_made_are_there(bus: Bus, topic: str) -> None:
    assert {topic, other(topic)} <= await bus.topics()


async def test_a_started_bus_is_well(bus: Bus) -> None:
    assert await bus.health() == "ok"


async def test_nothing_is_sent_or_polled_on_a_bus_that_was_stopped(make_bus: MakeBus, topic: str) -> None:
    async with opened(make_bus) as bus:
        await bus.create_topics([topic])
        producer, consumer = bus.producer(), bus.consumer(group(topic), [topic])
        await producer.send([message(topic, 1)])
        await receive(consumer, 1)
    with pytest.raises(BusError):
        await producer.send([message(topic, 2)])
    with pytest.raises(BusError):
        await consumer.poll(1, 0.05)


async def test_two_members_share_the_partitions_and_nobody_misses_or_sees_twice(bus: Bus, topic: str) -> None:
    """One member works alone, a second joins while records are on their way, and leaves again."""
    producer, first, second = bus.producer(), bus.consumer(group(topic), [topic]), bus.consumer(group(topic), [topic])
    seen: list[tuple[int, int]] = []
    began, leave = asyncio.Event(), asyncio.Event()

    async def work(name: int, consumer: Consumer, until: Callable[[], bool]) -> None:
        while not until():
            records = await consumer.poll(5, 0.02)
            began.set()
            seen.extend((name, number(r)) for r in records)
            if records:
                await consumer.commit({r.tp: r.offset + 1 for r in records})
        await consumer.close()

    def both_work() -> bool:
        return {name for name, _ in seen[-20:]} == {1, 2}

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(work(1, first, lambda: len({n for _, n in seen}) == sent and leave.is_set()))
        sent = 100
        await producer.send([message(topic, n, key=f"key-{n}") for n in range(100)])
        await began.wait()
        tasks.create_task(work(2, second, leave.is_set))
        while not both_work():
            await producer.send([message(topic, n, key=f"key-{n}") for n in range(sent, sent + 10)])
            sent += 10
            await asyncio.sleep(0.02)
        sent += 50
        leave.set()
        await producer.send([message(topic, n, key=f"key-{n}") for n in range(sent - 50, sent)])
    assert sorted(n for _, n in seen) == list(range(sent))


async def test_a_member_keeps_a_partition_until_it_has_drained_it(bus: Bus, topic: str) -> None:
    """What one member holds uncommitted is not given to the joining one as long as the holder does not poll again."""
    await bus.producer().send([message(topic, n, key=f"key-{n}") for n in range(60)])
    first, second = bus.consumer(group(topic), [topic]), bus.consumer(group(topic), [topic])
    held = await receive(first, 60, commit=False)
    assert await nothing_comes(second)
    await first.commit({r.tp: r.offset + 1 for r in held})
    got: dict[int, list[int]] = {1: [], 2: []}
    sent = 60
    async with asyncio.timeout(DEADLINE_S):
        while not (got[1] and got[2] and len(got[1]) + len(got[2]) == sent - 60):
            if not (got[1] and got[2]):
                await bus.producer().send([message(topic, n, key=f"key-{n}") for n in range(sent, sent + 20)])
                sent += 20
            for name, consumer in ((1, first), (2, second)):
                records = await consumer.poll(100, 0.05)
                got[name] += [number(r) for r in records]
                await consumer.commit({r.tp: r.offset + 1 for r in records})
    assert sorted(got[1] + got[2]) == list(range(60, sent))


async def test_everything_survives_reopening(make_bus: MakeBus, topic: str) -> None:
    async with opened(make_bus) as bus:
        await bus.create_topics([topic], partitions=3)
        await bus.producer().send([message(topic, n, key="one") for n in range(10)])
        consumer = bus.consumer(group(topic), [topic])
        records = await receive(consumer, 10, commit=False)
        await consumer.commit({records[0].tp: records[5].offset + 1})
    async with opened(make_bus) as bus:
        await bus.producer().send([message(topic, 10, key="one")])
        again = await receive(bus.consumer(group(topic), [topic]), 5)
        assert [number(r) for r in again] == [6, 7, 8, 9, 10]


async def test_creating_a_topic_again_changes_nothing(bus: Bus, topic: str) -> None:
    await bus.producer().send([message(topic, 1, key="one")])
    await bus.create_topics({topic: 2}, partitions=2)
    await bus.producer().send([message(topic, 2, key="one")])
    records = await receive(bus.consumer(group(topic), [topic]), 2)
    assert [number(r) for r in records] == [1, 2]
    assert len({r.partition for r in records}) == 1


async def test_an_unknown_topic_is_refused_and_never_made(bus: Bus, topic: str) -> None:
    with pytest.raises(UnknownTopic):
        await bus.producer().send([message("daohu.tests.nobody", 1)])
    with pytest.raises(UnknownTopic):
        await bus.consumer(group(topic), ["daohu.tests.nobody"]).poll(1, DEADLINE_S)
    assert "daohu.tests.nobody" not in await bus.topics()


async def test_a_value_over_the_limit_is_refused_and_one_at_the_limit_is_not(bus: Bus, topic: str) -> None:
    await bus.producer().send([Message(topic, "k", bytes(MAX_MESSAGE_BYTES))])
    with pytest.raises(MessageTooLarge):
        await bus.producer().send([Message(topic, "k", bytes(MAX_MESSAGE_BYTES + 1))])
    [record] = await receive(bus.consumer(group(topic), [topic]), 1)
    assert len(record.value) == MAX_MESSAGE_BYTES


async def test_a_closed_consumer_does_not_poll(bus: Bus, topic: str) -> None:
    consumer = bus.consumer(group(topic), [topic])
    await consumer.close()
    with pytest.raises(BusError):
        await consumer.poll(1, 0.05)
