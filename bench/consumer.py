"""The consumer with its inbox and a projection: events of households from Kafka into the tables of the funds service.

Timed from the first batch's commit to the last one's: received, read, checked against the inbox, written, committed.
"""

import asyncio
import itertools
from time import perf_counter

import uvloop

from bench.env import Env
from bench.floors import raw_consumer, two_writes
from bench.floors.two_writes import Household
from bench.harness import Case
from services.funds.consumers import HANDLERS
from services.serving import settle_memory
from shared import migrate
from shared.bus import Message
from shared.clock import SystemClock
from shared.consumer import TAKEN, Group
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import HouseholdRecorded
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.keyring import Ring
from shared.pii import Vault
from shared.policy import PolicyBook
from shared.work import SYSTEM, Work

EVENTS = 60_000
SENT = 5_000
DEADLINE_S = 300.0
VILLAGES = [f"6109261{n % 10:02}2{n // 10:02}" for n in range(100)]
VAULT = Vault(Ring.new())


class County:
    """Events of one county's households on a broker, and the database that hears of them."""

    def __init__(self, env: Env) -> None:
        self.server, self.name = env.postgres, env.postgres.take()
        self.url = self.server.url(self.name)
        self.brokers = env.kafka.bootstrap_servers
        self.households: list[Household] = [
            (new_id(), f"61092610{n:09}", VILLAGES[n % 100], "王*", 1 + n % 6, "registered", 1) for n in range(EVENTS)
        ]
        self._numbers = itertools.count()
        self._runner = env.stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        self._runner.run(self._prepared())
        settle_memory()

    def empty(self) -> None:
        self.server.execute("truncate inbox, household", "checkpoint", database=self.name)

    def rate(self) -> float:
        """Events a second, by a group that begins at the oldest."""
        self.empty()
        return self._runner.run(self._taken())

    def raw(self) -> float:
        """Events a second, by a consumer without our kit."""
        self.empty()
        group = f"raw{next(self._numbers)}"
        return self._runner.run(raw_consumer.rate(self.url, self.brokers, [HouseholdRecorded.topic], group, EVENTS))

    async def _prepared(self) -> None:
        database = Database(self.url, service="funds")
        await migrate.upgrade(database)
        await database.close()
        bus = KafkaBus(self.brokers)
        await bus.start()
        await bus.create_topics(sorted({handler.event.topic for handler in HANDLERS}))
        producer = bus.producer()
        for start in range(0, EVENTS, SENT):
            await producer.send([_message(one) for one in self.households[start : start + SENT]])
        await bus.stop()

    async def _taken(self) -> float:
        database, bus = Database(self.url, service="funds"), KafkaBus(self.brokers)
        await bus.start()
        policies, marks, done = PolicyBook([]), list[tuple[int, float]](), asyncio.Event()

        def committed() -> None:
            marks.append((group.counts[TAKEN], perf_counter()))
            if group.counts[TAKEN] == EVENTS:
                done.set()

        group = Group(
            f"funds{next(self._numbers)}", HANDLERS, database, bus,
            lambda tx, envelope: Work(tx, "funds", SYSTEM, SystemClock(), policies, VAULT, str(envelope.id)),
            after_commit=committed,
        )  # fmt: skip
        running = asyncio.create_task(group.run())
        async with asyncio.timeout(DEADLINE_S):
            await done.wait()
        await group.stop()
        await running
        await bus.stop()
        await database.close()
        (first, began), (last, ended) = marks[0], marks[-1]
        return (last - first) / (ended - began)


def _message(household: Household) -> Message:
    id, number, division, head, people, status, version = household
    event = HouseholdRecorded(
        household_id=id, household_no=number, division=division, head_name_masked=head, people=people, status=status,
    )  # fmt: skip
    envelope = Envelope(
        id=new_id(), type=event.type_name, source="/daohu/registry", subject=event.key, time=SystemClock().now(),
        division=division, actor="bench", aggregate_version=version,
    )  # fmt: skip
    return Message(event.topic, event.key, event.model_dump_json().encode(), envelope.headers())


def cases(env: Env) -> list[Case]:
    county = County(env)
    writes = two_writes.rate(county.url, county.households, county.empty)
    name, unit, rounds = "consumer with inbox and a projection", "/s", 3
    ready = "asyncpg: the same two writes of ready rows, unnested, in batches of 500; nothing is received or read"
    received = "aiokafka and asyncpg: the same records received, read, written in batches of 500, acknowledged"
    return [
        Case(name, unit, "at least", 0.5, county.rate, writes, rounds, ready),
        Case(f"{name}, against a raw consumer", unit, "at least", 0.5, county.rate, county.raw, rounds, received),
    ]
