"""`daohu run`: one service as one process, on PostgreSQL and Kafka. It waits for what it stands on, serves, and stops in order."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

import uvicorn
import uvloop
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import ASGIApp, Receive, Scope, Send

from services import catalogue, rounds
from services.catalogue import Part
from services.serving import config, settle_memory
from shared import keys, migrate
from shared.bus import Bus, BusError, came
from shared.errors import Unavailable
from shared.failures import place_of
from shared.kafka import KafkaBus
from shared.keyfiles import KeyFileBroken, KeyFileExposed
from shared.observability import log
from shared.policy import PackRefused
from shared.problems import problem
from shared.service import Service
from shared.settings import Settings
from shared.topics import all_topics
from shared.watchdog import Watchdog

STOPPED, FAILED = 0, 1
"""Exit codes: it was asked to stop · a loop of it ended, it broke, or what it stands on is not what this release needs."""

LOOK_AGAIN_S = 0.5
"""How soon a database or a broker that did not answer is asked again."""

BEAT_S = 0.5
"""How often the event loop shows the watchdog that it goes on."""


class Misplaced(Exception):
    """A setting or a key that a process of a cluster needs is not there. The text says which."""


class NotPrepared(Exception):
    """Tables or topics are missing, or of another release. The text says what to do."""


class Door:
    """In front of the app (pure ASGI): until `open`, only questions after its health are let in."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self.app, self.open = app, False
        self._always = {f"/{name}/{path}" for path in ("livez", "readyz", "metrics")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.open or scope["type"] != "http" or scope["path"] in self._always:
            await self.app(scope, receive, send)
        else:
            await problem(Unavailable("The service is starting or stopping. Repeat the request."))(scope, receive, send)


class _Server(uvicorn.Server):
    """Signals are the process's, which ends in order, not the server's."""

    def capture_signals(self) -> Any:
        return nullcontext()


def run(name: str, listen: Callable[[], socket.socket], **given: Any) -> int:
    """Runs a service until it is asked to stop (SIGTERM, SIGINT) or cannot go on; answers the exit code. Raises Misplaced."""
    part = catalogue.part(name)
    settings = part.settings.of(**given)
    _require(settings)
    listening = listen()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_live(part, settings, listening))
        except (PackRefused, KeyFileBroken, KeyFileExposed) as refusal:
            log(settings.service).critical("not_prepared", reason=str(refusal))
        except Exception as error:  # named by its kind and place: a traceback's text may quote a person
            log(settings.service).critical("broken", error=type(error).__name__, where=place_of(error))
    return FAILED


def _require(settings: Settings) -> None:
    """A process of a cluster guesses nothing. Raises Misplaced."""
    if not settings.kafka_bootstrap_servers:
        raise Misplaced("Set DAOHU_KAFKA_BOOTSTRAP_SERVERS. For one process without Kafka: `daohu up`.")
    if not settings.url.startswith("postgres"):
        name = f"DAOHU_{settings.service.upper()}_DATABASE_URL"
        raise Misplaced(f"Set {name} to a PostgreSQL database. For one process on SQLite: `daohu up`.")
    if missing := keys.missing(settings):
        raise Misplaced(
            f"There is no {', '.join(missing)}. `daohu migrate` or `daohu keys init` makes the keys of a deployment, once; "
            "every process gets the same ones."
        )


async def _live(part: Part, settings: Settings, listening: socket.socket) -> int:
    name = f"daohu-{settings.service}-{settings.role}"
    bus = KafkaBus(settings.kafka_bootstrap_servers, replicas=settings.topic_replicas, client_id=name)
    app = part.create_app(settings, bus)
    service: Service = app.state.service
    if settings.clock == "movable" and service.works:
        app.router.routes.extend(rounds.router(service).routes)
    settle_memory()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    door = Door(app, service.name)
    graceful = max(1, int(settings.stop_seconds / 2))  # the other half is the loops'
    server = _Server(config(door, settings, name=service.name, lifespan="off", timeout_graceful_shutdown=graceful))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.database.close)
        stack.push_async_callback(bus.stop)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        stack.push_async_callback(_end, server, serving)
        try:
            if not await _prepared(service, asked):
                return STOPPED
            if service.works:
                await bus.start()
                if not await _has_topics(service, bus):
                    stack.callback(asyncio.create_task(_look_for_topics(service, bus)).cancel)
            async with _watched(service), app.router.lifespan_context(app):
                door.open = True
                service.log.info("serving", role=settings.role)
                await _first(asked.wait(), service.failed.wait(), asyncio.shield(serving))
                await _end(server, serving)  # requests in hand are answered before anything they stand on closes
        except NotPrepared as refusal:
            service.log.critical("not_prepared", reason=str(refusal))
            return FAILED
    code = STOPPED if asked.is_set() and not service.failed.is_set() else FAILED
    service.log.info("stopped", code=code)
    return code


async def _end(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    """Takes no new request, and returns when those in hand are answered or given up."""
    server.should_exit = True
    await serving


@asynccontextmanager
async def _watched(service: Service) -> AsyncIterator[None]:
    """The process ends with EXIT_STUCK when its event loop or its consumer stands still."""
    beat = 0

    async def go_on() -> None:
        nonlocal beat
        while True:
            beat += 1
            await asyncio.sleep(BEAT_S)

    watched: dict[str, Callable[[], int]] = {"loop": lambda: beat}
    if service.works and service.handlers:
        watched["consumer"] = lambda: service.group.progress
    watchdog = Watchdog(watched, after_s=service.settings.stuck_seconds)
    beating = asyncio.create_task(go_on())
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
        beating.cancel()


async def _first(*waits: Awaitable[Any]) -> None:
    """Returns when one of them is over; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _prepared(service: Service, asked: asyncio.Event) -> bool:
    """Waits until the database answers, then holds it against this release. False when asked to stop before that.

    Raises NotPrepared.
    """
    service.waits_for = "the database"
    while not asked.is_set():
        try:
            await migrate.require(service.database)
            break
        except migrate.NotMigrated as error:
            raise NotPrepared(str(error)) from None
        except (OSError, DBAPIError, PoolTimeout) as error:
            service.log.warning("database_waits", error=type(error).__name__)
            await came(asked, LOOK_AGAIN_S)
    service.waits_for = ""
    return not asked.is_set()


async def _has_topics(service: Service, bus: Bus) -> bool:
    """Whether the topics of this release are there; False while Kafka cannot tell. Raises NotPrepared.

    A broker that does not answer is no reason to wait: an API serves without it, and loops wait for it by themselves.
    """
    try:
        there = await bus.topics()
    except (OSError, BusError) as error:
        service.log.warning("kafka_waits", error=type(error).__name__)
        return False
    if missing := sorted(set(all_topics()) - there):
        raise NotPrepared(f"{len(missing)} topics are missing, {missing[0]} first; run `daohu migrate`")
    return True


async def _look_for_topics(service: Service, bus: Bus) -> None:
    """For a worker that began while Kafka was away: ends it should the topics not be there when Kafka is back."""
    try:
        while not await _has_topics(service, bus):
            await came(service.failed, LOOK_AGAIN_S)
    except NotPrepared as refusal:
        service.log.critical("not_prepared", reason=str(refusal))
        service.failed.set()
