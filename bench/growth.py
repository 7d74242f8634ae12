"""What one more household, posting and event costs at three and ten counties, and what is kept of it, against the same at one.

docs/scale.md builds on it.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import perf_counter

import psycopg
import uvloop

from bench.consumer import VAULT
from bench.county_file import HOUSEHOLDS_A_COUNTY, county_files, divisions_file
from bench.env import Env
from bench.harness import Case
from bench.postings import Ledger
from bench.relay import LOOK_S, fact
from services.funds.consumers import HANDLERS
from services.funds.proofs import sequencer
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared import migrate
from shared.clock import SystemClock
from shared.consumer import TAKEN, Group
from shared.db import Database
from shared.kafka import KafkaBus
from shared.outbox import Relay, append
from shared.policy import PolicyBook
from shared.testing import running, settings_for
from shared.work import SYSTEM, Work
from tests.servers.kafka import Kafka

COUNTIES = (3, 10)
TARGET = 1.1
WARM = 2_000
WRITTEN = 5_000
DEADLINE_S = 600.0
CALLERS = 32
MB = 1e6

LEDGER = ("ledger_entry", "ledger_posting", "log_node", "log_checkpoint")
"""What grows with each entry. Accounts grow with the households, their sums with the villages."""

SIZE = "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"


def cases(env: Env) -> list[Case]:
    imports, events = Imports(env), Events(env)
    ledger = cache(lambda counties: Counted(env, counties))

    def case(what: str, unit: str, figure: Callable[[int], float], rounds: int, counties: int) -> Case:
        name = f"{what}, at {counties} counties ÷ at 1"
        return Case(
            name, unit, "at most", TARGET, lambda: figure(counties), lambda: figure(1), rounds, "the same at 1 county"
        )

    figures: list[tuple[str, str, Callable[[int], float], int]] = [
        ("cost per household imported", "µs", imports.last_of, 1),
        ("cost per posting", "µs", lambda counties: 1e6 / ledger(counties).rate(), 3),
        ("cost per event, relayed and taken", "µs", events.last_of, 1),
        # From the runs above: nothing is measured twice.
        ("storage a county, registry's tables", "MB", lambda counties: imports.stored[counties], 1),
        ("storage a county, the outbox among them", "MB", lambda counties: imports.outbox[counties], 1),
        ("storage a county, Kafka's log of its households", "MB", lambda counties: events.log[counties], 1),
        ("storage a county, inbox and projection of funds", "MB", lambda counties: events.heard[counties], 1),
        ("storage an entry, with its postings and its log", "bytes", lambda counties: ledger(counties).stored(), 1),
    ]  # fmt: skip
    return [case(*figure, counties) for figure in figures for counties in COUNTIES]


class Imports:
    """Whole counties taken over one after the other, into one registry on PostgreSQL."""

    def __init__(self, env: Env) -> None:
        self._env, folder = env, env.room("counties")
        self._files = list(county_files(folder, max(COUNTIES)))
        self._divisions = [divisions_file(folder / f"divisions-{n}.xlsx", n) for n in range(max(COUNTIES))]
        self._runs = 0
        self.stored: dict[int, float] = {}
        self.outbox: dict[int, float] = {}

    def last_of(self, counties: int) -> float:
        """Microseconds a household (with its 3.2 people) of the last county took."""
        self._runs += 1
        server, home = self._env.postgres, self._env.room(f"home-{self._runs}")
        name = server.take()
        files = [*map(str, self._divisions[:counties]), "--", *map(str, self._files[:counties])]
        line = [sys.executable, "-m", "bench.registry_worker", server.url(name), str(home), *files]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.stored[counties] = _size(server.url(name)) / counties / MB
        self.outbox[counties] = _size(server.url(name), ["outbox"]) / counties / MB
        server.give_back(name)
        seconds = [json.loads(said)["seconds"] for said in done.stdout.splitlines()]
        assert len(seconds) == counties
        return float(seconds[-1]) / HOUSEHOLDS_A_COUNTY * 1e6


class Counted:
    """A ledger of so many counties that knows what its entries took."""

    def __init__(self, env: Env, counties: int) -> None:
        self._url = env.postgres.url(env.postgres.take())
        self._home = env.room(f"ledger-{counties}")
        self._ledger = Ledger(env, self._url, counties)
        self._before = self._sealed()

    def rate(self) -> float:
        return self._ledger.rate(CALLERS)

    def stored(self) -> float:
        """Bytes an entry that was posted by `rate`."""
        (size, entries), (more, all_entries) = self._before, self._sealed()
        return (more - size) / (all_entries - entries)

    def _sealed(self) -> tuple[int, int]:
        """(bytes, entries) when all are in the log."""
        self._ledger.run(self._seal())
        with psycopg.connect(self._url) as connection:
            ((entries,),) = connection.execute("select count(*) from ledger_entry").fetchall()
        return _size(self._url, LEDGER), entries

    async def _seal(self) -> None:
        async with running(settings_for(Settings, self._home, self._url), metadata, ()) as live:
            await sequencer.seal(live.service)


class Events:
    """Events of whole counties: from the registry's outbox through Kafka into the projections of the funds service."""

    def __init__(self, env: Env) -> None:
        self._env, self._runs = env, 0
        self.log: dict[int, float] = {}
        self.heard: dict[int, float] = {}

    def last_of(self, counties: int) -> float:
        """Microseconds an event of the last county took, from its outbox row to its effect."""
        self._runs += 1
        folder = self._env.room(f"kafka-{self._runs}")
        kafka, server = Kafka(folder), self._env.postgres
        registry, funds = server.take(), server.take()
        try:
            flow = _flow(counties, server.url(registry), server.url(funds), kafka.bootstrap_servers)
            took = uvloop.run(flow)
            with_warm = (counties + WARM / HOUSEHOLDS_A_COUNTY) * MB
            self.log[counties] = _segments(folder) / with_warm
            self.heard[counties] = _size(server.url(funds), ["inbox", "household"]) / with_warm
            return took / HOUSEHOLDS_A_COUNTY * 1e6
        finally:
            kafka.stop()
            server.give_back(registry)
            server.give_back(funds)


def _size(url: str, tables: Sequence[str] = ()) -> int:
    """Bytes of these tables (none: all) with their indexes."""
    with psycopg.connect(url) as connection:
        query = f"{SIZE} and relname = any(%s)" if tables else SIZE
        ((size,),) = connection.execute(query, [list(tables)] if tables else None).fetchall()
        return int(size)


def _segments(folder: Path) -> int:
    """Bytes of the log segments of the services' topics."""
    return sum(path.stat().st_size for path in folder.glob("**/daohu.*/*.log"))


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
