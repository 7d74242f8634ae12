"""The embedded mode: four services, one process, SQLite, a local bus. The only place that knows it is embedded."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
from fastapi import Depends, FastAPI
from fastapi.responses import Response
from pydantic import AwareDatetime, Field
from starlette.types import Receive, Scope, Send

from services import catalogue, prepare
from services.openapi import combined
from services.token_endpoint import TokenEndpoint
from shared import keys, metrics
from shared.auth import TokenMiddleware
from shared.clock import MovableClock, SystemClock
from shared.errors import NotFound, Refusal, Unavailable
from shared.http import Gate, In
from shared.limits import Limits
from shared.local_bus import LocalBus
from shared.observability import log
from shared.problems import HANDLERS, describe, problem
from shared.refusals import Refusals
from shared.roles import Role
from shared.service import Service
from shared.settling import Standing, settle
from shared.topics import all_topics

SETTLE_SECONDS = 60.0


class HomeInUse(RuntimeError):
    """Another process runs on this home."""


RESTORING = "restoring"
"""A folder in a home that `daohu restore` works in; while it is there, the house is not whole."""


def lock(home: Path, *, whole: bool = True) -> IO[str]:
    """Takes a home for this process; it is given back when the process ends, however it ends.

    Raises HomeInUse; with `whole` also for a home into which a restore did not end.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise HomeInUse(f"{home}: another daohu runs here. Stop it, or choose another --home.") from None
    if whole and (home / RESTORING).exists():
        file.close()
        raise HomeInUse(f"{home}: a restore into it did not end. Give the same `daohu restore` again.")
    return file


class ClockIn(In):
    now: Annotated[AwareDatetime, Field(lt=datetime(2100, 1, 1, tzinfo=UTC))] | None = None


class ClockOut(In):
    now: datetime


class Embedded:
    """The whole house as one ASGI app: /registry, /funds, /assessment, /notify, and the house's own few routes.

    Raises KeyFileBroken when whose tokens count cannot be read.
    """

    def __init__(self, home: Path, **given: Any) -> None:
        """Raises KeyFileBroken, KeyFileExposed: without its keys a house does not begin."""
        keys.require(home)
        self.home, self.given = home, {"home": home, **given}
        self.bus = LocalBus(home / "bus.db")
        self.apps: dict[str, FastAPI] = {}
        self.house = FastAPI(
            lifespan=self._lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
        )
        self._document = b""
        self._house_routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = scope["path"][1:].partition("/")[0]
            if (app := self.apps.get(name)) is not None:
                await app(scope, receive, send)
                return
        await self.house(scope, receive, send)

    @property
    def services(self) -> list[Service]:
        return [app.state.service for app in self.apps.values()]

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        held = lock(self.home)
        async with AsyncExitStack() as stack:
            stack.callback(held.close)
            await prepare.tables(**self.given)
            await self.bus.start()
            stack.push_async_callback(self.bus.stop)
            await self.bus.create_topics(all_topics())
            for name in catalogue.NAMES:
                part = catalogue.part(name)
                app = part.create_app(part.settings.of(**self.given), self.bus)
                await stack.enter_async_context(app.router.lifespan_context(app))
                self.apps[name] = app
            yield
            self.apps.clear()

    def _house_routes(self) -> None:
        settings = catalogue.part("registry").settings.of(**self.given)
        clock = MovableClock(self.home / "clock") if settings.clock == "movable" else SystemClock()
        verifier = keys.verifier(settings, clock)

        async def livez() -> dict[str, str]:
            return {"status": "ok"}

        async def readyz() -> Response:
            checks = {service.name: await service.ready() for service in self.services}
            ready = bool(checks) and all(state == "ok" for parts in checks.values() for state in parts.values())
            body = orjson.dumps({"status": "ok" if ready else "not_ready", "checks": checks})
            return Response(body, 200 if ready else 503, media_type="application/json")

        async def show_metrics() -> Response:
            """What all four show, as one text."""
            for service in self.services:
                await service.looks.take()
            return Response(metrics.text(), media_type=metrics.CONTENT_TYPE)

        async def openapi() -> Response:
            """All four APIs as one document, and the sign-in of programs."""
            self._document = self._document or orjson.dumps(combined({**self.apps, "house": self.house}))
            return Response(self._document, media_type="application/json")

        async def nothing(_: Any, __: Exception) -> Response:
            return problem(NotFound("There is nothing at this address. /openapi.json lists what there is."))

        for path, answer in (
            ("livez", livez),
            ("readyz", readyz),
            ("metrics", show_metrics),
            ("openapi.json", openapi),
        ):
            self.house.add_api_route(f"/{path}", answer, response_model=None, include_in_schema=False)
        if settings.local_issuer:
            TokenEndpoint(self.home, clock).add_to(self.house)
        describe(self.house)
        self.house.state.log = log("house")
        self.house.state.refusals = Refusals("house", self.house.state.log)
        for kind, refuse in HANDLERS.items():
            self.house.add_exception_handler(kind, refuse)
        self.house.add_exception_handler(404, nothing)
        patient = settings.model_copy(
            update={"request_seconds": 3 * SETTLE_SECONDS}
        )  # the clock is moved, twice settled
        self.house.add_middleware(Limits, settings=patient)
        if settings.clock == "movable":
            gate = Gate(frozenset({Role.COUNTY_ADMIN}))
            self.house.add_api_route(
                "/demo/v1/clock",
                self._move_clock,
                methods=["POST"],
                dependencies=[Depends(gate.admit)],
                include_in_schema=False,
            )
            self.house.add_middleware(TokenMiddleware, verifier=verifier)

    async def _move_clock(self, order: ClockIn) -> ClockOut:
        """Let time pass (时间推进) until `now`; without it, only wait. Answers when nothing is left to do at that time."""
        clock = self.services[0].clock
        assert isinstance(clock, MovableClock)
        if order.now is not None:
            await self.settle()  # what belongs to the day that ends is done in it
            try:
                clock.move_to(order.now)
            except ValueError as error:
                raise Refusal(str(error)) from None
        await self.settle()
        return ClockOut(now=clock.now())

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Waits until nothing is left to do at the present time. Raises Unavailable after `seconds`."""

        async def run_jobs() -> None:
            for service in self.services:
                await service.run_jobs()

        async def ask() -> list[Standing]:
            return [await service.standing() for service in self.services]

        try:
            async with asyncio.timeout(seconds):
                await settle(run_jobs, ask)
        except TimeoutError:
            raise Unavailable("There is still work in hand. Ask again.") from None
