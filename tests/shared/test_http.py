"""One request, one transaction; keys, refusals, roles, limits, health."""

import asyncio
from datetime import date
from uuid import UUID

import pytest
from fastapi import Request, Response
from sqlalchemy import Column, Integer, String, Table, func, insert, select

from shared import tables
from shared.db import DivisionCode, in_area, new_metadata
from shared.errors import Malformed, Refusal
from shared.events.registry import DivisionRecorded
from shared.http import (
    In,
    PageDep,
    Router,
    Small,
    WorkDep,
    allow,
    decode_cursor,
    encode_cursor,
    etag,
    page_of,
    public,
    require_match,
)
from shared.ids import new_id
from shared.roles import Role
from shared.settings import Settings
from shared.testing import COUNTY, OTHER_TOWN, TOWN, running, settings_for

metadata = new_metadata()
notes = Table(
    "note",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("division", DivisionCode),
    Column("text", String(100)),
)


class Notes(Settings):
    service = "notes"


class NoteIn(In):
    text: str
    division: str = TOWN


router = Router(prefix="/notes/v1/notes", tags=["notes"])


@router.post("", status_code=201, dependencies=[allow(Role.TOWN_OFFICE)])
async def add(work: WorkDep, order: NoteIn) -> dict[str, int]:
    done = await work.tx.execute(insert(notes).values(text=order.text, division=order.division))
    work.record(DivisionRecorded(code=order.division, name=order.text, level="town"), division=order.division)
    if order.text == "refuse me":
        raise Refusal("Not today. Come back tomorrow.", days_left=1)
    if order.text == "clash":
        await work.tx.execute(insert(notes).values(id=done.inserted_primary_key[0]))
    if order.text == "break":
        raise RuntimeError("610926199001011234 is not for the client")
    return {"id": done.inserted_primary_key[0]}


@router.get("", dependencies=[allow(Role.TOWN_OFFICE, Role.AUDITOR)])
async def list_notes(work: WorkDep, page: PageDep) -> dict[str, object]:
    after = decode_cursor(page.after, int)[0] if page.after else 0
    query = (
        select(notes)
        .where(in_area(notes.c.division, work.area), notes.c.id > after)
        .order_by(notes.c.id)
        .limit(page.limit + 1)
    )
    rows, following = page_of((await work.tx.execute(query)).all(), page.limit, lambda row: encode_cursor(row.id))
    return {"items": [row.text for row in rows], "next": following}


@router.patch("/{id}", dependencies=[allow(Role.TOWN_OFFICE)])
async def change(work: WorkDep, request: Request, response: Response, id: int) -> dict[str, int]:
    require_match(request, 3)
    response.headers["etag"] = etag(4)
    return {"id": id}


@router.get("/hello", dependencies=[public("a greeting holds no data")])
async def hello(work: WorkDep) -> str:
    return "hello"


@router.get("/area", dependencies=[public("the test looks at it")])
async def area(work: WorkDep) -> list[str]:
    return list(work.area.prefixes)


@pytest.fixture
async def live(tmp_path, database_url):
    async with running(settings_for(Notes, tmp_path, database_url, max_body_bytes=2000), metadata, [router]) as live:
        yield live


NOTES = "/notes/v1/notes"


async def count(live):
    async with live.service.database.read() as tx:
        rows = (await tx.execute(select(func.count()).select_from(notes))).scalar_one()
        facts = (await tx.execute(select(func.count()).select_from(tables.outbox))).scalar_one()
        return rows, facts


async def test_a_write_commits_its_row_and_its_fact_before_the_answer(live):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "one"})
    assert (answer.status_code, await count(live)) == (201, (1, 1))


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-longer-than-any-column", False),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
    ],
)
async def test_a_fact_carries_its_callers_trace_and_nothing_else_in_its_place(live, given, passed_on):
    await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "one"}, headers={"traceparent": given})
    async with live.service.database.read() as tx:
        headers = (await tx.execute(select(tables.outbox.c.headers))).scalar_one()
    assert headers.get("traceparent") == (given if passed_on else None)


