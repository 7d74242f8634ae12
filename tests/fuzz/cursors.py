"""Cursors of lists, forged: real ones of which a part was exchanged, also for what lies in the other town."""

import base64
import json
import random
from typing import Any

from area_rule.asks import ASKS
from area_rule.examiner import request_of

from shared.http import encode_cursor
from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge

PARTS: tuple[Any, ...] = (
    "", " ", "x", "\\", "'", "%", "\ufffd", "𠮷" * 20, "x" * 200, "0", "-1", "9" * 30, "null", 0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63) + 1,
    2**63, None, True, 1.5, [], {}, "2016-11-01", "0001-01-01", "9999-12-31", "2016-13-01", "2016-11-01T00:00:00+00:00",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "{00000000-0000-0000-0000-000000000000}", "urn:uuid:00000000-0000-0000-0000-000000000000", "610926101201", "2016-W44", "2016-W54",
)  # fmt: skip


def attack(target: Target, judge: Judge, count: int, seed: int) -> None:
    rng = random.Random(seed)
    lists = list(_lists(target).items())
    for path, real in lists:
        for largest in _largest(real):
            given = Input("GET", f"{path}&after={encode_cursor(*largest)}")
            judge.see("cursors", given, target.send(given))
    for number in range(count):
        path, real = lists[number % len(lists)]
        given = Input("GET", f"{path}&after={encode_cursor(*_forged(target, real, rng))}")
        judge.see("cursors", given, target.send(given))
        if judge.tally.enough:
            return


def _lists(target: Target) -> dict[str, list[Any]]:
    """Lists that have more than one page of one item, and the parts of the cursor to the second."""
    found = {}
    for path, operations in target.openapi["paths"].items():
        parameters = operations.get("get", {}).get("parameters", ())
        if not any(parameter["name"] == "after" for parameter in parameters):
            continue
        for ask in ASKS.get(f"GET {path}", ()):
            asked = request_of(f"GET {path}", ask, target.mine.things).path
            one = asked + ("&" if "?" in asked else "?") + "limit=1"
            answer = target.send(Input("GET", one))
            if answer.status_code == 200 and isinstance(cursor := answer.json().get("next"), str):
                found[one] = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return found


def _largest(real: list[Any]) -> list[list[Any]]:
    """The cursor with the largest number there is in place of each of its numbers."""
    return [[*real[:at], 2**63 - 1, *real[at + 1 :]] for at, part in enumerate(real) if type(part) is int]


def _forged(target: Target, real: list[Any], rng: random.Random) -> list[Any]:
    parts = list(real)
    for _ in range(rng.choice((1, 1, len(parts)))):
        theirs = rng.choice(sorted(target.theirs.things.values()))
        parts[rng.randrange(len(parts))] = rng.choice((*PARTS, theirs))
    return rng.choice((parts, parts, parts, parts, parts[:-1], [*parts, ""]))
