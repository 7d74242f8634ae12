"""Connections of a server: how many there may be, how large a request's head may be, and how long one may stand still.

uvicorn bounds none of these with httptools. What is checked here costs a request two microseconds; who stands still is found by
a look at all connections once a second, so that no request starts a timer. No app hears of who is refused or cut here: it is
counted by its code, and a line a minute says how many there were.
"""

import time
from collections import Counter
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.errors import AddressTooLong, HeadTooLarge, NotHttp, Refusal, TooMany, Unavailable
from shared.metrics import CONNECTIONS_REFUSED
from shared.observability import log
from shared.problems import problem
from shared.settings import Settings

CLOSING_SECONDS = 10.0
"""A connection that was closed on our side and not on the other for so long is cut."""

SAID_EVERY_S = 60.0
"""A line of the log says how many were refused since the one before: a flood fills no log."""

MAX_PIPELINED = 16
"""Requests that a connection may send ahead of its answers. uvicorn queues any number: a packet of short ones fills megabytes, and
with each answer it takes the next packet."""

PIPELINED, SLOW_HEAD, SLOW_READER, TRAILERS = "pipelined", "slow_head", "slow_reader", "trailers"
"""Codes of those that are cut without an answer."""

_LINE = 4
"""Bytes of a header beside its name and value."""


class Connections:
    """All connections of one server. `Connection` is made for each by uvicorn, `sweep` is called once a second."""

    def __init__(self, settings: Settings, *, name: str) -> None:
        """`name`: the service whose metrics and log they stand in."""
        self.settings, self.name = settings, name
        self.open: set[Connection] = set()
        self._of_address: Counter[str] = Counter()
        self._unsaid: Counter[str] = Counter()
        self._says_at = time.monotonic()

    def protocol(self, **given: Any) -> "Connection":
        """What uvicorn asks for each connection."""
        return Connection(self, **given)

    def refusal(self, address: str) -> Refusal | None:
        """Why one more connection from this address is not taken."""
        if len(self.open) >= self.settings.max_connections:
            return Unavailable("The service has too many connections. Repeat the request.")
        if self._of_address[address] >= self.settings.max_address_connections:
            return TooMany("There are too many connections from your address. Close some.", CLOSING_SECONDS)
        return None

    def add(self, connection: "Connection", address: str) -> None:
        self.open.add(connection)
        self._of_address[address] += 1

    def remove(self, connection: "Connection", address: str) -> None:
        if connection in self.open:
            self.open.remove(connection)
            self._of_address -= Counter({address: 1})  # leaves no address behind that has none

    def note(self, code: str) -> None:
        """Counts one that was refused or cut."""
        CONNECTIONS_REFUSED.labels(self.name, code).inc()
        self._unsaid[code] += 1

    async def sweep(self) -> None:
        """Cuts the connections that stand still, and says how many were refused. Cost: a microsecond a connection."""
        now = time.monotonic()
        for connection in tuple(self.open):
            connection.look(now)
        if self._unsaid and now >= self._says_at:
            log(self.name).warning("connections_refused", codes=dict(self._unsaid), open=len(self.open))
            self._unsaid.clear()
            self._says_at = now + SAID_EVERY_S


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. A request whose head is too large is answered in place of the app, and ends its connection."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections, self._settings = connections, connections.settings
        self._address = ""
        self._in_head, self._head_bytes = False, 0
        self._stands: tuple[object, object] = (None, None)
        self._since = time.monotonic()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if (refusal := self._connections.refusal(self._address)) is not None:
            self._end(refusal)
            return
        self._connections.add(self, self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        came_before = self._in_head
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            if len(self.pipeline) > MAX_PIPELINED:
                self._cut(PIPELINED)
            else:
                self._end(NotHttp("This is no HTTP request."))
            return
        except (
            HttpParserUpgrade
        ):  # answered as if it had not asked for another protocol; uvicorn would write two lines each
            self.cycle.keep_alive = False
        if self._in_head and came_before:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                self._end(self._head_too_large())
        elif self.headers:  # trailers behind a body, which nothing of ours reads
            self._cut(TRAILERS)

    def on_message_begin(self) -> None:
        """Raises for one too many: the parser stops and tells `data_received`."""
        if len(self.pipeline) > MAX_PIPELINED:
            raise OverflowError
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
        else:
            self._connections.note(refusal.code)
            usual, self.app = self.app, refusing(refusal)
            super().on_headers_complete()
            self.app = usual
        self.headers = []  # the request has its own; what is added now came behind the body

    def _refusal(self) -> Refusal | None:
        settings, headers = self._settings, self.headers
        if len(self.url) > settings.max_target_bytes:
            return AddressTooLong(f"An address has at most {settings.max_target_bytes} bytes.")
        if len(headers) > settings.max_headers:
            return HeadTooLarge(f"Send at most {settings.max_headers} headers.")
        if sum([len(name) + len(value) + _LINE for name, value in headers]) + len(self.url) > settings.max_head_bytes:
            return self._head_too_large()
        return None

    def _head_too_large(self) -> Refusal:
        return HeadTooLarge(f"Address and headers have at most {self._settings.max_head_bytes} bytes together.")

    def _cut(self, code: str) -> None:
        self._connections.note(code)
        self.transport.close()

    def _end(self, refusal: Refusal) -> None:
        """Answers by itself and closes: there is no request, or none that an app should see."""
        self._connections.note(refusal.code)
        answer = problem(refusal)
        if self.cycle is None or self.cycle.response_complete:
            head = [STATUS_LINE[answer.status_code], b"connection: close\r\n"]
            head += [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()

    def look(self, now: float) -> None:
        """Cuts the connection if it has stood in one place for too long. A request in hand has its own limits (shared.limits)."""
        waiting = self.cycle is None or self.cycle.response_complete
        buffered = self.transport.get_write_buffer_size()
        stands: tuple[object, object]
        if buffered:
            stands, seconds = (self.cycle, buffered), self._settings.reader_stall_seconds
        elif self.transport.is_closing():
            stands, seconds = (None, None), CLOSING_SECONDS
        elif waiting:
            stands, seconds = (self.cycle, None), self._settings.head_seconds
        else:
            stands, seconds = (self.cycle, 0), float("inf")
        if stands != self._stands:
            self._stands, self._since = stands, now
        elif now - self._since > seconds:
            if buffered:
                self._connections.note(SLOW_READER)
            elif waiting and not self.transport.is_closing() and (self._in_head or self.cycle is None):
                self._connections.note(SLOW_HEAD)
            self.transport.abort()


def refusing(refusal: Refusal) -> ASGIApp:
    """An app that answers with this refusal whatever it is asked, and ends the connection."""
    answer: Response = problem(refusal)
    answer.headers["connection"] = "close"

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)

    return refuse
