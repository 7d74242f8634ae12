"""Makes the FastAPI app of a service: limits, sign-in, problems, health. The wiring of all four is the same."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response

from shared import metrics, problems
from shared.auth import TokenMiddleware
from shared.http import Directory
from shared.limits import Limits, Shares
from shared.observed import Observed
from shared.refusals import Refusals
from shared.seen.record import Finds, nobody
from shared.service import Service

PUBLIC = {
    "/livez": "a supervisor asks whether the process lives; the answer is one word",
    "/readyz": "a load balancer asks whether to send requests; the answer names no data",
    "/metrics": "Prometheus asks, from inside: the origin routes nobody there; counts and times, no data of a person",
    "/openapi.json": "the description of the API, the same for everybody",
}
"""Routes every service has that ask for no token, with the reason. Rooms name theirs with `public(reason)`."""

_HEALTH: dict[int | str, dict[str, Any]] = {503: {"description": "It is not; the answer has the same shape."}}

Resources = Mapping[str, Callable[[Service], AbstractAsyncContextManager[Any]]]
"""What a service holds open while it runs, by the name it has in `app.state`: the ledger's writer, a gateway."""


def build(
    service: Service,
    routers: Sequence[APIRouter],
    *,
    title: str,
    resources: Resources | None = None,
    finds: Finds = nobody,
) -> FastAPI:
    """The app of a service. Its resources open before its loops start and close after they stop.

    `finds`: whom the names in its addresses are about, for the record of looks.

    A process that only works (role `worker`) has neither: it answers for its health.
    """
    prefix = f"/{service.name}"

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(service.database.close)
            app.router.middleware_stack = Directory(app.router)
            for name, opened in (resources or {}).items() if service.serves else ():
                setattr(app.state, name, await stack.enter_async_context(opened(service)))
            await service.start()
            try:
                yield
            finally:
                await service.stop()

    app = FastAPI(
        title=title,
        version="1",
        lifespan=lifespan,
        openapi_url=None,  # FastAPI's own would write the document anew for each who asks, and everybody may
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would be made of the Host header, which anybody writes
    )
    app.state.service, app.state.finds, app.state.log = service, finds, service.log
    app.state.refusals = Refusals(service.name, service.log)
    for router in routers if service.serves else ():
        app.router.routes.extend(router.routes)  # `include_router` would match each request twice, and slowly
    _health(app, service, prefix)
    problems.describe(app)
    for kind, answer in problems.HANDLERS.items():
        app.add_exception_handler(kind, answer)
    settings = service.settings
    app.state.reading = asyncio.Semaphore(settings.imports_read_at_once)
    always = frozenset(f"{prefix}{path}" for path in ("/livez", "/readyz", "/metrics"))
    app.add_middleware(Shares, settings=settings, always=always)
    app.add_middleware(TokenMiddleware, verifier=service.verifier)
    app.add_middleware(Limits, settings=settings, always=always)
    app.add_middleware(
        Observed, service=service.name, spans=service.spans, log=service.log, every=settings.log_level == "DEBUG"
    )
    return app


def _health(app: FastAPI, service: Service, prefix: str) -> None:
    async def livez() -> Response:
        """Alive (存活): the process answers and its loops go on."""
        state = service.alive()
        return Response(orjson.dumps({"status": state}), 200 if state == "ok" else 503, media_type="application/json")

    async def readyz() -> Response:
        """Ready to serve (就绪): each part and its state."""
        checks = await service.ready()
        ready = all(state == "ok" for state in checks.values())
        return Response(
            orjson.dumps({"status": "ok" if ready else "not_ready", "checks": checks}),
            200 if ready else 503,
            media_type="application/json",
        )

    async def show_metrics() -> Response:
        """What Prometheus reads (docs/operations.md)."""
        await service.looks.take()
        return Response(metrics.text(service.name), media_type=metrics.CONTENT_TYPE)

    async def document() -> Response:
        """What this service takes and gives."""
        return Response(orjson.dumps(app.openapi()), media_type="application/json")

    app.add_api_route(f"{prefix}/openapi.json", document, include_in_schema=False)
    app.add_api_route(f"{prefix}/livez", livez, tags=["health"], response_model=None, responses=_HEALTH)
    app.add_api_route(f"{prefix}/metrics", show_metrics, include_in_schema=False)
    app.add_api_route(f"{prefix}/readyz", readyz, tags=["health"], response_model=None, responses=_HEALTH)
