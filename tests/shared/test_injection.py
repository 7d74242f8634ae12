"""What a caller says stays what he said: a parameter of a statement, a value of a header, a field of one line of the log."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import pytest_asyncio
import structlog
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

import tests.fuzz  # noqa: F401 - the path to area_rule
from services.terminal import Terminal, visible
from shared.db import Database
from shared.ids import new_id
from shared.observability import configure_logs, log
from shared.testing import TOWN
from tests.fuzz.crossed import NASTY

from area_rule.asks import ASKS  # isort: skip
from area_rule.examiner import ALL_BUT_AUDITOR, request_of  # isort: skip
from area_rule.house import House, running  # isort: skip

# Statements

MARK = "zq'\";--"
SIGN = re.compile(r"zq['\"]|zq''")
THINGS = ["division", "village", "household_no", "household_id", "member_id", "exit_household_id", "exit_case_id", "case_id", "open_case_id", "case_no", "ref", "measure_id", "visit_id", "post_id", "post_cadre_no", "cadre_no", "opted_out_no", "subject", "event_id", "run_id", "registry_import_id", "funds_import_id", "assessment_import_id", "notify_import_id", "source_id", "county_source_id", "fund_no", "project_id", "project_no", "tranche_id", "tranche_no", "notice_id", "objection_id", "seq", "brief_id", "prompt_id", "alarm_id", "message_id", "phone", "id_number", "card", "word", "mandate_id", "engagement_id", "discipline"]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory) -> AsyncIterator[House]:
    async with running(tmp_path_factory.mktemp("injected")) as house:
        yield house


@pytest.fixture
def statements(monkeypatch):
    """Every statement that goes to a database, without its parameters."""
    seen: list[str] = []

    def note(connection, cursor, statement, parameters, context, executemany):
        seen.append(statement)

    look_up = Database.look_up

    async def noted(self, statement, values):
        seen.append(statement)
        return await look_up(self, statement, values)

    monkeypatch.setattr(Database, "look_up", noted)
    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def things() -> dict[str, str]:
    """What a request names, each as hostile as its form may let pass."""
    ids = {name: str(new_id()) for name in THINGS if name.endswith("_id")}
    return {**dict.fromkeys(THINGS, MARK), **ids, "division": TOWN, "seq": "1", "ref": "1", "message_id": MARK}


@pytest.mark.asyncio(loop_scope="module")
async def test_no_statement_holds_what_a_caller_said(house, statements):
    person = house.person(*ALL_BUT_AUDITOR, division=TOWN, subject="sql-attacker", client="sql")
    answers = []
    for route, asks in ASKS.items():
        for ask in asks[-2:]:
            request = request_of(route, ask, things())
            path = quote(request.path, safe="/?&=:{}%")
            answers.append((await person.send(request.method, path, request.body, etag='"1"')).status_code)
    assert [code for code in answers if code >= 500] == []
    assert len(statements) > 500
    assert [statement for statement in statements if SIGN.search(statement)] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_statement_that_holds_it_would_be_noticed(house, statements):
    async with house.embedded.services[0].database.read() as tx:
        await tx.execute(text("select 1 -- zq' put together by hand"))
    assert [statement for statement in statements if SIGN.search(statement)] == ["select 1 -- zq' put together by hand"]


# Headers


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "evil", ["x\r\nset-cookie: a=b", "x\nset-cookie: a=b", "x\r\n\r\n<html>", "x\u010d\u010aset-cookie: a=b"]
)
async def test_no_answer_carries_a_header_that_was_sent_in(house, evil):
    person = house.person(*ALL_BUT_AUDITOR, division=TOWN, subject="header-attacker", client="header")
    for route in sorted(route for route in ASKS if "{" in route)[::7]:
        method, path = route.split(" ")
        answer = await person.send(
            method, re.sub(r"\{\w+\}", quote(evil, safe=""), path), {} if method != "GET" else None
        )
        assert "set-cookie" not in answer.headers
        assert all(value.isprintable() for value in answer.headers.values())
        assert answer.status_code < 500


@pytest.mark.asyncio(loop_scope="module")
async def test_no_answer_sends_a_caller_to_the_host_he_named(house):
    for path in ("/registry/v1/divisions/", "/livez/", "/funds/livez/"):
        answer = await house.http.get(path, headers={"host": "evil.example"})
        assert (answer.status_code, "location" in answer.headers) == (404, False)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/auth/v1/token", 405),
        ("POST", "/auth/v1/token", 400),
        ("POST", "/demo/v1/clock", 401),
        ("DELETE", "/metrics", 405),
        ("TRACE", "/openapi.json", 405),
        ("GET", "/nothing", 404),
        ("GET", "//registry/v1/divisions", 404),
    ],
)
async def test_addresses_of_no_service_refuse_as_all_others_do(house, method, path, status):
    answer = await house.http.request(method, path, content=b"[" * 5000)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"]
    assert answer.json()["detail"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_to_the_server_as_a_whole_is_no_fault(house):
    """OPTIONS * has no path (RFC 9110 9.3.7)."""
    answers: list[dict] = []
    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": "*",
        "raw_path": b"*",
        "headers": [],
        "query_string": b"",
        "state": {},
    }

    async def send(message):
        answers.append(message)

    await house.embedded(scope, None, send)
    assert answers[0]["status"] == 404


# The log


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().split("\n")


@pytest.fixture
def logged(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs("DEBUG")
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


HOSTILE = [value for value in NASTY if isinstance(value, str)] + [
    'x\n{"event": "paid", "level": "info"}', "x\r\n", "\x1b]0;title\x07", "\x9b31m", "\u2028x\u2029", "x\x00y", "\u202eevil", '"}',
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_whatever_is_logged_is_one_line_of_json_and_plain_ascii(logged, hostile):
    log("registry").warning("said", text=hostile, inner={hostile: [hostile]})
    logging.getLogger("a.library").warning("said %s", hostile)
    own, foreign, end = lines_of(logged)
    assert (own + foreign).isascii()
    assert (own + foreign).isprintable()
    assert (json.loads(own)["text"], json.loads(own)["event"], json.loads(foreign)["event"], end) == (
        hostile,
        "said",
        "library",
        "",
    )


# The terminal


@given(st.text())
def test_nothing_that_is_printed_acts_on_the_terminal(hostile):
    stream = io.StringIO()
    Terminal(file=stream, force_terminal=True, color_system=None, soft_wrap=True, markup=False, highlight=False).print(
        hostile
    )
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", stream.getvalue())


def test_what_would_act_is_shown():
    assert visible("a\x1b[31mb\u202ec\n") == "a\\x1b[31mb\\u202ec\n"


def test_a_refusal_that_looks_like_markup_is_shown_as_it_is(capsys):
    from services.terminal import fail

    fail("[/red] [link=file:///etc/passwd]x[/link] [bold")
    assert capsys.readouterr().err.strip() == "[/red] [link=file:///etc/passwd]x[/link] [bold"
