"""A service that hears of divisions, for tests of the consumer loop: it fails, waits or dies where a test says so."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Column, Integer, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import tables
from shared.bus import Bus, Message
from shared.clock import SystemClock
from shared.consumer import Group, Handler, list_dead
from shared.db import Database, new_metadata
from shared.events.base import REGISTRY, Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.keyring import Ring
from shared.local_bus import LocalBus
from shared.pii import Vault
from shared.policy import PolicyBook
from shared.scope import Level
from shared.topics import dead_letter_topic, group_of
from shared.work import SYSTEM, Work

TOPIC = DivisionRecorded.topic
TOWNS = [f"6109261{n:02d}000" for n in range(11)]
NOW = datetime(2016, 11, 1, 1, tzinfo=UTC)
DEADLINE_S = 20.0

metadata = new_metadata()
effect = Table(
    "effect", metadata, Column("id", Integer, primary_key=True), Column("code", String(12)), Column("name", String(100))
)


class Desk:
    """A service that keeps each division it hears of as one row, and fails where a test says so."""

    def __init__(self, database: Database, bus: Bus, service: str, kind: type[DivisionRecorded]) -> None:
        self.database, self.bus, self.service, self.kind = database, bus, service, kind
        self.failures: dict[str, list[Exception]] = defaultdict(list)
        self.always: dict[str, Exception] = {}
        self.runs: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()
        self.group = self.new_group()

    def new_group(self) -> Group:
        return Group(self.service, [Handler(self.kind, self.on_division)], self.database, self.bus, self.work_for)

    def work_for(self, tx: AsyncConnection, envelope: Envelope) -> Work:
        vault = Vault(Ring.new())
        return Work(tx, "funds", SYSTEM, SystemClock(), PolicyBook([]), vault, causation_id=str(envelope.id))

    async def on_division(self, work: Work, event: DivisionRecorded, envelope: Envelope) -> None:
        self.runs[event.name] += 1
        await work.tx.execute(effect.insert().values(code=event.code, name=event.name))
        work.record(event, division=event.code)
        self.entered.set()
        await self.gate.wait()
        if event.name in self.always:
            raise self.always[event.name]
        if self.failures[event.name]:
            raise self.failures[event.name].pop(0)

    async def send(self, *names: str, code: str = TOWNS[0], id: UUID | None = None) -> None:
        await self.bus.producer().send([message(name, code, id, self.kind) for name in names])

    async def effects(self, code: str | None = None) -> list[str]:
        async with self.database.read() as tx:
            query = select(effect.c.name).order_by(effect.c.id)
            return list(await tx.scalars(query if code is None else query.where(effect.c.code == code)))

    async def count(self, table: Table) -> int:
        async with self.database.read() as tx:
            return len((await tx.execute(select(table))).all())

    async def recorded(self) -> int:
        """Facts of this service in its outbox, without the dead letters that are on their way to their topic."""
        async with self.database.read() as tx:
            return len((await tx.execute(select(tables.outbox).where(tables.outbox.c.topic == self.kind.topic))).all())

    async def letters(self) -> list[tuple[str, str]]:
        async with self.database.read() as tx:
            return [(letter.state, name_of(letter.body)) for letter in await list_dead(tx)]

    async def settle(self) -> None:
        """Runs the group until nothing is left, then stops it."""
        async with running(self.group):
            await until(self.group.settled)
        self.group = self.new_group()


def message(
    name: str, code: str = TOWNS[0], id: UUID | None = None, kind: type[DivisionRecorded] = DivisionRecorded
) -> Message:
    event = kind(code=code, name=name, level=Level.TOWN)
    envelope = Envelope(
        id=id or new_id(), type=event.type_name, source="/daohu/registry", subject=code, time=NOW,
        division=code, actor="tester", aggregate_version=1,
    )  # fmt: skip
    return Message(kind.topic, code, event.model_dump_json().encode(), envelope.headers())


def name_of(body: bytes) -> str:
    return DivisionRecorded.read(body).name


@asynccontextmanager
async def running(group: Group) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(group.run())
    try:
        yield task
    finally:
        await group.stop()
        await asyncio.wait([task])
    await task


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def new_desk(
    url: str, bus: Bus | None = None, *, service: str = "funds", kind: type[DivisionRecorded] = DivisionRecorded
) -> AsyncIterator[Desk]:
    database, bus = Database(url, service="funds"), bus or LocalBus(":memory:")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
    await bus.start()
    await bus.create_topics([kind.topic, dead_letter_topic(kind.topic, group_of(service))])
    yield Desk(database, bus, service, kind)
    await bus.stop()
    await database.close()


@contextmanager
def own_kind() -> Iterator[type[DivisionRecorded]]:
    """An event with a topic of its own, for a bus that others use too."""
    name = f"told{new_id().hex}"

    class Told(DivisionRecorded, type_name=f"tests.{name}.v1", topic=f"daohu.tests.{name}", key_field="code"):
        """A division, told in this test alone."""

    yield Told
    del REGISTRY[Told.type_name]