async def test_a_refusal_leaves_nothing_and_says_what_to_do(live):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "refuse me"})
    body = answer.json()
    assert (answer.status_code, body["code"], body["days_left"], body["detail"]) == (
        409,
        "refused",
        1,
        "Not today. Come back tomorrow.",
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert await count(live) == (0, 0)


async def test_a_fault_leaves_nothing_and_tells_nothing(live):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "break"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "6109" not in answer.text
    assert await count(live) == (0, 0)


async def test_the_same_key_gets_the_first_answer_and_acts_once(live):
    office = live.as_(Role.TOWN_OFFICE)
    first = await office.post(NOTES, {"text": "one"}, key="k")
    again = await office.post(NOTES, {"text": "one"}, key="k")
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (201, first.json(), "true")
    assert await count(live) == (1, 1)


async def test_twenty_at_once_with_one_key_act_once(live):
    office = live.as_(Role.TOWN_OFFICE)
    answers = await asyncio.gather(*(office.post(NOTES, {"text": "one"}, key="k") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert await count(live) == (1, 1)


async def test_the_same_key_with_another_request_is_refused(live):
    office = live.as_(Role.TOWN_OFFICE)
    await office.post(NOTES, {"text": "one"}, key="k")
    answer = await office.post(NOTES, {"text": "two"}, key="k")
    assert (answer.status_code, answer.json().get("code")) == (409, "idempotency_key_reused")


async def test_keys_of_two_clients_do_not_meet(live):
    await live.as_(Role.TOWN_OFFICE, client="a").post(NOTES, {"text": "one"}, key="k")
    answer = await live.as_(Role.TOWN_OFFICE, client="b").post(NOTES, {"text": "two"}, key="k")
    assert (answer.status_code, await count(live)) == (201, (2, 2))


async def test_a_refused_act_may_be_tried_again_with_its_key(live):
    office = live.as_(Role.TOWN_OFFICE)
    assert (await office.post(NOTES, {"text": "refuse me"}, key="k")).status_code == 409
    assert (await office.post(NOTES, {"text": "one"}, key="k")).status_code == 201


@pytest.mark.parametrize(("key", "status"), [("", 422), ("x" * 100, 201), ("x" * 101, 422)])
async def test_a_post_carries_a_key_of_bounded_length(live, key, status):
    http = live.as_(Role.TOWN_OFFICE).http
    assert (await http.post(NOTES, json={"text": "one"}, headers={"idempotency-key": key})).status_code == status


async def test_without_a_token_the_answer_is_401_and_without_the_role_403(live):
    office = live.as_(Role.TOWN_OFFICE)
    del office.http.headers["authorization"]
    assert (await office.get(NOTES)).status_code == 401
    answer = await live.as_(Role.AUDITOR).post(NOTES, {"text": "one"})
    assert (answer.status_code, answer.json()["needs"]) == (403, ["town_office"])


async def test_the_county_administrator_has_no_right_that_is_not_named(live):
    assert (await live.as_(Role.COUNTY_ADMIN).post(NOTES, {"text": "one"})).status_code == 403


async def test_a_public_route_needs_no_token(live):
    office = live.as_(Role.TOWN_OFFICE)
    del office.http.headers["authorization"]
    assert (await office.get(f"{NOTES}/hello")).json() == "hello"


def test_a_route_that_names_nobody_does_not_start():
    with pytest.raises(AssertionError, match="say who may call it"):
        Router(prefix="/x", tags=["x"]).get("")(hello)


async def test_an_area_sees_its_own_and_the_county_sees_all(live):
    office = live.as_(Role.TOWN_OFFICE)
    for text, division in (("ours", TOWN), ("theirs", OTHER_TOWN)):
        await office.post(NOTES, {"text": text, "division": division})
    assert (await live.as_(Role.AUDITOR, division=TOWN).get(NOTES)).json()["items"] == ["ours"]
    assert (await live.as_(Role.AUDITOR, division=COUNTY).get(NOTES)).json()["items"] == ["ours", "theirs"]


async def test_pages_follow_each_other_without_gap(live):
    office = live.as_(Role.TOWN_OFFICE)
    for n in range(5):
        await office.post(NOTES, {"text": str(n)})
    seen, after = [], None
    while True:
        page = (await office.get(NOTES, limit=2, **({"after": after} if after else {}))).json()
        seen += page["items"]
        if (after := page["next"]) is None:
            break
    assert seen == ["0", "1", "2", "3", "4"]


async def test_two_writers_of_the_same_row_are_a_conflict_and_no_outage(live):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "clash"})
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (409, "conflict", True)
    assert await count(live) == (0, 0)


async def test_a_slow_sender_holds_no_transaction(live):
    """Another write is answered while the first one's body is still on its way."""
    office, begun, sent = live.as_(Role.TOWN_OFFICE), asyncio.Event(), asyncio.Event()

    async def slowly():
        yield b'{"text":'
        begun.set()
        await sent.wait()
        yield b'"slow"}'

    slow = asyncio.create_task(office.post(NOTES, content=slowly(), headers={"content-type": "application/json"}))
    async with asyncio.timeout(5):
        await begun.wait()
        assert (await office.post(NOTES, {"text": "quick"})).status_code == 201
    sent.set()
    assert (await slow).status_code == 201


async def test_the_character_nul_is_refused_wherever_it_stands(live):
    office = live.as_(Role.TOWN_OFFICE)
    assert (await office.post(NOTES, {"text": "a\0b"})).status_code == 422
    assert (await office.get(NOTES, after="a\0b")).status_code == 422
    assert (await office.get(NOTES, after=encode_cursor("a\0b"))).status_code == 422


@pytest.mark.parametrize("text", ["a\x1bb", "a\x9fb", "李\u202e四", "\u2066x\u2069"])
async def test_what_acts_on_a_terminal_or_turns_the_writing_is_in_no_text(live, text):
    refused = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": text})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "control_character")


async def test_lines_tabs_and_wide_spaces_belong_into_a_text(live):
    assert (await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": "一\r\n二\t三　四"})).status_code == 201


async def test_a_public_route_runs_as_nobody_with_no_area(live):
    office = live.as_(Role.COUNTY_ADMIN)
    assert (await office.get(f"{NOTES}/area")).json() == []


@pytest.mark.parametrize("cursor", ["NQ", encode_cursor(2**63), encode_cursor("1"), encode_cursor(1, 1)])
def test_a_cursor_that_is_not_ours_is_refused(cursor):
    with pytest.raises(Malformed):
        decode_cursor(cursor, int)


@pytest.mark.parametrize(("kind", "largest"), [(int, 2**63 - 1), (Small, 2**31 - 1)])
def test_a_cursor_holds_what_its_column_can_be_compared_with(kind, largest):
    assert decode_cursor(encode_cursor(largest), kind) == [largest]
    with pytest.raises(Malformed):
        decode_cursor(encode_cursor(largest + 1), kind)


def test_a_cursor_keeps_every_kind_of_sort_key():
    id, day = new_id(), date(2016, 11, 1)
    assert decode_cursor(encode_cursor("平利", 7, id, day), str, int, UUID, date) == ["平利", 7, id, day]


@pytest.mark.parametrize("query", ["?colour=red", "?limit=501", "?limit=0", "?after=nonsense"])
async def test_a_filter_that_is_unknown_or_wrong_is_refused(live, query):
    assert (await live.as_(Role.AUDITOR).get(f"{NOTES}{query}")).status_code == 422


@pytest.mark.parametrize(("match", "status"), [(None, 428), ('"2"', 412), ('"3"', 200), ('W/"3"', 200)])
async def test_a_change_names_the_version_it_was_made_from(live, match, status):
    http = live.as_(Role.TOWN_OFFICE).http
    answer = await http.patch(f"{NOTES}/1", json={}, headers={"if-match": match} if match else {})
    assert answer.status_code == status


@pytest.mark.parametrize(("size", "status"), [(2000, 422), (2001, 413)])
async def test_a_body_has_a_limit(live, size, status):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, content=b"x" * size)
    assert answer.status_code == status


async def test_a_body_without_a_length_has_the_same_limit(live):
    async def chunks():
        for _ in range(3):
            yield b"x" * 1000

    assert (await live.as_(Role.TOWN_OFFICE).post(NOTES, content=chunks())).status_code == 413


async def test_unknown_fields_and_addresses_are_refused(live):
    office = live.as_(Role.TOWN_OFFICE)
    answer = await office.post(NOTES, {"text": "one", "colour": "red"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "body.colour")
    assert (await office.get("/notes/v1/nothing")).json()["code"] == "not_found"


async def test_what_was_sent_is_not_repeated_in_an_error(live):
    answer = await live.as_(Role.TOWN_OFFICE).post(NOTES, {"text": {"id_number": "99092619500101123X"}})
    assert answer.status_code == 422
    assert "99092619500101123X" not in answer.text


async def test_health_says_what_is_the_matter(live):
    office = live.as_(Role.TOWN_OFFICE)
    assert (await office.get("/notes/livez")).json() == {"status": "ok"}
    assert (await office.get("/notes/readyz")).json()["checks"]["database"] == "ok"
