"""Requests that the rooms take, with one thing wrong: a value no form has, a thing of the other town, a header that breaks lines."""

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from area_rule.asks import ASKS
from area_rule.examiner import request_of, strangers

from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge

DEEP: Any = None
for _ in range(40):
    DEEP = [DEEP]

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**200, 0.1, -0.0, 1e308, float("nan"),
    float("inf"), "", " ", "\t", "\0", "\x1b[31m", "\u202e", "\ufeff", "\ud800", "\udfff甲", "a\u0300" * 50, "𠮷" * 200,
    "'", "''", "\"", "\\", "';DROP TABLE household;--", "' OR '1'='1", "1;SELECT pg_sleep(9)", "%", "_", "%' ESCAPE '\\", "$1", ":name",
    "?", "{0}", "{{7*7}}", "${jndi:ldap://x/}", "%s%n", "<script>alert(1)</script>", "=1+1", "+1", "-1", "@SUM(A1)", "＝1", "|calc",
    "../../etc/passwd", "..\\..\\x", "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/", "con", "a/b", "%2e%2e%2f", "%00",
    "x\r\nset-cookie: a=b", "x\ny", "x" * 101, "x" * 5000, "１２３", "６１０９２６１０１２０１", "610926101201", "610926", "61092610120１",
    "000000000000", "2016-02-30", "0000-00-00", "9999-12-31", "2016-11-01", "1899-12-31", "2016-11-01T25:00:00Z", "2016-11-01T00:00:00+99:99",
    "2016-11", "2016-13", "2016-W54", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "urn:uuid:00000000-0000-0000-0000-000000000000", "null", "true", "NaN", "1e9", "0x10", "٣", "²", [], {}, [[]], [None], {"": ""},
    {"a": {"b": {}}}, DEEP, ["x"] * 600, list(range(2000)), {str(i): i for i in range(500)},
)  # fmt: skip

HEADERS: dict[str, tuple[str, ...]] = {
    "idempotency-key": ("", " ", "x" * 100, "x" * 101, "'", "%00", "a:b", "\xff", "../x"),
    "if-match": ("", "*", '"0"', '"99999999999999999999"', "W/x", '"1", "2"', "'"),
    "traceparent": ("", "00-" + "f" * 32 + "-" + "f" * 16 + "-ff", "x" * 5000, "00-\xff-1-1", "-" * 55),
    "content-type": (
        "",
        "text/plain",
        "application/json; charset=utf-16",
        "application/xml",
        "multipart/form-data",
        "a/b;c",
        "\xff",
    ),
    "content-encoding": ("gzip", "br", "x"),
    "accept": ("", "text/html", "*/*;q=x"),
    "accept-language": ("x" * 2000,),
    "x-forwarded-for": ("1.2.3.4", "'", "x" * 500),
    "x-http-method-override": ("DELETE",),
    "daohu-acting-for": ("", "A-absent", "'", "%00", "x" * 500, "wang for li", "\xff"),
    "range": ("bytes=0-0", "x"),
    "expect": ("x",),
    "cookie": ("x" * 4000,),
    "host": ("", "x" * 300, "evil.example"),
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
ROUTES = tuple(sorted(ASKS))


def attack(target: Target, judge: Judge, count: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        judge_one(target, judge, rng)
        if judge.tally.enough:
            return


def judge_one(target: Target, judge: Judge, rng: random.Random) -> None:
    given = made(target, rng)
    judge.see("crossed", given, target.send(given))


def made(target: Target, rng: random.Random) -> Input:
    """A request that names things of both towns and of none, with one value or one header changed."""
    route = rng.choice(ROUTES)
    nobody = strangers(target.theirs.things, target.theirs)
    things = {
        name: rng.choice((value, value, value, target.theirs.things[name], nobody[name]))
        for name, value in target.mine.things.items()
    }
    request = request_of(route, rng.choice(ASKS[route]), things)
    method, path, body, headers = request.method, request.path, request.body, dict[str, str]()
    spoil = rng.choice(_SPOILS)
    if spoil == "body" and isinstance(body, dict):
        body = _spoiled(body, rng)
    elif spoil == "query":
        path = _query_spoiled(path, rng)
    elif spoil == "path":
        path = _path_spoiled(path, rng)
    elif spoil == "header":
        name = rng.choice(tuple(HEADERS))
        headers[name] = rng.choice(HEADERS[name])
    elif spoil == "method":
        method = rng.choice(METHODS)
    if isinstance(body, bytes):
        return Input(method, path, headers, body)
    if body is None:
        return Input(method, path, headers)
    text = json.dumps(body, default=str).encode()
    if spoil == "text":
        text = _text_spoiled(text, rng)
    return Input(method, path, {"content-type": "application/json", **headers}, text)


_SPOILS = ("body", "body", "body", "query", "path", "header", "method", "text", "nothing")


def _spoiled(body: Any, rng: random.Random) -> Any:
    """The body with one value replaced, dropped or added, at any depth."""
    places: list[Callable[[Any], None]] = []

    def look(holder: Any) -> None:
        for at in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append(lambda value, holder=holder, at=at: holder.__setitem__(at, value))
            if isinstance(holder[at], dict | list):
                look(holder[at])

    copy = json.loads(json.dumps(body, default=str))
    look(copy)
    if not places or rng.random() < 0.1:
        return rng.choice((copy | {"unknown": 1}, [copy], rng.choice(NASTY)))
    rng.choice(places)(rng.choice(NASTY))
    return copy


def _quoted(value: Any) -> str:
    return quote(str(value).encode("utf-8", "surrogatepass"), safe="")


def _query_spoiled(path: str, rng: random.Random) -> str:
    head, _, query = path.partition("?")
    pairs = [pair.split("=", 1) for pair in query.split("&") if "=" in pair]
    names = [name for name, _ in pairs] + ["limit", "after", "division", "unknown"]
    pairs.append([rng.choice(names), _quoted(rng.choice(NASTY))])
    rng.shuffle(pairs)
    return head + "?" + "&".join("=".join(pair) for pair in pairs)


def _path_spoiled(path: str, rng: random.Random) -> str:
    head, mark, query = path.partition("?")
    parts = head.split("/")
    parts[rng.randrange(3, len(parts))] = _quoted(rng.choice(NASTY))[:6000]
    return "/".join(parts) + mark + query


def _text_spoiled(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text))
    return rng.choice(
        (text[:at], text + text, text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :], b"[" * 3000 + text,
         text.replace(b'"', b"'"), b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"), text[:at] + b"," + text[at:],
         text[:1] + b'"__proto__":{},' + text[1:], text[:1] + text[1:-1] + b"," + text[1:])
    )  # fmt: skip
