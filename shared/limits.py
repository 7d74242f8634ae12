"""Limits of a request (限流): its size, its shape, its time, how many at once, how many a second.

Beyond them it is refused before it costs anything: 413, 422, 408, 429 with Retry-After, or 503 when the process itself is full.
docs/limits.md lists them with their settings. Those of a connection and of a request's head are kept where bytes come in: services/connections.py.
"""

import asyncio
import time
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import Malformed, Refusal, TooLarge, TooMany, TooSlow, Unavailable
from shared.metrics import REFUSALS
from shared.problems import problem
from shared.settings import Settings

IMPORT_COSTS = 20
"""An import counts as so many requests of its caller's rate: reading a small file takes as long."""

_DIGITS = 18
"""Of a length: Python reads no number of thousands of digits, and zeros in front are digits too."""

MAX_REMEMBERED = 20_000
"""Callers whose rate is remembered. Who has been quiet is forgotten without loss; should all be busy, the oldest goes."""


def _counted(settings: Settings, refusal: Refusal) -> Response:
    """The answer of a refusal that no handler sees: the middleware stands around them."""
    REFUSALS.labels(settings.service, refusal.code).inc()
    return problem(refusal)


def is_import(path: str) -> bool:
    """Whether the path is one of `/<service>/v1/imports/…`."""
    return "/imports" in path and path.split("/", 4)[3:4] == ["imports"]


