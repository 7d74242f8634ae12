"""From a commit in one service to its effect in another: a fact recorded, published, heard, and the projection's row committed.

As in the cluster, three processes take part: the one that commits has no relay, the relay polls in a worker, the other service's
worker hears. Times are of the system's monotonic clock, which all processes share.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import quantiles
from typing import Any
from uuid import UUID

import structlog
import uvloop

from bench.env import Env
from bench.floors import send_receive
from bench.harness import Case
from bench.relay import fact
from services.funds.consumers import HANDLERS
from services.serving import settle_memory
from shared import migrate
from shared.clock import SystemClock
from shared.consumer import Group, Handler
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import HouseholdRecorded
from shared.heard import Heard
from shared.kafka import KafkaBus
from shared.keyring import Ring
from shared.outbox import Relay, append
from shared.pii import Vault
from shared.policy import PolicyBook
from shared.work import SYSTEM, Work

RATE, FACTS = 200.0, 2_200
LEAD_IN = 200
"""The first second does not count: a relay that had nothing to do for long looks every 250 ms only, and meets the rate from there."""

BARE = "bench.latency.bare"
DEADLINE_S = 120.0
VAULT = Vault(Ring.new())


class Services:
    """Registry commits here; its relay, the hearing funds, and the floor's receiver are processes of their own."""

    def __init__(self, env: Env) -> None:
        postgres, self.brokers = env.postgres, env.kafka.bootstrap_servers
        self.registry, funds = postgres.url(postgres.take()), postgres.url(postgres.take())
        self._numbers = itertools.count()
        self._runner = env.stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        self._runner.run(self._prepared(funds))
        spawn = get_context("spawn")
        self._heard, heard = spawn.Pipe(duplex=False)
        self._received, received = spawn.Pipe(duplex=False)
        for work, given in (
            (publish, (self.registry, self.brokers)),
            (hear, (funds, self.brokers, heard)),
            (send_receive.receive, (self.brokers, BARE, FACTS, received)),
        ):
            process = spawn.Process(target=work, args=given, daemon=True)
            process.start()
            env.stack.callback(process.join)
            env.stack.callback(process.terminate)
        settle_memory()
        # Everybody has joined, connected and planned once before a figure counts.
        self.ours(50)
        self.bare(50)

    def ours(self, percent: int) -> float:
        """Milliseconds from the commit to the effect, at this percentile."""
        committed = self._runner.run(self._commit())
        seen: dict[UUID, float] = _answer(self._heard)
        return _percentile([seen[id] - at for id, at in committed.items()][LEAD_IN:], percent)

    def bare(self, percent: int) -> float:
        self._runner.run(send_receive.send(self.brokers, BARE, FACTS, RATE))
        return _percentile(_answer(self._received)[LEAD_IN:], percent)

    async def _prepared(self, funds: str) -> None:
        for url, service in ((self.registry, "registry"), (funds, "funds")):
            database = Database(url, service=service)
            await migrate.upgrade(database)
            await database.close()
        bus = KafkaBus(self.brokers)
        await bus.start()
        await bus.create_topics([*sorted({handler.event.topic for handler in HANDLERS}), BARE])
        await bus.stop()

    async def _commit(self) -> dict[UUID, float]:
        """Each fact at its time, in a transaction of its own; answers when each was committed, by its id."""
        database, committed = Database(self.registry, service="registry"), dict[UUID, float]()

        async def one() -> None:
            recorded = fact(next(self._numbers))
            async with database.write() as tx:
                await append(tx, [recorded])
            committed[recorded.envelope.id] = time.monotonic()

        started = time.monotonic()
        async with asyncio.TaskGroup() as all_of_them:
            for number in range(FACTS):
                await asyncio.sleep(started + number / RATE - time.monotonic())
                all_of_them.create_task(one())
        await database.close()
        return committed


def publish(url: str, brokers: str) -> None:
    """The worker of registry: its relay. Runs until killed."""

    async def run() -> None:
        bus = KafkaBus(brokers)
        await bus.start()
        await Relay(Database(url, service="registry"), bus, "registry").run()

    _alone(run())


def hear(url: str, brokers: str, out: Connection) -> None:
    """The worker of funds: after each FACTS events it hands out when the effect of each was committed. Runs until killed."""

    async def run() -> None:
        bus, policies = KafkaBus(brokers), PolicyBook([])
        await bus.start()
        in_hand: list[UUID] = []
        seen: dict[UUID, float] = {}

        def noted(record: Callable[[Work, Sequence[Heard]], Any]) -> Callable[[Work, Sequence[Heard]], Any]:
            async def record_and_note(work: Work, heard: Sequence[Heard]) -> None:
                await record(work, heard)
                in_hand.extend(envelope.id for _, envelope in heard)

            return record_and_note

        def committed() -> None:
            now = time.monotonic()
            seen.update(dict.fromkeys(in_hand, now))
            in_hand.clear()
            if len(seen) >= FACTS:
                out.send(dict(seen))
                seen.clear()

        def work_for(tx: Any, envelope: Envelope) -> Work:
            return Work(tx, "funds", SYSTEM, SystemClock(), policies, VAULT, str(envelope.id))

        handlers: list[Handler] = [
            replace(each, batch=noted(each.batch)) if each.event is HouseholdRecorded and each.batch else each
            for each in HANDLERS
        ]
        await Group("funds", handlers, Database(url, service="funds"), bus, work_for, after_commit=committed).run()

    _alone(run())


def _alone(work: Coroutine[Any, Any, None]) -> None:
    """What a process of its own does until it is ended."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    settle_memory()
    uvloop.run(work)


def _answer(pipe: Connection) -> Any:
    if not pipe.poll(DEADLINE_S):
        raise TimeoutError(f"not all of {FACTS} heard within {DEADLINE_S:.0f} s")
    return pipe.recv()


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """In milliseconds."""
    return quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1e3


def cases(env: Env) -> list[Case]:
    services = Services(env)
    against = "aiokafka alone, send → receive in two processes at the same rate"
    return [
        Case(
            name=f"commit → effect in the other service, 200/s, p{percent}",
            unit="ms",
            sense="at most",
            target=5,
            measure=partial(services.ours, percent),
            floor=partial(services.bare, percent),
            against=against,
        )
        for percent in (50, 99)
    ]
