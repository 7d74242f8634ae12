"""What aiokafka alone takes from send to receive, at a steady rate: one process sends, one receives, nothing else is done."""

import asyncio
import struct
import time
from multiprocessing.connection import Connection

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

STAMP = struct.Struct("d")
KEYS = 100


def receive(brokers: str, topic: str, messages: int, out: Connection) -> None:
    """The receiving process: after each so many messages it hands out how long each was under way, in seconds. Runs until killed."""
    uvloop.run(_receive(brokers, topic, messages, out))


async def _receive(brokers: str, topic: str, messages: int, out: Connection) -> None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, group_id="floor", auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    took: list[float] = []
    while True:
        found = await consumer.getmany(timeout_ms=1000)
        now = time.monotonic()
        took += [now - STAMP.unpack(one.value)[0] for batch in found.values() for one in batch]
        if len(took) >= messages:
            out.send(took)
            took = []


async def send(brokers: str, topic: str, messages: int, a_second: float) -> None:
    """Sends them at their times, whether or not the ones before were acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, acks="all")
    await producer.start()
    started, waiting = time.monotonic(), []
    for number in range(messages):
        await asyncio.sleep(started + number / a_second - time.monotonic())
        key = str(number % KEYS).encode()
        waiting.append(await producer.send(topic, key=key, value=STAMP.pack(time.monotonic())))
    await asyncio.gather(*waiting)
    await producer.stop()
