"""Connections of a server: how many there may be, how large a request's head may be, and how long one may stand still.

uvicorn bounds none of these with httptools. What is checked here costs a request two microseconds; who stands still is found by
a look at all connections once a second, so that no request starts a timer.
"""

import time
from collections import Counter
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.errors import AddressTooLong, HeadTooLarge, NotHttp, Refusal, TooMany, Unavailable
from shared.problems import problem
from shared.settings import Settings

CLOSING_SECONDS = 10.0
"""A connection that was closed on our side and not on the other for so long is cut."""

_LINE = 4
"""Bytes of a header beside its name and value."""


class Connections:
    """All connections of one server. `Connection` is made for each by uvicorn, `sweep` is called once a second."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.open: set[Connection] = set()
        self._of_address: Counter[str] = Counter()

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

    async def sweep(self) -> None:
        """Cuts the connections that stand still. Cost: a microsecond a connection."""
        now = time.monotonic()
        for connection in tuple(self.open):
            connection.look(now)


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
        super().data_received(data)
        if self._in_head and came_before:
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_head_bytes:
                self._end(self._head_too_large())
        elif self.headers:  # trailers behind a body, which nothing of ours reads
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
        else:
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

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, as uvicorn found."""
        self._end(NotHttp("This is no HTTP request."))

    def _end(self, refusal: Refusal) -> None:
        """Answers by itself and closes: there is no request, or none that an app should see."""
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
            self.transport.abort()


def refusing(refusal: Refusal) -> ASGIApp:
    """An app that answers with this refusal whatever it is asked, and ends the connection."""
    answer: Response = problem(refusal)
    answer.headers["connection"] = "close"

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, receive, send)

    return refuse
