"""Limits of a connection and of a request's head, on a real server: each at its edge, by bytes written to a socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import structlog
import uvicorn
from scraped import shown
from starlette.types import Receive, Scope, Send

from services.connections import MAX_PIPELINED, SAID_EVERY_S, Connections
from services.serving import config, files_for, listen
from shared.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 5.0


class Doors(Settings):
    service = "doors"


NARROW: dict[str, Any] = {
    "max_target_bytes": 100,
    "max_headers": 5,
    "max_head_bytes": 400,
    "max_connections": 4,
    "max_address_connections": 3,
}


@dataclass
class App:
    """Notes what it was asked and says as many bytes as the path tells."""

    asked: list[Scope] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope)
        while (await receive()).get("more_body"):
            pass
        body = b"x" * int(scope["query_string"] or b"2")
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
        )
        await send({"type": "http.response.body", "body": body})


@dataclass
class Door:
    """A server, and what stands behind it."""

    port: int
    app: App
    connections: Connections

    async def opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def answer(self, *pieces: bytes) -> str:
        """All that comes back until the server closes, after these pieces were sent one by one."""
        reader, writer = await self.opened()
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE_S):
            said = b""
            with contextlib.suppress(ConnectionError):
                said = await reader.read()
        writer.close()
        return said.decode()

    async def swept(self, moved_on: float) -> None:
        """A look at the connections, and another when so many seconds seem to have passed."""
        await self.connections.sweep()
        for connection in self.connections.open:
            connection._since -= moved_on
        await self.connections.sweep()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[Door]:
    app, bound = App(), listen("127.0.0.1", 0)
    settings = Doors(**NARROW)
    made = config(app, settings, name="doors", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(made)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    serving = asyncio.create_task(server.serve([bound]))
    async with asyncio.timeout(PATIENCE_S):
        while not server.started:
            await asyncio.sleep(0.01)
    assert made.callback_notify is not None
    connections: Connections = made.callback_notify.__self__  # type: ignore[attr-defined]
    yield Door(bound.getsockname()[1], app, connections)
    server.should_exit = True
    await serving


@pytest_asyncio.fixture(loop_scope="module")
async def door(house: Door) -> Door:
    house.app.asked.clear()
    return house


def get(path: str = "/", *headers: str, end: str = "\r\n") -> bytes:
    return ("\r\n".join([f"GET {path} HTTP/1.1", "connection: close", *headers]) + "\r\n" + end).encode()


def status(said: str) -> int:
    return int(said.split(" ", 2)[1]) if said else 0


async def test_an_address_of_the_limit_passes_and_one_byte_more_does_not(door):
    assert status(await door.answer(get("/" + "a" * 99))) == 200
    refused = await door.answer(get("/" + "a" * 100))
    assert (status(refused), "address_too_long" in refused, len(door.app.asked)) == (414, True, 1)


async def test_so_many_headers_pass_and_one_more_does_not(door):
    assert status(await door.answer(get("/", *["a: 1"] * 4))) == 200
    refused = await door.answer(get("/", *["a: 1"] * 5))
    assert (status(refused), "head_too_large" in refused, len(door.app.asked)) == (431, True, 1)


async def test_a_head_of_the_limit_passes_and_one_byte_more_does_not(door):
    room = 400 - len("/") - len("connection: close\r\n") - len("a: \r\n")
    assert status(await door.answer(get("/", "a: " + "x" * room))) == 200
    assert status(await door.answer(get("/", "a: " + "x" * (room + 1)))) == 431


async def test_a_head_that_does_not_end_is_refused_when_it_is_too_large(door):
    refused = await door.answer(b"GET / HTTP/1.1\r\n", *[b"a: " + b"x" * 90 + b"\r\n"] * 5)
    assert (status(refused), door.app.asked) == (431, [])


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00 not http\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost a\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\na\x00b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_clean_request_is_refused_as_a_problem(door, sent):
    said = await door.answer(sent)
    assert (status(said), "not_http" in said, "application/problem+json" in said) == (400, True, True)


async def test_trailers_reach_no_request_and_end_the_connection(door):
    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    await door.answer(head, b"1\r\na\r\n0\r\nauthorization: Bearer x\r\n", b"a: b\r\n\r\n")
    assert [scope["headers"] for scope in door.app.asked] == [[(b"transfer-encoding", b"chunked")]]


async def test_requests_follow_each_other_on_one_connection(door):
    keep = get().replace(b"close", b"keep-alive")
    said = await door.answer(keep, keep[:10], keep[10:] + keep, get())
    assert said.count("HTTP/1.1 200") == 4


async def test_so_many_connections_of_an_address_are_taken_and_no_more(door):
    held = [await door.opened() for _ in range(3)]
    await asyncio.sleep(0.05)
    refused = await door.answer(get())
    assert (status(refused), "too_many_requests" in refused, "retry-after" in refused) == (429, True, True)
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.05)
    assert status(await door.answer(get())) == 200
    await asyncio.sleep(0.05)
    assert (door.connections.open, dict(door.connections._of_address)) == (set(), {})


async def test_so_many_connections_of_all_are_taken_and_no_more(door):
    held = [await door.opened() for _ in range(3)]
    await asyncio.sleep(0.05)
    door.connections.settings = Doors(**{**NARROW, "max_connections": 3})
    assert status(await door.answer(get())) == 503
    door.connections.settings = Doors(**NARROW)
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\na: "], ids=["nothing", "a line", "a header"])
async def test_who_does_not_end_a_head_is_cut(door, sent):
    reader, writer = await door.opened()
    writer.write(sent)
    await asyncio.sleep(0.05)
    await door.swept(9.0)
    assert len(door.connections.open) == 1
    await door.swept(2.0)
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_who_does_not_take_the_answer_is_cut_and_who_takes_it_slowly_is_not(door):
    (still, _), (slow, _) = held = [await door.opened() for _ in range(2)]
    for _, writer in held:
        writer.write(get("/?50000000"))
    await asyncio.sleep(0.2)
    await door.connections.sweep()
    async with asyncio.timeout(PATIENCE_S):
        await slow.readexactly(10_000_000)
        for connection in door.connections.open:
            connection._since -= 31.0
        await door.connections.sweep()
        with pytest.raises(asyncio.IncompleteReadError):
            await still.readexactly(50_000_000)
        assert len(await slow.read()) > 40_000_000
    for _, writer in held:
        writer.close()


async def test_a_request_in_hand_is_not_cut(door):
    reader, writer = await door.opened()
    writer.write(b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\na")
    await asyncio.sleep(0.05)
    await door.swept(1000.0)
    writer.write(b"b")
    async with asyncio.timeout(PATIENCE_S):
        assert status((await reader.read()).decode()) == 200
    writer.close()


@pytest.mark.parametrize(
    ("trusted", "seen"), [("", "10.9.9.9"), ("192.168.0.0/16", "10.9.9.9"), ("10.0.0.0/8", "1.2.3.4")]
)
async def test_only_a_trusted_proxy_says_who_calls(trusted, seen):
    clients = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clients.append(scope["client"][0])

    made = config(app, Doors(trusted_proxies=trusted))
    made.load()
    headers = [(b"x-forwarded-for", b"1.2.3.4")]
    await made.loaded_app({"type": "http", "client": ("10.9.9.9", 1), "scheme": "http", "headers": headers}, None, None)
    assert clients == [seen]


@pytest.mark.parametrize(
    ("soft", "hard", "then"),
    [
        (1024, 524_288, (2512, 2000)),
        (20_000, 20_000, (20_000, 2000)),
        (1024, -1, (2512, 2000)),
        (-1, -1, (-1, 2000)),
        (1024, 1024, (1024, 512)),
        (256, 256, (256, 128)),
    ],
)
async def test_connections_leave_files_for_the_work_behind_them(soft, hard, then):
    assert files_for(2000, soft, hard) == then


# Who is refused here is counted, and written down without filling the log


def refused() -> dict[str, float]:
    return {key[1]: count for key, count in shown("doors").items() if key[0] == "daohu_connections_refused_total"}


async def test_each_kind_of_refusal_is_counted_by_its_code(door):
    before = refused()
    for sent in (
        get("/" + "a" * 100),
        get("/", *["a: 1"] * 5),
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        get().replace(b"close", b"keep-alive") * (MAX_PIPELINED + 9),
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nauthorization: x\r\n\r\n",
    ):
        await door.answer(sent)
    reader, writer = await door.opened()
    writer.write(b"GET / HT")
    await asyncio.sleep(0.05)
    await door.swept(11.0)
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    new = {code: count - before.get(code, 0) for code, count in refused().items()}
    codes = ("address_too_long", "head_too_large", "not_http", "pipelined", "slow_head", "trailers")
    assert {code: new.get(code) for code in codes} == dict.fromkeys(codes, 1.0)


async def test_a_flood_is_one_line_a_minute_and_nothing_of_what_was_sent(door):
    door.connections._says_at = 0.0
    door.connections._unsaid.clear()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await door.answer(b"secret\x00\r\n\r\n")
            await door.connections.sweep()
        assert [(line["event"], line["codes"]) for line in lines] == [("connections_refused", {"not_http": 1})]
        door.connections._says_at -= SAID_EVERY_S
        await door.connections.sweep()
        await door.connections.sweep()
    assert [line["codes"] for line in lines] == [{"not_http": 1}, {"not_http": 2}]
    assert "secret" not in str(lines)


async def test_who_asks_far_ahead_of_the_answers_is_cut_and_holds_no_memory(door):
    keep = get().replace(b"close", b"keep-alive")
    assert (await door.answer(keep * MAX_PIPELINED + get())).count("HTTP/1.1 200") == MAX_PIPELINED + 1
    door.app.asked.clear()
    await door.answer(keep * 2000)
    assert len(door.app.asked) <= 1


async def test_another_protocol_is_not_begun_and_no_line_is_written(door, caplog):
    said = await door.answer(get("/", "upgrade: h2c").replace(b"close", b"upgrade"))
    assert (status(said), "connection: close" in said, caplog.records) == (200, True, [])
