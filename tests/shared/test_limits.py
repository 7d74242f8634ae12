"""Every limit of a request at its edge: the last that passes, the first that does not, and what it is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from scraped import shown
from starlette.types import Message, Receive, Scope, Send

from shared.db import new_metadata
from shared.errors import Malformed
from shared.http import In, Router, allow
from shared.limits import IMPORT_COSTS, Limits, Rate, Shares, is_import, require_shape
from shared.roles import Role
from shared.settings import Settings
from shared.testing import Running, running, settings_for


class Doors(Settings):
    service = "doors"


class Parcel(In):
    text: str | list[Any]


router = Router(prefix="/doors/v1/parcels", tags=["doors"])
waits = asyncio.Event()


@router.post("", status_code=201, dependencies=[allow(Role.TOWN_OFFICE)])
async def take(order: Parcel) -> dict[str, int]:
    return {"length": len(order.text)}


@router.get("", dependencies=[allow(Role.TOWN_OFFICE)])
async def wait() -> dict[str, bool]:
    await waits.wait()
    return {"ok": True}


PARCELS = "/doors/v1/parcels"
BARE = {"type": "http", "query_string": b""}
NARROW = {
    "max_body_bytes": 200,
    "max_json_depth": 3,
    "max_json_items": 10,
    "caller_requests_at_once": 2,
    "max_requests_at_once": 4,
    "caller_requests_per_second": 0.1,
    "caller_burst": 20,
    "address_requests_per_second": 0.1,
    "address_burst": 30,
    "body_stall_seconds": 0.05,
    "request_seconds": 5,
}


@pytest.fixture
async def live(tmp_path) -> AsyncIterator[Running]:
    waits.set()
    async with running(settings_for(Doors, tmp_path, **NARROW), new_metadata(), [router]) as live:
        yield live


def office(live: Running, subject: str = "tester", client: str = "tests"):
    return live.as_(Role.TOWN_OFFICE, subject=subject, client=client)


async def in_pieces(*pieces: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(pause)


def sized(length: int) -> bytes:
    frame = len(b'{"text":""}')
    return b'{"text":"' + b"x" * (length - frame) + b'"}'


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("whole", [True, False], ids=["announced", "in pieces"])
async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(live, whole):
    answers = []
    for length in (200, 201):
        body = sized(length)
        content = body if whole else in_pieces(body[:100], body[100:])
        answers.append(await office(live).post(PARCELS, content=content, headers=JSON))
    assert [answer.status_code for answer in answers] == [201, 413]
    assert answers[1].json()["limit_bytes"] == 200


@pytest.mark.parametrize("address", [f"{PARCELS}?book=%00", f"{PARCELS}?%00=x", f"{PARCELS}/a%00b"])
async def test_no_address_holds_the_character_of_code_0(live, address):
    answer = await office(live).get(address)
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert "%00" in answer.json()["detail"]


async def test_a_length_that_is_no_number_is_refused(live):
    for length in ("-1", "1e3", "0x10", "²", "0" * 5000 + "2"):
        headers = {**JSON, "content-length": length.encode("latin-1")}
        answer = await office(live).post(PARCELS, content=b"{}", headers=headers)
        assert answer.status_code == 413


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ([[]], 201),
        ([[[]]], 422),
        ([1] * 9, 201),
        ([1] * 10, 422),
        ("[[[[[{{{{{,,,,,,,,,,", 201),  # brackets in a text are no nesting
    ],
)
async def test_a_body_of_the_limits_depth_and_items_passes(live, text, code):
    answer = await office(live).post(PARCELS, {"text": text})
    assert answer.status_code == code
    assert code == 201 or answer.json()["code"] == "malformed"


@pytest.mark.parametrize(
    "body", [b"[" * 5000 + b"]" * 5000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[" * 33 + b"]" * 33]
)
def test_no_depth_breaks_the_reader(body):
    with pytest.raises(Malformed) as refusal:
        require_shape(body, depth=32, items=1000)
    assert refusal.value.facts == {"limit": 32}


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 600 + b"NaN" + b"}" * 600,
        orjson.dumps([1] * 100)[:-1] + b",Infinity]",
        ("[" * 40 + "]" * 40).encode("utf-16"),
        b'["\\ud800"' + b",1" * 100 + b"]",
    ],
    ids=["NaN", "Infinity", "UTF-16", "half a character"],
)
def test_what_only_a_lenient_reader_takes_is_not_passed_on_to_him(body):
    with pytest.raises(Malformed, match="no JSON"):
        require_shape(body, depth=32, items=50)


def test_more_items_than_the_limit_are_counted_over_all_lists():
    body = orjson.dumps([[1] * 10] * 10)
    require_shape(body, depth=2, items=110)
    with pytest.raises(Malformed):
        require_shape(body, depth=2, items=109)


async def test_a_sender_who_stands_still_is_refused_and_a_slow_one_is_not(live):
    slow = await office(live).post(PARCELS, content=in_pieces(*[b" "] * 5, b'{"text":"a"}', pause=0.02), headers=JSON)
    still = await office(live).post(PARCELS, content=in_pieces(b'{"text":', b'"a"}', pause=0.2), headers=JSON)
    assert (slow.status_code, still.status_code, still.json()["code"]) == (201, 408, "too_slow")
    assert still.headers["retry-after"] == "1"


async def test_a_caller_who_goes_away_in_the_middle_is_no_fault_of_ours(live):
    token, answers, came = live.token(Role.TOWN_OFFICE), list[Message](), iter([b'{"text":'])

    async def receive() -> Message:
        piece = next(came, None)
        return (
            {"type": "http.disconnect"} if piece is None else {"type": "http.request", "body": piece, "more_body": True}
        )

    async def send(message: Message) -> None:
        answers.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode()), (b"idempotency-key", b"k")]
    scope = {"type": "http", "method": "POST", "path": PARCELS, "headers": headers, "query_string": b"", "state": {}}
    await live.app(scope, receive, send)
    assert answers[0]["status"] == 408


async def test_a_caller_may_have_so_many_requests_in_hand(live):
    waits.clear()
    one = [asyncio.create_task(office(live, "one").get(PARCELS)) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await office(live, "one").get(PARCELS)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    others = [asyncio.create_task(office(live, "one", client).get(PARCELS)) for client in ("x", "y")]
    await asyncio.sleep(0)
    full = await office(live, "two").get(PARCELS)
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    assert (await office(live, "two").get("/doors/livez")).status_code == 200
    waits.set()
    assert [answer.status_code for answer in await asyncio.gather(*one, *others)] == [200] * 4
    assert (await office(live, "one").get(PARCELS)).status_code == 200


async def test_a_caller_may_ask_so_often_and_others_go_on(live):
    codes = [(await office(live, "often").get(PARCELS)).status_code for _ in range(21)]
    assert codes == [200] * 20 + [429]
    refused = await office(live, "often").get(PARCELS)
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert (await office(live, "seldom").get(PARCELS)).status_code == 200
    assert (await office(live, "often").get("/doors/readyz")).status_code == 200


async def test_who_has_no_token_counts_by_address(live):
    async def ask(address: str) -> int:
        transport = httpx.ASGITransport(live.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://daohu") as http:
            return (await http.get(PARCELS, headers={"authorization": "Bearer x.y.z"})).status_code

    assert [await ask("10.0.0.1") for _ in range(31)] == [401] * 30 + [429]
    assert await ask("10.0.0.2") == 401
    assert [await ask(f"2001:db8:1:2::{n:x}") for n in range(31)] == [401] * 30 + [429]
    assert await ask("2001:db8:1:3::1") == 401


def test_a_rate_lets_pass_what_it_says_and_no_more():
    rate = Rate(10, 5)
    assert [rate.take("a", 1, 100.0) for _ in range(5)] == [0.0] * 5
    assert rate.take("a", 1, 100.0) == pytest.approx(0.1)
    assert rate.take("a", 1, 100.11) == 0.0
    assert rate.take("a", 1, 100.11) > 0
    assert sum(rate.take("a", 1, 200 + step / 1000) == 0.0 for step in range(10_000)) == 104


def test_the_memory_of_callers_is_bounded():
    rate = Rate(1, 1, max_remembered=100)
    for number in range(10_000):
        rate.take(number, 1, number / 50)
    assert 50 <= len(rate) <= 100
    rate.take("busy", 1, 1000.0)
    assert rate.take("busy", 1, 1000.1) > 0


async def test_an_import_counts_as_many_requests():
    asked: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            asked.append(message["status"])

    settings = Doors(caller_requests_per_second=0.1, caller_burst=2 * IMPORT_COSTS, address_burst=2 * IMPORT_COSTS)
    shares = Shares(app, settings=settings, always=frozenset())
    scope = {**BARE, "method": "POST", "path": "/doors/v1/imports/x", "state": {}, "client": None}
    for _ in range(3):
        await shares(scope, None, send)  # type: ignore[arg-type]
    assert asked == [200, 200, 429]
    assert shown("doors")[("daohu_refusals_total", "too_many_requests", "doors")] >= 1.0


async def test_one_caller_leaves_room_for_the_imports_of_others():
    held, codes = asyncio.Event(), dict[str, list[int]]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    shares = Shares(app, settings=Doors(caller_imports_at_once=2), always=frozenset())

    def asked(path: str, address: str) -> asyncio.Task[None]:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                codes.setdefault(address, []).append(message["status"])

        scope = {**BARE, "method": "POST", "path": path, "state": {}, "client": (address, 1)}
        return asyncio.create_task(shares(scope, None, send))  # type: ignore[arg-type]

    tasks = [asked("/doors/v1/imports/x", "10.0.0.1") for _ in range(3)]
    tasks += [asked(PARCELS, "10.0.0.1"), asked("/doors/v1/imports/x", "10.0.0.2")]
    await asyncio.sleep(0)
    assert codes == {"10.0.0.1": [429]}
    held.set()
    await asyncio.gather(*tasks)
    assert codes == {"10.0.0.1": [429, 200, 200, 200], "10.0.0.2": [200]}
    await asked("/doors/v1/imports/x", "10.0.0.1")
    assert codes["10.0.0.1"][-1] == 200


async def test_so_many_imports_are_in_hand_and_other_requests_go_on():
    held, codes = asyncio.Event(), list[int]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            codes.append(message["status"])

    limits = Limits(app, settings=Doors(max_imports_at_once=2))

    def asked(path: str) -> asyncio.Task[None]:
        return asyncio.create_task(limits({**BARE, "path": path, "headers": []}, None, send))  # type: ignore[arg-type]

    tasks = [asked("/doors/v1/imports/x") for _ in range(3)] + [asked(PARCELS)]
    await asyncio.sleep(0)
    assert codes == [503]
    held.set()
    await asyncio.gather(*tasks)
    assert codes == [503, 200, 200, 200]


def test_only_the_routes_of_imports_take_large_bodies():
    paths = ["/registry/v1/imports/people", "/registry/v1/visits/imports/x", "/imports/x", "/registry/v1/importsx"]
    assert [is_import(path) for path in paths] == [True, False, False, False]
