"""A share of `make fuzz` in every run of the tests: 10,000 inputs and more, no fault, no leak, memory bounded."""

import random

import httpx
import pytest

from tests.fuzz import files
from tests.fuzz.judge import Input, Judge, Tally
from tests.fuzz.runs import Sizes, run

SEED = 20161101
SIZES = Sizes(each=1, crossed=350, cursors=100, doors=50, replies=300, sent_files=35, files=8_500)


def test_ten_thousand_hostile_inputs_do_no_harm(tmp_path, say, postgres):
    tally = run(tmp_path, SIZES, SEED, postgres)
    say("\n".join([*tally.lines(), *tally.memory]))
    assert tally.failures == []
    assert tally.inputs.total() >= 10_000
    assert {"200", "201", "409", "422", "413", "wrong rows"} <= set(tally.answers)


# What looks for harm must see it


@pytest.fixture
def judge(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.judge.FOUND", tmp_path)
    monkeypatch.setattr("tests.fuzz.judge.canaries", lambda mine, theirs: ["青石"])
    return Judge(Tally(), None, None, "SQLite")


PROBLEM = {"status": 409, "code": "refused", "detail": "Do it later."}


def answer(status, said, kind="application/problem+json"):
    return httpx.Response(status, json=said, headers={"content-type": kind}, request=httpx.Request("GET", "http://x/"))


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (answer(200, {"name": "白云"}, "application/json"), ""),
        (answer(409, PROBLEM), ""),
        (answer(503, PROBLEM), "answered 503"),
        (answer(200, {"name": "青石村"}, "application/json"), "shows 青石"),
        (answer(409, PROBLEM, "application/json"), "another shape"),
        (answer(409, {**PROBLEM, "status": 400}), "another shape"),
        (answer(409, {**PROBLEM, "code": ""}), "another shape"),
    ],
)
def test_the_judge_sees(judge, tmp_path, given, wrong):
    judge.see("x", Input("GET", "/a"), given)
    assert [wrong in failure for failure in judge.tally.failures] == ([True] if wrong else [])
    assert len(list(tmp_path.glob("*.json"))) == bool(wrong)


def test_what_one_says_oneself_is_no_leak(judge):
    judge.see("x", Input("GET", "/a?name=青石"), answer(200, {"name": "青石"}, "application/json"))
    assert judge.tally.failures == []


def test_a_kept_input_is_the_one_that_was_sent(judge, tmp_path):
    sent = Input("POST", "/a?b=%00", {"if-match": "*"}, bytes(range(256)))
    sent.keep("x", "why")
    assert [Input.kept(path) for path in tmp_path.glob("*.json")] == [sent]


def test_a_fault_in_reading_a_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.judge.FOUND", tmp_path)
    monkeypatch.setattr(files.sheets, "check", lambda table: {}[0])
    tally, rng = Tally(), random.Random(1)
    files.digest(tally, "notify/contacts", "x", files.workbook(files.KINDS["notify/contacts"], rng))
    assert [("KeyError" in failure) for failure in tally.failures] == [True]
