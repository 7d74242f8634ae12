"""Around every request (pure ASGI): its metrics, its span, its line in the log. Never the query, a body or a name."""

import logging
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.metrics import REQUEST_SECONDS, REQUESTS
from shared.telemetry import Spans, failed

SLOW_SECONDS = 1.0
"""A request that takes longer is written down, as one that failed is. Writing every one down costs 0.06 ms each."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNWATCHED = ("/livez", "/readyz", "/metrics")
"""Asked every few seconds by machines: counted, but neither traced nor written down."""


def route_of(scope: Scope) -> str:
    """The address as the API describes it, without the ids in it."""
    route: str = getattr(scope.get("route"), "path", "unrouted")
    return route


class Observed:
    """One count and one duration a request; a span when traces are on; a line for what failed or was slow, or for `every` one."""

    def __init__(self, app: ASGIApp, *, service: str, spans: Spans, log: Any, every: bool) -> None:
        self.app, self.service, self.spans, self.log, self.every = app, service, spans, log, every
        self._counts: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self.spans.on and not scope["path"].endswith(UNWATCHED):
                await self._traced(scope, receive, noted, lambda: status)
            else:
                await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = route_of(scope)
            count, duration = self._of(method, route, status)
            count.inc()
            duration.observe(seconds)
            if status >= 500 or seconds >= SLOW_SECONDS or self.every:
                self._write(method, route, status, seconds)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, status: Callable[[], int]) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        # A caller without a trace begins one: "" is not a parent, and nothing else is at work in a request's task.
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
        with self.spans.span(
            method, kind=SpanKind.SERVER, parent=given, attributes={"http.request.method": method}
        ) as span:
            assert span is not None
            try:
                await self.app(scope, receive, send)
            finally:
                route = route_of(scope)
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status())
                if status() >= 500:
                    failed(span, str(status()))

    def _of(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        key = (method, route, status)
        if (found := self._counts.get(key)) is None:
            found = self._counts[key] = (
                REQUESTS.labels(self.service, method, route, str(status)),
                REQUEST_SECONDS.labels(self.service, method, route),
            )
        return found

    def _write(self, method: str, route: str, status: int, seconds: float) -> None:
        if route.endswith(UNWATCHED):
            return
        level = logging.WARNING if status >= 500 or seconds >= SLOW_SECONDS else logging.DEBUG
        self.log.log(level, "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
