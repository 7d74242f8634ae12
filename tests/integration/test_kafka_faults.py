"""A broker that dies, stops, stands still or says strange things: nothing acknowledged is lost, no key's order breaks, nobody exits."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from shared import kafka as kafka_module
from shared import tables
from shared.bus import BusError, Consumer, Message, Record
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.outbox import Fact, Relay, append
from shared.scope import Level
from tests.servers.kafka import Kafka

ROOT = Path(__file__).parents[2]
TOWN = "610926100000"
KEYS = 20
DEADLINE_S = 90.0
"""A killed broker checks its log before it is back."""


@pytest.fixture
def topic() -> str:
    return f"daohu.tests.thing-{new_id()}"


@pytest.fixture
async def bus(own_kafka: Kafka, topic: str) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(own_kafka.bootstrap_servers)
    await bus.start()
    await bus.create_topics([topic], partitions=6)
    yield bus
    await bus.stop()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.05)


async def all_caught_up(consumer: Consumer, seen: list[Record]) -> None:
    """Polls and commits, through whatever the bus refuses, until nothing is left."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                records = await consumer.poll(500, 0.1)
                seen += records
                await consumer.commit({r.tp: r.offset + 1 for r in records})
                if not records and await consumer.lag() == 0:
                    return
            except BusError:
                await asyncio.sleep(0.1)


def first_seen(records: list[Record]) -> dict[str, list[int]]:
    """Key → its numbers in the order in which each came first: an inbox knows what comes again."""
    numbers: dict[str, list[int]] = {}
    for record in records:
        of_key = numbers.setdefault(record.key, [])
        if int(record.value) not in of_key:
            of_key.append(int(record.value))
    return numbers


class Load:
    """Sends batches one after the other, each again until it is acknowledged, as a relay does."""

    def __init__(self, bus: KafkaBus, topic: str) -> None:
        self.bus, self.topic, self.acknowledged, self.ending = bus, topic, 0, False

    async def run(self) -> None:
        producer = self.bus.producer()
        for n in count():
            batch = [Message(self.topic, f"key-{k}", b"%d" % n) for k in range(KEYS)]
            while True:
                try:
                    await producer.send(batch)
                    break
                except BusError:
                    await asyncio.sleep(0.1)
            self.acknowledged = n + 1
            if self.ending:
                return

    async def reaches(self, batches: int) -> None:
        async def is_so() -> bool:
            return self.acknowledged >= batches

        await until(is_so)


async def test_a_broker_killed_under_load_loses_nothing_and_nobody_exits(
    bus: KafkaBus, own_kafka: Kafka, topic: str
) -> None:
    load, consumer = Load(bus, topic), bus.consumer("g", [topic])
    seen: list[Record] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await load.reaches(50)
        seen += await consumer.poll(500, DEADLINE_S)
        own_kafka.kill()
        returning = tasks.create_task(asyncio.to_thread(own_kafka.start))

        async def waiting() -> bool:
            return (await bus.health()).startswith("waiting for Kafka")

        await until(waiting)
        await returning
        await load.reaches(load.acknowledged + 50)
        load.ending = True
    await all_caught_up(consumer, seen)
    assert first_seen(seen) == {f"key-{k}": list(range(load.acknowledged)) for k in range(KEYS)}
    assert await bus.health() == "ok"


