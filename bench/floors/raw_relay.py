"""A relay by asyncpg and aiokafka alone: 500 rows in order, sent with their headers, acknowledged, marked, the next.

No lock, no positions, no order kept through a failure, no size looked at: what the database and the broker's client cost.
"""

import asyncio
import time

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer

BATCH = 500
NEXT = "select id, topic, key, body, headers from outbox where published_at is null order by id limit $1"
MARK = "update outbox set published_at = now() where id = any($1)"


async def rate(url: str, brokers: str) -> float:
    """Rows a second, until none is left."""
    connection = await asyncpg.connect(url)
    producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, acks="all", compression_type="lz4")
    await producer.start()
    following, mark = await connection.prepare(NEXT), await connection.prepare(MARK)
    sent, started = 0, time.perf_counter()
    while rows := await following.fetch(BATCH):
        answers = []
        for _, topic, key, body, headers in rows:
            pairs = [(name, text.encode()) for name, text in orjson.loads(headers).items()]
            answers.append(await producer.send(topic, key=key.encode(), value=body, headers=pairs))
        await asyncio.gather(*answers)
        await mark.fetch([row[0] for row in rows])
        sent += len(rows)
    took = time.perf_counter() - started
    await producer.stop()
    await connection.close()
    return sent / took
