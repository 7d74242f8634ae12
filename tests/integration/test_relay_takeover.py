"""Two relays of one service as processes, on PostgreSQL and Kafka: the standby goes on when the active one dies or stands still."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from shared import tables
from shared.bus import Record
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.outbox import HELD_IDLE_S, STANDBY_S, Fact, Relay, append
from shared.scope import Level
from tests.servers.postgres import Databases

ROOT = Path(__file__).parents[2]
TOPIC = DivisionRecorded.topic
TOWNS = [f"6109261{n:02d}000" for n in range(5)]
NOW = datetime(2016, 11, 1, 1, tzinfo=UTC)
DEADLINE_S = 60.0

RELAY = """
import asyncio, sys
from shared.db import Database
from shared.kafka import KafkaBus
from shared.outbox import Relay

async def main():
    bus = KafkaBus(sys.argv[2])
    await bus.start()
    await Relay(Database(sys.argv[1], service="registry"), bus, "registry").run()

asyncio.run(main())
"""

END_HOLDER = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, service="registry")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
async def bus(kafka: str) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(kafka)
    await bus.start()
    await bus.create_topics([TOPIC])
    yield bus
    await bus.stop()


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.02)


async def record(database: Database, numbers: range) -> None:
    """One fact of each town a number, in one transaction a number."""
    for n in numbers:
        facts = []
        for code in TOWNS:
            event = DivisionRecorded(code=code, name=f"name {n}", level=Level.TOWN)
            envelope = Envelope(
                id=new_id(), type=event.type_name, source="/daohu/registry", subject=event.key, time=NOW,
                division=code, actor="tester", aggregate_version=n,
            )  # fmt: skip
            facts.append(Fact(event, envelope))
        async with database.write() as tx:
            await append(tx, facts)


async def published(database: Database, bus: KafkaBus) -> dict[str, list[int]]:
    """Town → the versions of this database's facts, in the order in which each was first heard."""
    async with database.read() as tx:
        ours = {str(id) for id in await tx.scalars(select(tables.outbox.c.event_id))}
    consumer = bus.consumer(f"reader-{new_id()}", [TOPIC])
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_S):
        while not ours <= {r.headers["ce_id"] for r in records}:
            records += await consumer.poll(500, 0.5)
    await consumer.close()
    heard: dict[str, dict[int, None]] = {}
    for r in records:
        if r.headers["ce_id"] in ours:
            heard.setdefault(r.headers["ce_division"], {})[int(r.headers["ce_aggregateversion"])] = None
    return {town: list(versions) for town, versions in heard.items()}


async def start(database: Database, servers: str) -> Process:
    url = database.url.replace("+asyncpg", "")
    return await asyncio.create_subprocess_exec(sys.executable, "-c", RELAY, url, servers, stdout=PIPE, cwd=ROOT)


async def is_active(relay: Process) -> None:
    assert relay.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        while b"relay_active" not in await relay.stdout.readline():
            pass


async def test_a_relay_whose_session_was_ended_takes_the_lock_again(
    database: Database, bus: KafkaBus, postgres: Databases, postgres_url: str
) -> None:
    relay = Relay(database, bus, "registry")
    running = asyncio.create_task(relay.run())
    for n in range(3):
        await record(database, range(n * 10, n * 10 + 10))
        await until(relay.all_out)
        postgres.execute(END_HOLDER, database=postgres_url.rpartition("/")[2])
    await relay.stop()
    await running
    assert await published(database, bus) == {town: list(range(30)) for town in TOWNS}


def test_a_standby_takes_over_within_five_seconds() -> None:
    """The bound of the worst case, a machine that vanishes; a killed process gives its lock back at once."""
    assert HELD_IDLE_S + STANDBY_S < 5


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stands still"])
async def test_the_standby_goes_on(blow: signal.Signals, database: Database, bus: KafkaBus, kafka: str) -> None:
    watch = Relay(database, bus, "registry")
    active = await start(database, kafka)
    await is_active(active)
    standby = await start(database, kafka)
    try:
        await record(database, range(20))
        await until(watch.all_out)
        loading = asyncio.create_task(record(database, range(20, 200)))
        await asyncio.sleep(0.05)
        active.send_signal(blow)
        await is_active(standby)
        await loading
        await until(watch.all_out)
        if blow is signal.SIGSTOP:
            active.send_signal(signal.SIGCONT)  # it finds its session ended, and waits in its turn
            await record(database, range(200, 220))
            await until(watch.all_out)
            assert active.returncode is None
    finally:
        for relay in (active, standby):
            if relay.returncode is None:
                relay.kill()  # also of one that stands still
            await relay.wait()
    last = 200 if blow is signal.SIGKILL else 220
    assert await published(database, bus) == {town: list(range(last)) for town in TOWNS}
    async with database.read() as tx:
        positions = list(await tx.scalars(select(tables.outbox.c.position)))
    assert sorted(positions) == list(range(1, last * len(TOWNS) + 1))