async def test_a_commit_that_found_no_broker_is_made_when_it_is_back(
    bus: KafkaBus, own_kafka: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.producer().send([Message(topic, f"key-{n}", b"%d" % n) for n in range(20)])
    consumer = bus.consumer("g", [topic])
    records: list[Record] = []
    while len(records) < 20:
        records += await consumer.poll(100, DEADLINE_S)
    own_kafka.stop()
    monkeypatch.setattr(kafka_module, "COMMIT_S", 0.5)
    with pytest.raises(BusError):
        await consumer.commit({r.tp: r.offset + 1 for r in records})
    monkeypatch.setattr(kafka_module, "COMMIT_S", DEADLINE_S)
    await asyncio.to_thread(own_kafka.start)
    again: list[Record] = []
    await all_caught_up(consumer, again)
    assert {int(r.value) for r in again} <= set(range(20))


async def test_a_send_without_a_broker_is_refused_in_time_and_the_next_one_goes(
    bus: KafkaBus, own_kafka: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, other = bus.producer(), bus.producer()
    await producer.send([Message(topic, "k", b"1")])
    monkeypatch.setattr(kafka_module, "SEND_S", 1.0)
    own_kafka.stop()
    for each in (producer, other):  # one that was connected, one that never was
        with pytest.raises(BusError):
            await each.send([Message(topic, "k", b"2")])
    await asyncio.to_thread(own_kafka.start)
    monkeypatch.setattr(kafka_module, "SEND_S", DEADLINE_S)
    await producer.send([Message(topic, "k", b"2")])
    await other.send([Message(topic, "k", b"3")])
    seen: list[Record] = []
    await all_caught_up(bus.consumer("g", [topic]), seen)
    assert first_seen(seen) == {"k": [1, 2, 3]}

    async def only_these_two_send() -> bool:
        return sum("_sender_routine" in str(task.get_coro()) for task in asyncio.all_tasks()) == 2

    await until(only_these_two_send)  # a client that failed is not left behind


async def test_while_the_broker_is_away_the_outbox_grows_and_then_everything_arrives(
    own_kafka: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_module, "SEND_S", 3.0)
    database = Database(f"sqlite:///{tmp_path / 'test.db'}", service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    bus = KafkaBus(own_kafka.bootstrap_servers)
    await bus.start()
    await bus.create_topics([DivisionRecorded.topic])
    relay = Relay(database, bus, "registry")
    running = asyncio.create_task(relay.run())
    await record(database, range(10))
    await until(relay.all_out)
    own_kafka.stop()
    await record(database, range(10, 700))
    assert await relay.unpublished() == 690
    await asyncio.to_thread(own_kafka.start)
    await until(relay.all_out)
    await relay.stop()
    await running
    seen: list[Record] = []
    await all_caught_up(bus.consumer("g", [DivisionRecorded.topic]), seen)
    versions = dict.fromkeys(int(r.headers["ce_aggregateversion"]) for r in seen)
    assert list(versions) == list(range(700))
    await bus.stop()
    await database.close()


async def record(database: Database, versions: range) -> None:
    """Facts of one town, in one transaction."""
    event = DivisionRecorded(code=TOWN, name="name", level=Level.TOWN)
    facts = [
        Fact(
            event,
            Envelope(
                id=new_id(), type=event.type_name, source="/daohu/registry", subject=event.key,
                time=datetime(2016, 11, 1, 1, tzinfo=UTC), division=TOWN, actor="tester", aggregate_version=n,
            ),
        )
        for n in versions
    ]  # fmt: skip
    async with database.write() as tx:
        await append(tx, facts)


async def test_a_broker_that_stands_still_holds_nobody_up_for_ever(
    bus: KafkaBus, own_kafka: Kafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer, consumer = bus.producer(), bus.consumer("g", [topic])
    await producer.send([Message(topic, "k", b"1")])
    [record] = await consumer.poll(10, DEADLINE_S)
    for name in ("SEND_S", "COMMIT_S"):
        monkeypatch.setattr(kafka_module, name, 1.0)
    own_kafka.pause()
    try:
        async with asyncio.timeout(DEADLINE_S / 3):
            with pytest.raises(BusError):
                await producer.send([Message(topic, "k", b"2")])
            with pytest.raises(BusError):
                await consumer.commit({record.tp: record.offset + 1})
            with pytest.raises(BusError):
                await consumer.lag()
            assert (await bus.health()).startswith("waiting for Kafka")
    finally:
        own_kafka.resume()
    for name in ("SEND_S", "COMMIT_S"):
        monkeypatch.setattr(kafka_module, name, DEADLINE_S)
    await producer.send([Message(topic, "k", b"2")])
    seen = [record]
    await all_caught_up(consumer, seen)
    assert first_seen(seen) == {"k": [1, 2]}


async def test_what_another_program_put_there_is_given_out_all_the_same(
    bus: KafkaBus, own_kafka: Kafka, topic: str
) -> None:
    """No key, no value, a header that is no text: it must reach the dead letters."""
    stranger = AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap_servers)
    await stranger.start()
    await stranger.send_and_wait(topic, key=None, value=b"", headers=[("ce_id", b"\xff")])
    await stranger.send_and_wait(topic, key=b"\xff", value=None, headers=[("ce_id", None)])
    await stranger.stop()
    seen: list[Record] = []
    await all_caught_up(bus.consumer("g", [topic]), seen)
    assert sorted((r.key, r.value, r.headers["ce_id"]) for r in seen) == [("", b"", "�"), ("�", b"", "")]


async def test_a_group_that_cannot_be_joined_says_so_and_is_joined_when_it_can(
    bus: KafkaBus, own_kafka: Kafka, topic: str
) -> None:
    """A stranger has the group and deals out partitions in another way."""
    stranger = AIOKafkaConsumer(
        topic,
        bootstrap_servers=own_kafka.bootstrap_servers,
        group_id="g",
        partition_assignment_strategy=[RangePartitionAssignor],
    )
    await stranger.start()
    consumer = bus.consumer("g", [topic])

    async def something_came() -> bool:
        return await consumer.poll(10, 0.1) != []

    with pytest.raises(BusError, match="InconsistentGroupProtocol"):
        await until(something_came)
    await stranger.stop()
    await bus.producer().send([Message(topic, "k", b"1")])
    seen: list[Record] = []
    await all_caught_up(consumer, seen)
    assert first_seen(seen) == {"k": [1]}


MEMBER = """
import asyncio, sys
from shared.kafka import KafkaBus

async def main():
    bus = KafkaBus(sys.argv[1])
    await bus.start()
    consumer = bus.consumer("daohu.tests", [sys.argv[2]])
    while not await consumer.poll(100, 0.1):
        pass
    print("holds", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@asynccontextmanager
async def member_that_holds(topic: str, servers: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that was given every record of the topic and has committed none. It is killed at the end."""
    member = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEMBER, servers, topic, stdout=PIPE, cwd=ROOT, env={**os.environ, **env}
    )
    assert member.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while b"holds" not in await member.stdout.readline():
                pass
        yield member
    finally:
        if member.returncode is None:
            member.kill()
        await member.wait()


async def test_what_a_killed_member_held_comes_to_the_other(bus: KafkaBus, own_kafka: Kafka, topic: str) -> None:
    await bus.producer().send([Message(topic, f"key-{n}", b"%d" % n) for n in range(20)])
    async with member_that_holds(topic, own_kafka.bootstrap_servers):
        pass
    seen: list[Record] = []
    await all_caught_up(bus.consumer("daohu.tests", [topic]), seen)
    assert sorted(int(r.value) for r in seen) == list(range(20))


async def test_a_member_killed_while_it_gives_partitions_back_loses_nothing(
    bus: KafkaBus, own_kafka: Kafka, topic: str, tmp_path: Path
) -> None:
    await bus.producer().send([Message(topic, f"key-{n}", b"%d" % n) for n in range(20)])
    fault = {"DAOHU_FAULT": "tests.rebalance", "DAOHU_FAULT_FILE": str(tmp_path / "there")}
    seen: list[Record] = []
    async with member_that_holds(topic, own_kafka.bootstrap_servers, **fault):
        consumer = bus.consumer("daohu.tests", [topic])

        async def it_gives_back() -> bool:
            assert await consumer.poll(100, 0.1) == []
            return (tmp_path / "there").exists()

        await until(it_gives_back)
    await all_caught_up(consumer, seen)
    assert sorted(int(r.value) for r in seen) == list(range(20))
