"""What people do about events that could not be handled: look, retry, discard, replay. In both modes.

Embedded: while the home is stopped. On PostgreSQL and Kafka: beside the running services.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from services.catalogue import NAMES, part
from services.embedded import lock
from shared import dead_letters
from shared.bus import Bus
from shared.db import Database
from shared.dead_letters import DeadLetter
from shared.errors import NotFound
from shared.kafka import KafkaBus
from shared.local_bus import LocalBus
from shared.replay import Choice, preview
from shared.replay import replay as run_replay
from shared.service import Service


async def everywhere(home: Path, only: str | None = None) -> list[tuple[str, DeadLetter]]:
    """(service, letter) of every open letter, in the order of their ids. Raises NotFound for an unknown service."""
    found = []
    for name in [_known(only)] if only else _within_reach(home):
        database = Database(part(name).settings.of(home=home).url, service=name)
        try:
            last = 0
            while True:
                async with database.read() as tx:
                    letters = await dead_letters.list_dead(tx, after=last)
                if not letters:
                    break
                found += [(name, letter) for letter in letters]
                last = letters[-1].id
        finally:
            await database.close()
    return found


async def show(home: Path, name: str, id: int) -> list[tuple[str, str]]:
    """(name, value) of what is known of a letter, without personal data. Raises NotFound."""
    async with _in_hand(home, name) as service, service.database.read() as tx:
        letter = await dead_letters.read_dead(tx, service.group.name, id)
        behind = await dead_letters.parked_behind(tx, letter)
    return [*dead_letters.described(letter), ("parked behind", str(behind))]


async def retry(home: Path, name: str, id: int, actor: str) -> tuple[int, DeadLetter | None]:
    """Handles a dead letter and those parked behind it; how many went through, and the one that failed again, if one did.

    Raises NotFound, NotTheDeadOne.
    """
    async with _in_hand(home, name) as service:
        taken = await service.group.retry(id, actor)
        async with service.database.read() as tx:
            letter = await dead_letters.read_dead(tx, service.group.name, id)
            head = await dead_letters.head_of(tx, service.group.name, (letter.topic, letter.key))
    return taken, head


async def discard(home: Path, name: str, id: int, actor: str, reason: str) -> int:
    """Gives a dead letter up; the reason is kept in the audit. Answers how many parked behind it took effect.

    Raises NotFound, NotTheDeadOne, MoneyIsNeverSkipped.
    """
    async with _in_hand(home, name) as service:
        return await service.group.discard(id, actor, reason)


async def replay(home: Path, name: str, choice: Choice, *, actor: str, reason: str, dry_run: bool) -> Counter[str]:
    """Takes past records again, or only says what that would do; raises as `shared.replay.replay`."""
    async with _in_hand(home, name) as service:
        await service.bus.start()
        if dry_run:
            return await preview(service.group, choice)
        return await run_replay(service.group, choice, actor=actor, reason=reason)


@asynccontextmanager
async def _in_hand(home: Path, name: str) -> AsyncIterator[Service]:
    """A service without its loops. Raises NotFound, and HomeInUse in the embedded mode."""
    made = part(_known(name))
    settings = made.settings.of(home=home)
    async with AsyncExitStack() as stack:
        bus: Bus
        if settings.kafka_bootstrap_servers:
            bus = KafkaBus(settings.kafka_bootstrap_servers, client_id=f"daohu-{name}-operator")
        else:
            stack.enter_context(lock(home))
            bus = LocalBus(home / "bus.db")
        stack.push_async_callback(bus.stop)
        service: Service = made.create_app(settings, bus).state.service
        stack.push_async_callback(service.database.close)
        yield service


def _within_reach(home: Path) -> Sequence[str]:
    """A process of a cluster was given the database of its own service alone; without any, all lie under the home."""
    given = [name for name in NAMES if part(name).settings.of(home=home).database_url]
    return given or NAMES


def _known(name: str) -> str:
    if name not in NAMES:
        raise NotFound(f"No service is called {name}. There are: {', '.join(NAMES)}.")
    return name
