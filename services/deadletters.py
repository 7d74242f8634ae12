"""What people do about events that could not be handled: look, retry, discard. For the embedded mode, while it is stopped."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from services.catalogue import NAMES, part
from services.embedded import lock
from shared import consumer
from shared.bus import LocalBus
from shared.db import Database
from shared.errors import NotFound
from shared.service import Service


async def everywhere(home: Path) -> list[tuple[str, ...]]:
    """(service, id, state, type, key, error, tries, at) of every open dead letter."""
    rows: list[tuple[str, ...]] = []
    for name in NAMES:
        database = Database(part(name).settings.of(home=home).url, service=name)
        async with database.read() as tx:
            for dead in await consumer.list_dead(tx):
                rows.append(
                    (
                        name,
                        str(dead.id),
                        dead.state,
                        dead.headers.get("ce_type", "?"),
                        dead.key,
                        dead.error,
                        str(dead.tries),
                        dead.at.isoformat(),
                    )
                )
        await database.close()
    return rows


@asynccontextmanager
async def _stopped(home: Path, name: str) -> AsyncIterator[Service]:
    """The service of a home that nobody runs. Raises NotFound, HomeInUse."""
    if name not in NAMES:
        raise NotFound(f"No service is called {name}. There are: {', '.join(NAMES)}.")
    made = part(name)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock(home))
        bus = LocalBus(home / "bus.db")
        await bus.start()
        stack.push_async_callback(bus.stop)
        service: Service = made.create_app(made.settings.of(home=home), bus).state.service
        stack.push_async_callback(service.database.close)
        yield service


async def retry(home: Path, name: str, id: int, actor: str) -> int:
    """Handles a dead letter and those parked behind it; returns how many went through."""
    async with _stopped(home, name) as service:
        return await service.group.retry(id, actor)


async def discard(home: Path, name: str, id: int, actor: str, reason: str) -> None:
    """Gives a dead letter up; the reason is kept in the audit."""
    async with _stopped(home, name) as service:
        await service.group.discard(id, actor, reason)