class Limits:
    """Body, time and number of the requests of a process (pure ASGI). Imports have a body limit of their own.

    `always`: paths that a supervisor asks; a full process answers them, or it would be ended for being busy.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, always: frozenset[str] = frozenset()) -> None:
        self.app, self.settings, self.always = app, settings, always
        self._requests = self._imports = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        imported = is_import(scope["path"])
        limit = self.settings.max_import_bytes if imported else self.settings.max_body_bytes
        if scope["path"] not in self.always and (refusal := self._refusal(scope, limit, imported)) is not None:
            await _counted(self.settings, refusal)(scope, receive, send)
            return
        self._requests += 1
        self._imports += imported
        try:
            await self._within(limit, scope, receive, send)
        finally:
            self._requests -= 1
            self._imports -= imported

    def _refusal(self, scope: Scope, limit: int, imported: bool) -> Refusal | None:
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:  # PostgreSQL keeps no text with it
            return Malformed("No address holds a character of code 0: leave %00 out.")
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not length.isdigit() or len(length) > _DIGITS or int(length) > limit:
            return _too_large(limit)
        full = imported and self._imports >= self.settings.max_imports_at_once
        if full or self._requests >= self.settings.max_requests_at_once:
            return Unavailable("The service is busy. Repeat with the same Idempotency-Key: nothing is done twice.")
        return None

    async def _within(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        seen, more, started = 0, True, False

        async def counted() -> Message:
            nonlocal seen, more
            if not more:  # what comes after the body is the news that the caller has gone
                return await receive()
            try:
                async with asyncio.timeout(self.settings.body_stall_seconds):
                    message = await receive()
            except TimeoutError:
                raise TooSlow(
                    "The body did not come on. Repeat with the same Idempotency-Key: nothing is done twice."
                ) from None
            more = message.get("more_body", False)
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.settings.request_seconds):
                await self.app(scope, counted, noted)
        except TimeoutError:
            if not started:
                late = Unavailable("It took too long. Repeat with the same Idempotency-Key: nothing is done twice.")
                await _counted(self.settings, late)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops and waits no longer; of itself it would answer 500
            if started:
                raise
            ends = Unavailable("The process ends. Repeat with the same Idempotency-Key: nothing is done twice.")
            await _counted(self.settings, ends)(scope, receive, send)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"Send at most {limit} bytes.", limit_bytes=limit)


class Rate:
    """So many requests a second for each key, and so many at once after a rest (the generic cell rate algorithm).

    Of each key one number is kept: the time until which what it has sent would take at its rate.
    """

    def __init__(self, per_second: float, burst: int, *, max_remembered: int = MAX_REMEMBERED) -> None:
        self._each, self._ahead, self._max = 1 / per_second, burst / per_second, max_remembered
        self._until: dict[Any, float] = {}

    def take(self, key: Any, cost: int, now: float) -> float:
        """0.0 when the key may; otherwise the seconds until it may. `now`: any clock that only goes forward."""
        until = self._until.get(key, now)
        until = (until if until > now else now) + cost * self._each
        if until - now > self._ahead:
            return until - now - self._ahead
        if len(self._until) >= self._max and key not in self._until:
            self._forget(now)
        self._until[key] = until
        return 0.0

    def __len__(self) -> int:
        return len(self._until)

    def _forget(self, now: float) -> None:
        """Makes room: who has rested is as good as unknown; a tenth of the others goes, so that this is done seldom."""
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        while len(self._until) > self._max * 9 // 10:
            del self._until[next(iter(self._until))]


class Shares:
    """What one caller may take (pure ASGI, inside the token check): requests a second, requests and imports at once. Beyond: 429.

    A caller is the subject of a token at a client; who has no valid token counts by address.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, always: frozenset[str]) -> None:
        self.app, self.settings, self.always = app, settings, always
        self._at_once, self._imports_at_once = settings.caller_requests_at_once, settings.caller_imports_at_once
        self._signed = Rate(settings.caller_requests_per_second, settings.caller_burst)
        self._unsigned = Rate(settings.address_requests_per_second, settings.address_burst)
        self._in_hand: dict[Any, int] = {}
        self._importing: dict[Any, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self.always:
            await self.app(scope, receive, send)
            return
        caller = scope["state"].get("caller")
        if caller is None:
            key, rate = (address_of(scope), ""), self._unsigned
        else:
            key, rate = (caller.client, caller.subject), self._signed
        imported = is_import(scope["path"])
        cost = IMPORT_COSTS if imported and scope["method"] == "POST" else 1
        room = self._in_hand.get(key, 0) < self._at_once
        if imported:
            room = room and self._importing.get(key, 0) < self._imports_at_once
        wait = rate.take(key, cost, time.monotonic()) if room else 1.0
        if wait:
            often = TooMany("You ask too often. Wait as Retry-After says, and repeat.", wait)
            await _counted(self.settings, often)(scope, receive, send)
            return
        taken = (self._in_hand, self._importing) if imported else (self._in_hand,)
        for held in taken:
            held[key] = held.get(key, 0) + 1
        try:
            await self.app(scope, receive, send)
        finally:
            for held in taken:
                held[key] -= 1
                if not held[key]:
                    del held[key]


def address_of(scope: Scope) -> str:
    """The caller's address; of IPv6 the network of 64 bits, which is one household's or one office's."""
    host: str = (scope.get("client") or ("",))[0]
    return ":".join(host.split(":", 4)[:4]) if ":" in host else host


def require_shape(body: bytes, *, depth: int, items: int) -> None:
    """Refuses JSON that is nested deeper, or holds more values, than any of ours. Raises Malformed.

    Counting brackets and commas tells in microseconds that most bodies are within; only the others are looked through. Of these
    what is no JSON is refused: who reads the body next takes NaN and UTF-16, and would go as deep as they lead.
    """
    brackets = body.count(b"[") + body.count(b"{")
    if brackets <= depth and brackets + body.count(b",") <= items:
        return
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if str(error).startswith("depth limit"):
            raise _too_deep(depth) from None
        raise Malformed("This is no JSON in UTF-8 (RFC 8259).") from None
    seen, deep, level = 0, 0, [value]
    while level := [inner for inner in level if isinstance(inner, dict | list)]:
        deep += 1
        if deep > depth:
            raise _too_deep(depth)
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        seen += len(level)
        if seen > items:
            raise Malformed(f"Send at most {items} values in one body.", limit=items)


def _too_deep(depth: int) -> Malformed:
    return Malformed(f"Nest a body at most {depth} deep.", limit=depth)
