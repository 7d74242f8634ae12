"""What one more household, posting and event costs at ten counties, against the same at one. docs/scale.md builds on it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import uvloop

from bench.consumer import VAULT
from bench.county_file import HOUSEHOLDS_A_COUNTY, county_files, divisions_file
from bench.env import Env
from bench.harness import Case
from bench.postings import Ledger
from bench.relay import LOOK_S, fact
from services.funds.consumers import HANDLERS
from shared import migrate
from shared.clock import SystemClock
from shared.consumer import TAKEN, Group
from shared.db import Database
from shared.kafka import KafkaBus
from shared.outbox import Relay, append
from shared.policy import PolicyBook
from shared.work import SYSTEM, Work
from tests.servers.kafka import Kafka

COUNTIES = 10
TARGET = 1.1
WARM = 2_000
WRITTEN = 5_000
DEADLINE_S = 600.0
CALLERS = 32


def cases(env: Env) -> list[Case]:
    imports, events = Imports(env), Events(env)
    one, ten = (Ledger(env, env.postgres.url(env.postgres.take()), counties) for counties in (1, COUNTIES))

    def case(what: str, last: Callable[[], float], first: Callable[[], float], rounds: int) -> Case:
        name = f"cost per {what} at {COUNTIES} counties ÷ at 1"
        return Case(name, "µs", "at most", TARGET, last, first, rounds, "the same at 1 county")

    return [
        case("household imported", lambda: imports.last_of(COUNTIES), lambda: imports.last_of(1), 2),
        case("posting", lambda: 1e6 / ten.rate(CALLERS), lambda: 1e6 / one.rate(CALLERS), 5),
        case("event, relayed and taken", lambda: events.last_of(COUNTIES), lambda: events.last_of(1), 3),
    ]


class Imports:
    """Whole counties taken over one after the other, into one registry on PostgreSQL."""

    def __init__(self, env: Env) -> None:
        self._env, folder = env, env.room("counties")
        self._files = list(county_files(folder, COUNTIES))
        self._divisions = [divisions_file(folder / f"divisions-{n}.xlsx", n) for n in range(COUNTIES)]
        self._runs = 0

    def last_of(self, counties: int) -> float:
        """Microseconds a household (with its 3.2 people) of the last county took."""
        self._runs += 1
        server, home = self._env.postgres, self._env.room(f"home-{self._runs}")
        name = server.take()
        files = [*map(str, self._divisions[:counties]), "--", *map(str, self._files[:counties])]
        line = [sys.executable, "-m", "bench.registry_worker", server.url(name), str(home), *files]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        server.give_back(name)
        seconds = [json.loads(said)["seconds"] for said in done.stdout.splitlines()]
        assert len(seconds) == counties
        return float(seconds[-1]) / HOUSEHOLDS_A_COUNTY * 1e6


class Events:
    """Events of whole counties: from the registry's outbox through Kafka into the projections of the funds service."""

    def __init__(self, env: Env) -> None:
        self._env, self._runs = env, 0

    def last_of(self, counties: int) -> float:
        """Microseconds an event of the last county took, from its outbox row to its effect."""
        self._runs += 1
        kafka = Kafka(self._env.room(f"kafka-{self._runs}"))
        server = self._env.postgres
        registry, funds = server.take(), server.take()
        try:
            flow = _flow(counties, server.url(registry), server.url(funds), kafka.bootstrap_servers)
            return uvloop.run(flow) / HOUSEHOLDS_A_COUNTY * 1e6
        finally:
            kafka.stop()
            server.give_back(registry)
            server.give_back(funds)


async def _flow(counties: int, registry_url: str, funds_url: str, brokers: str) -> float:
    registry, funds = Database(registry_url, service="registry"), Database(funds_url, service="funds")
    bus = KafkaBus(brokers)
    await migrate.upgrade(registry)
    await migrate.upgrade(funds)
    await bus.start()
    await bus.create_topics(sorted({handler.event.topic for handler in HANDLERS}))
    relay = Relay(registry, bus, "registry")
    policies = PolicyBook([])
    group = Group(
        "funds", HANDLERS, funds, bus,
        lambda tx, envelope: Work(tx, "funds", SYSTEM, SystemClock(), policies, VAULT, str(envelope.id)),
    )  # fmt: skip
    loops = [asyncio.create_task(relay.run()), asyncio.create_task(group.run())]
    sent, took = 0, 0.0
    for number in (WARM, *[HOUSEHOLDS_A_COUNTY] * counties):
        async with registry.write() as tx:
            for start in range(sent, sent + number, WRITTEN):
                await append(tx, [fact(n) for n in range(start, min(start + WRITTEN, sent + number))])
        started = perf_counter()
        sent += number
        relay.wake()
        async with asyncio.timeout(DEADLINE_S):
            while group.counts[TAKEN] < sent:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(LOOK_S)
        took = perf_counter() - started
    await relay.stop()
    await group.stop()
    for loop in loops:
        with suppress(asyncio.CancelledError):
            await loop
    await bus.stop()
    await registry.close()
    await funds.close()
    return took
