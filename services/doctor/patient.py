"""What a doctor looks at: the home, the databases within reach, the bus, the house's clock. Nothing of it is changed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.catalogue import NAMES, part
from shared.bus import Bus
from shared.clock import Clock, MovableClock, SystemClock
from shared.db import Database
from shared.local_bus import LocalBus
from shared.settings import Settings

ANSWER_S = 30.0
"""A question that has no answer by then has none."""


@dataclass(frozen=True, slots=True)
class Patient:
    """`databases`: of the services within reach; None for one whose file is not there. `machine`: the machine's own clock."""

    home: Path
    settings: Settings
    databases: dict[str, Database | None]
    bus: Bus | None
    clock: Clock
    machine: Clock

    @property
    def embedded(self) -> bool:
        return not self.settings.kafka_bootstrap_servers


def within_reach(home: Path) -> Sequence[str]:
    """A process of a cluster was given the database of its own service alone; without any, all lie under the home."""
    given = [name for name in NAMES if part(name).settings.of(home=home).database_url]
    return given or NAMES


@asynccontextmanager
async def examined(home: Path, machine: Clock | None = None) -> AsyncIterator[Patient]:
    """Opens what is there; what is not is for the checks to say."""
    settings = Settings(home=home)
    machine = machine or SystemClock()
    clock: Clock = MovableClock(home / "clock") if (home / "clock").exists() else machine
    async with AsyncExitStack() as stack:
        databases = {name: _database(home, name, stack) for name in within_reach(home)}
        bus = _bus(home, settings)
        if bus is not None:
            stack.push_async_callback(bus.stop)
            async with asyncio.timeout(ANSWER_S):
                await bus.start()
        yield Patient(home, settings, databases, bus, clock, machine)


def _database(home: Path, name: str, stack: AsyncExitStack) -> Database | None:
    url = part(name).settings.of(home=home).url
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return None  # opening it would make it
    database = Database(url, service=name, pools=(2, 1), application="daohu-doctor", command_s=ANSWER_S)
    stack.push_async_callback(database.close)
    return database


def _bus(home: Path, settings: Settings) -> Bus | None:
    if settings.kafka_bootstrap_servers:
        from shared.kafka import KafkaBus  # a client that the embedded mode never loads

        return KafkaBus(settings.kafka_bootstrap_servers, client_id="daohu-doctor")
    return LocalBus(home / "bus.db") if (home / "bus.db").exists() else None
