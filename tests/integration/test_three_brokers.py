"""Three brokers, two of them killed in turn under load: nothing acknowledged is lost, no key's order breaks."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from shared.bus import BusError, Message, Record
from shared.ids import new_id
from shared.kafka import KafkaBus
from tests.servers.kafka import Kafka

KEYS = 50
BETWEEN = 30
"""Batches that are acknowledged before the next thing happens."""

DEADLINE_S = 120.0


@pytest.fixture
async def bus(three_brokers: Kafka) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(three_brokers.bootstrap_servers, replicas=3)
    await bus.start()
    yield bus
    await bus.stop()


async def test_two_brokers_killed_in_turn_under_load_lose_nothing(bus: KafkaBus, three_brokers: Kafka) -> None:
    topic = f"daohu.tests.thing-{new_id()}"
    await bus.create_topics([topic], partitions=6)
    producer, consumer = bus.producer(), bus.consumer("g", [topic])
    acknowledged, ending = 0, asyncio.Event()
    seen: dict[str, list[int]] = {f"key-{k}": [] for k in range(KEYS)}

    async def send() -> None:
        nonlocal acknowledged
        for n in count():
            batch = [Message(topic, f"key-{k}", b"%d" % n) for k in range(KEYS)]
            while True:
                try:
                    await producer.send(batch)
                    break
                except BusError:
                    await asyncio.sleep(0.1)
            acknowledged = n + 1
            if ending.is_set():
                return
            await asyncio.sleep(0.01)

    async def hear() -> None:
        while not (sending.done() and all(acknowledged == len(numbers) for numbers in seen.values())):
            try:
                records: list[Record] = await consumer.poll(500, 0.1)
                for record in records:
                    if int(record.value) not in seen[record.key]:  # an inbox knows what comes again
                        seen[record.key].append(int(record.value))
                await consumer.commit({r.tp: r.offset + 1 for r in records})
            except BusError:
                await asyncio.sleep(0.1)

    async def goes_on() -> None:
        wanted = acknowledged + BETWEEN
        while acknowledged < wanted:
            await asyncio.sleep(0.05)

    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        tasks.create_task(hear())
        for broker in (1, 2):
            await goes_on()
            three_brokers.kill(broker)
            await goes_on()
            await asyncio.to_thread(three_brokers.start, broker)
        await goes_on()
        ending.set()
    assert seen == {f"key-{k}": list(range(acknowledged)) for k in range(KEYS)}
    assert await bus.health() == "ok"
