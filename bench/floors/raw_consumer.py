"""The same two writes by a consumer of aiokafka and asyncpg alone: 500 records received, read, written, committed, acknowledged.

Nothing is retried, parked, traced or counted, and a body is whatever JSON it is.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer

from bench.floors.two_writes import BATCH, INBOX, PROJECTION

COLUMNS = ("household_id", "household_no", "division", "head_name_masked", "people", "status")


async def rate(url: str, brokers: str, topics: Sequence[str], group: str, events: int) -> float:
    """Events a second from the first batch's commit to the last one's, by a group that begins at the oldest."""
    connection = await asyncpg.connect(url)
    inbox, projection = await connection.prepare(INBOX), await connection.prepare(PROJECTION)
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=brokers, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    taken, marks = 0, list[tuple[int, float]]()
    while taken < events:
        found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        records = [one for batch in found.values() for one in batch]
        if not records:
            continue
        headers = [{name: text.decode() for name, text in one.headers} for one in records]
        bodies = [orjson.loads(one.value) for one in records]
        ids = [UUID(one["ce_id"]) for one in headers]
        versions = [int(one["ce_aggregateversion"]) for one in headers]
        columns = [[body[name] for body in bodies] for name in COLUMNS]
        async with connection.transaction():
            await inbox.fetch(group, ids, datetime.now(UTC))
            await projection.fetch(*columns, versions)
        await consumer.commit({place: batch[-1].offset + 1 for place, batch in found.items()})
        taken += len(records)
        marks.append((taken, time.perf_counter()))
    await consumer.stop()
    await connection.close()
    (first, began), (last, ended) = marks[0], marks[-1]
    return (last - first) / (ended - began)
