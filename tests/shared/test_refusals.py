"""Refusals on record: who was refused which act and why; nothing of what he sent; a flood leaves a bounded trace."""

from types import SimpleNamespace

import pytest
from scraped import shown
from sqlalchemy import MetaData
from starlette.requests import Request
from structlog.testing import CapturingLogger

from shared.errors import Forbidden, NotFound, Refusal
from shared.http import In, Router, allow
from shared.refusals import LINES_ALL, LINES_EACH, MINUTE_S, Refusals
from shared.roles import Caller, Role
from shared.scope import Area
from shared.separation import SamePerson
from shared.settings import Settings
from shared.testing import TOWN, running, settings_for

PERSON = "99092619500101123X"
GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
router = Router(prefix="/things/v1/things", tags=["things"])


class Things(Settings):
    service = "things"


class Thing(In):
    name: int


@router.post("/{thing}", dependencies=[allow(Role.PAYER)])
async def change(thing: str, order: Thing) -> str:
    """Change a thing (变更)."""
    raise SamePerson("Let another person do it.")


class Desk:
    """A record with a clock of its own, and what it wrote."""

    def __init__(self, service: str) -> None:
        self.lines, self.now = CapturingLogger(), 0.0
        self.record = Refusals(service, self.lines, tick=lambda: self.now)

    def refuse(self, subject: str = "", refusal: Refusal | None = None, times: int = 1) -> None:
        caller = Caller(subject, "office", frozenset({Role.AUDITOR}), (TOWN,), Area.of([TOWN])) if subject else None
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/things/{PERSON}",
            "query_string": f"id={PERSON}".encode(),
            "headers": [(b"traceparent", GIVEN.encode()), (b"x-person", PERSON.encode())],
            "route": SimpleNamespace(path="/things/{thing}"),
            "state": {"caller": caller} if caller else {},
        }
        for _ in range(times):
            self.record.note(Request(scope), refusal or Forbidden("You may not."))

    @property
    def written(self) -> list[dict]:
        return [call.kwargs for call in self.lines.calls if call.args == ("refused",)]


def test_a_line_says_who_what_why_and_the_trace_and_nothing_that_was_sent():
    desk = Desk("refusals-a")
    desk.refuse("li")
    assert desk.written == [
        {"who": "li", "client": "office", "action": "POST /things/{thing}", "code": "forbidden", "traceparent": GIVEN}
    ]
    assert PERSON not in repr(desk.lines.calls)


def test_what_is_no_matter_of_rights_is_counted_and_not_written_down():
    desk = Desk("refusals-b")
    desk.refuse("li", NotFound("There is none."))
    desk.refuse("li", SamePerson("Let another person do it."))
    assert [line["code"] for line in desk.written] == ["same_person"]
    assert shown("refusals-b")[("daohu_refusals_total", "not_found", "refusals-b")] == 1.0


def test_a_flood_without_a_token_leaves_few_lines_and_does_not_hide_an_insider():
    desk = Desk("refusals-c")
    desk.refuse(times=5 * LINES_ALL)
    desk.refuse("li")
    assert [line["who"] for line in desk.written] == [None] * LINES_EACH + ["li"]
    assert shown("refusals-c")[("daohu_refusals_total", "forbidden", "refusals-c")] == 5.0 * LINES_ALL + 1


def test_many_callers_together_have_a_bound_too():
    desk = Desk("refusals-d")
    for n in range(2 * LINES_ALL):
        desk.refuse(f"caller-{n}")
    assert len(desk.written) == LINES_ALL


def test_the_next_minute_says_how_many_were_not_written():
    desk = Desk("refusals-e")
    desk.refuse("li", times=LINES_EACH + 7)
    desk.now = MINUTE_S
    desk.refuse("li")
    assert len(desk.written) == LINES_EACH + 1
    assert [c.kwargs for c in desk.lines.calls if c.args == ("refusals_unwritten",)] == [{"count": 7}]


@pytest.fixture
async def live(tmp_path):
    async with running(settings_for(Things, tmp_path), MetaData(), [router]) as service:
        yield service


async def test_a_running_service_keeps_the_record(live):
    lines = CapturingLogger()
    live.app.state.refusals = Refusals("things", lines)
    path = f"/things/v1/things/{PERSON}"
    who = live.as_(Role.PAYER, Role.APPROVER, subject="li")
    await who.post(path, {"name": 1})
    await who.post(path, {"name": PERSON, "card": PERSON})
    await live.as_(Role.REVIEWER, subject="wang").post(path, {"name": 1})
    live.pass_days(401)
    await who.post(path, {"name": 1})
    said = [(c.kwargs["who"], c.kwargs["action"], c.kwargs["code"]) for c in lines.calls]
    assert said == [
        ("li", "POST /things/v1/things/{thing}", "same_person"),
        ("wang", "POST /things/v1/things/{thing}", "forbidden"),
        (None, "POST /things/v1/things/{thing}", "token_expired"),
    ]
    assert PERSON not in repr(lines.calls)
    assert shown("things")[("daohu_refusals_total", "malformed", "things")] == 1.0
