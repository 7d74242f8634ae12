"""The relay: facts from an outbox to Kafka, in the order of their ids, each marked and given its position in the change feed."""

import asyncio
from time import perf_counter

import uvloop

from bench.env import Env
from bench.floors import raw_relay
from bench.harness import Case
from services.serving import settle_memory
from shared import migrate
from shared.clock import SystemClock
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import HouseholdRecorded
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.outbox import Fact, Relay, append

FACTS, WRITTEN = 30_000, 5_000
LOOK_S, DEADLINE_S = 0.01, 300.0


class Outbox:
    """The outbox of a registry, filled with facts of households that the last measurement left published."""

    def __init__(self, env: Env) -> None:
        self.server, self.name = env.postgres, env.postgres.take()
        self.url, self.brokers = self.server.url(self.name), env.kafka.bootstrap_servers
        self._runner = env.stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        self._runner.run(self._prepared())
        settle_memory()

    def ours(self) -> float:
        self._unpublish()
        return self._runner.run(self._published())

    def raw(self) -> float:
        self._unpublish()
        return self._runner.run(raw_relay.rate(self.url, self.brokers))

    def _unpublish(self) -> None:
        """As if they had just been recorded: written anew in one piece, with fresh indexes."""
        self.server.execute(
            "update outbox set published_at = null, position = null", "vacuum full analyze outbox", "checkpoint",
            database=self.name,
        )  # fmt: skip

    async def _prepared(self) -> None:
        database, bus = Database(self.url, service="registry"), KafkaBus(self.brokers)
        await migrate.upgrade(database)
        await bus.start()
        await bus.create_topics([HouseholdRecorded.topic])
        for start in range(0, FACTS, WRITTEN):
            async with database.write() as tx:
                await append(tx, [fact(n) for n in range(start, start + WRITTEN)])
        await bus.stop()
        await database.close()

    async def _published(self) -> float:
        database, bus = Database(self.url, service="registry"), KafkaBus(self.brokers)
        await bus.start()
        relay = Relay(database, bus, "registry")
        await relay.publish_once()  # its producer and its connections are there from then on
        left, started = await relay.unpublished(), perf_counter()
        running = asyncio.create_task(relay.run())
        async with asyncio.timeout(DEADLINE_S):
            while not await relay.all_out():  # noqa: ASYNC110 - the database knows
                await asyncio.sleep(LOOK_S)
        took = perf_counter() - started
        await relay.stop()
        await running
        await bus.stop()
        await database.close()
        return left / took


def fact(number: int) -> Fact:
    event = HouseholdRecorded(
        household_id=new_id(), household_no=f"61092610{number:09}", division=f"6109261{number % 10:02}201",
        head_name_masked="王*", people=1 + number % 6, status="registered",
    )  # fmt: skip
    envelope = Envelope(
        id=new_id(), type=event.type_name, source="/daohu/registry", subject=event.key, time=SystemClock().now(),
        division=event.division, actor="bench", aggregate_version=1,
    )  # fmt: skip
    return Fact(event, envelope)


def cases(env: Env) -> list[Case]:
    outbox = Outbox(env)
    against = "asyncpg and aiokafka: 500 rows, the same messages, sent, acknowledged, marked, the next"
    return [Case("relay", "/s", "at least", 0.8, outbox.ours, outbox.raw, 3, against)]
