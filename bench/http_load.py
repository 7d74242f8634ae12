"""Load over HTTP: so many callers, each with one request at a time on a connection of its own, for so many seconds.

And the server that is under it, `http_server`, as a process of its own.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx
import uvloop

CALLERS = 32
SECONDS, WARM_SECONDS = 3.0, 0.3
STOP_SECONDS = 20.0


Requests = Callable[[], bytes]
"""Gives the next request each time it is called, whole."""


class _Caller(asyncio.Protocol):
    """Sends, waits for the whole answer, sends the next. Any status but the expected one ends the run."""

    def __init__(self, requests: Requests, status: bytes, failed: asyncio.Future[None]) -> None:
        self._requests, self._status, self._failed = requests, status, failed
        self._answer = b""
        self._transport: asyncio.Transport | None = None
        self.answers = 0
        self.stopping = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        self._transport.write(self._requests())

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
            self._transport.write(self._requests())

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(None)
        if not self.stopping:
            self._fail(f"connection lost: {error}")

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(RuntimeError(why))


class Target:
    """A server to measure, started by `with`. `paths`: what it has to be read."""

    def __init__(self, service: str, home: Path, database_url: str = "") -> None:
        self._line = [
            sys.executable,
            "-m",
            "bench.http_server",
            service,
            str(home),
            *([database_url] * bool(database_url)),
        ]
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.port: int = said["port"]
        self.paths: list[str] = said["paths"]
        self._token: str = said["token"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def gets(self, *paths: str, signed: bool = True) -> Requests:
        """GETs of these paths in turn."""
        sign = f"authorization: Bearer {self._token}\r\n" if signed else ""
        requests = itertools.cycle([f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{sign}\r\n".encode() for path in paths])
        return lambda: next(requests)

    def posts(self, path: str, body: Callable[[int], dict[str, Any]]) -> Requests:
        """POSTs, each with a key of its own; `body` is made from a number that comes once."""
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
        head += "content-type: application/json\r\nidempotency-key: "

        def request() -> bytes:
            number = next(self._numbers)
            text = json.dumps(body(number), separators=(",", ":"))
            return f"{head}{number}\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()

        return request

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One POST and its answer."""
        headers = {"authorization": f"Bearer {self._token}", "idempotency-key": str(next(self._numbers))}
        answer = httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said

    def rate(self, requests: Requests, *, status: int = 200, callers: int = CALLERS, seconds: float = SECONDS) -> float:
        """Answers a second. Raises RuntimeError at the first answer that has another status."""
        return uvloop.run(_drive(self.port, requests, str(status).encode(), callers, seconds))


async def _drive(port: int, requests: Requests, status: bytes, callers: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    running: list[_Caller] = []
    for _ in range(callers):
        _, caller = await loop.create_connection(lambda: _Caller(requests, status, failed), "127.0.0.1", port)
        running.append(caller)
    await asyncio.wait([failed], timeout=WARM_SECONDS)
    before, started = sum(caller.answers for caller in running), time.perf_counter()
    await asyncio.wait([failed], timeout=seconds)
    answers, took = sum(caller.answers for caller in running) - before, time.perf_counter() - started
    for caller in running:
        caller.stopping = True
    if failed.done():
        failed.result()
    await asyncio.wait([caller.ended for caller in running], timeout=STOP_SECONDS)
    if not answers:
        raise RuntimeError(f"no answer within {seconds} s")
    return answers / took
