"""Load over HTTP: so many callers, each with one request at a time on a connection of its own, for so many seconds."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvloop

CALLERS = 32
SECONDS = 3.0
SLOW_S = 30.0
"""An answer that takes longer ends the run with an error."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run saw. `per_s`: answers a second."""

    per_s: float


class _Caller(asyncio.Protocol):
    """Sends, waits for the whole answer, sends the next. Any status but the expected one ends the run."""

    def __init__(self, request: Callable[[], bytes], status: bytes, failed: asyncio.Future[None]) -> None:
        self._request, self._status, self._failed = request, status, failed
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        self.answers = 0
        self.stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        answer = self._answer = self._answer + data if self._answer else data
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = answer.index(b"content-length: ") + 16
        if len(answer) < end + 4 + int(answer[at : answer.index(b"\r", at)]):
            return
        if answer[9:12] != self._status:
            self._fail(f"answered {answer[:2000]!r}")
            return
        self._answer = b""
        self.answers += 1
        assert self._transport is not None
        if self.stopping:
            self._transport.close()
        else:
            self._transport.write(self._request())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.stopping:
            self._fail(f"connection lost: {error}")

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(RuntimeError(why))


def get(path: str, token: str = "") -> Callable[[], bytes]:
    """A GET, the same each time."""
    request = _head("GET", path, token) + b"\r\n"
    return lambda: request


def _head(method: str, path: str, token: str) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    return (head + (f"authorization: Bearer {token}\r\n" if token else "")).encode()


def drive(
    port: int, request: Callable[[], bytes], *, status: int = 200, callers: int = CALLERS, seconds: float = SECONDS
) -> Load:
    """Runs the callers against 127.0.0.1:port. Raises RuntimeError at the first answer that has another status."""
    return uvloop.run(_drive(port, request, str(status).encode(), callers, seconds))


async def _drive(port: int, request: Callable[[], bytes], status: bytes, callers: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    running: list[_Caller] = []
    for _ in range(callers):
        _, caller = await loop.create_connection(lambda: _Caller(request, status, failed), "127.0.0.1", port)
        running.append(caller)
    before, started = sum(caller.answers for caller in running), time.perf_counter()
    await asyncio.wait([failed], timeout=seconds)
    answers, took = sum(caller.answers for caller in running) - before, time.perf_counter() - started
    for caller in running:
        caller.stopping = True
    if failed.done():
        failed.result()
    assert answers, f"no answer within {seconds} s"
    return Load(answers / took)
