"""Makes the FastAPI app of a service: limits, sign-in, problems, health. The wiring of all four is the same."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import metrics
from shared.auth import TokenMiddleware
from shared.errors import Conflict, FieldError, Malformed, NotFound, Refusal, StorageFull, TooLarge, Unavailable
from shared.failures import place_of, storage_full
from shared.http import Directory
from shared.observed import Observed, route_of
from shared.service import Service

PROBLEM = "application/problem+json"
MAX_ERRORS = 100

PUBLIC = {
    "/livez": "a supervisor asks whether the process lives; the answer is one word",
    "/readyz": "a load balancer asks whether to send requests; the answer names no data",
    "/metrics": "Prometheus asks, from inside: the origin routes nobody there; counts and times, no data of a person",
    "/openapi.json": "the description of the API, the same for everybody",
}
"""Routes every service has that ask for no token, with the reason. Rooms name theirs with `public(reason)`."""

Resources = Mapping[str, Callable[[Service], AbstractAsyncContextManager[Any]]]
"""What a service holds open while it runs, by the name it has in `app.state`: the ledger's writer, a gateway."""


def build(service: Service, routers: Sequence[APIRouter], *, title: str, resources: Resources | None = None) -> FastAPI:
    """The app of a service. Its resources open before its loops start and close after they stop.

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
        title=title, version="1", lifespan=lifespan, openapi_url=f"{prefix}/openapi.json", docs_url=None, redoc_url=None
    )
    app.state.service = service
    for router in routers if service.serves else ():
        app.router.routes.extend(router.routes)  # `include_router` would match each request twice, and slowly
    _health(app, service, prefix)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (DBAPIError, PoolTimeout, OSError):  # OSError: refused, unreachable, a name that is not found, too late
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(Exception, _broken)
    settings = service.settings
    app.add_middleware(TokenMiddleware, verifier=service.verifier)
    app.add_middleware(
        Limits,
        max_body=settings.max_body_bytes,
        max_import=settings.max_import_bytes,
        seconds=settings.request_seconds,
    )
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

    app.add_api_route(f"{prefix}/livez", livez, tags=["health"], response_model=None)
    app.add_api_route(f"{prefix}/metrics", show_metrics, include_in_schema=False)
    app.add_api_route(f"{prefix}/readyz", readyz, tags=["health"], response_model=None)


def problem(refusal: Refusal) -> Response:
    """A refusal as RFC 9457 problem+json."""
    body: dict[str, Any] = {
        "type": f"/problems/{refusal.code}",
        "title": refusal.code.replace("_", " "),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "errors": [{"field": e.field, "code": e.code, "message": e.message} for e in refusal.errors[:MAX_ERRORS]],
        "retryable": refusal.retryable,
        **refusal.facts,
    }
    headers = {"retry-after": "1"} if refusal.retryable else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(body), refusal.status, headers=headers, media_type=PROBLEM)


async def refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return problem(error)


async def invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [  # the input itself is not repeated: it may hold personal data
        FieldError(".".join(str(part) for part in e["loc"]), str(e["type"]), str(e["msg"]))
        for e in error.errors()[:MAX_ERRORS]
    ]
    return problem(Malformed("Correct the fields named in `errors`.", errors=errors))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = NotFound("There is nothing at this address.") if error.status_code == 404 else Refusal(str(error.detail))
    if error.status_code != 404:
        refusal.status, refusal.code = error.status_code, f"http_{error.status_code}"
    return problem(refusal)


async def _database(request: Request, error: Exception) -> Response:
    refusal = _database_refusal(error)
    request.app.state.service.log.error(
        "database_failed", route=route_of(request.scope), error=type(error).__name__, code=refusal.code
    )
    return problem(refusal)


def _database_refusal(error: Exception) -> Refusal:
    """A database error as what it is: a clash of two writers, a value no column takes, or a failure that may pass."""
    if isinstance(error, IntegrityError):
        return Conflict("Somebody else wrote the same at this moment; nothing was changed. Repeat it or read it again.")
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "pgcode", None) or ""
        driver = getattr(error.orig, "__cause__", None) or error.orig
        if state.startswith("22") or isinstance(driver, ValueError):
            return Malformed("A value is out of the range that can be stored. Correct it.")
    if storage_full(error):
        return StorageFull()
    return Unavailable("The database did not answer. Repeat with the same Idempotency-Key: nothing is done twice.")


async def _broken(request: Request, error: Exception) -> Response:
    request.app.state.service.log.error(
        "request_failed", route=route_of(request.scope), error=type(error).__name__, where=place_of(error)
    )
    refusal = Refusal("A fault of ours; it is on record. Repeat with the same Idempotency-Key: nothing is done twice.")
    refusal.status, refusal.code = 500, "internal"
    return problem(refusal)


class Limits:
    """Body size and time of a request (pure ASGI). Imports, whose path says so, have a body limit of their own."""

    def __init__(self, app: ASGIApp, *, max_body: int, max_import: int, seconds: float) -> None:
        self.app, self.max_body, self.max_import, self.seconds = app, max_body, max_import, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.max_import if "/imports/" in scope["path"] else self.max_body
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        too_large = TooLarge(f"Send at most {limit} bytes.", limit_bytes=limit)
        if not length.isdigit() or int(length) > limit:
            await problem(too_large)(scope, receive, send)
            return
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_large
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                await self.app(scope, counted, noted)
        except TimeoutError:
            if not started:
                late = Unavailable("It took too long. Repeat with the same Idempotency-Key: nothing is done twice.")
                await problem(late)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops and waits no longer; of itself it would answer 500
            if started:
                raise
            ends = Unavailable("The process ends. Repeat with the same Idempotency-Key: nothing is done twice.")
            await problem(ends)(scope, receive, send)
