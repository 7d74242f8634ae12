"""Addresses that stand in no service's document: health, metrics, the documents, the sign-in of programs, the demo's clock."""

import base64
import json
import random
from urllib.parse import urlencode

from services.catalogue import NAMES
from services.token_endpoint import FORM, PATH
from tests.fuzz.crossed import HEADERS, METHODS, NASTY
from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge

CLOCK = "/demo/v1/clock"
PATHS = (
    PATH, PATH, PATH, CLOCK, CLOCK, "/", "/livez", "/readyz", "/metrics", "/openapi.json", "/nothing", "/registry", "/registry/",
    *(f"/{name}/{page}" for name in NAMES for page in ("livez", "readyz", "metrics", "openapi.json", "nothing")),
)  # fmt: skip
LATER = frozenset({2**31})
"""Numbers that the clock would take as a time to come: all tokens would end."""


def attack(target: Target, judge: Judge, count: int, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(count):
        given = made(target, rng)
        judge.see("doors", given, target.send(given))
        if judge.tally.enough:
            return


def made(target: Target, rng: random.Random) -> Input:
    path, method = rng.choice(PATHS), rng.choice((*METHODS, "GET", "POST", "POST", "POST"))
    headers = dict[str, str]()
    if rng.random() < 0.4:
        name = rng.choice(tuple(HEADERS))
        headers[name] = rng.choice(HEADERS[name])
    if path == PATH:
        return Input(method, path, {"content-type": FORM, **_signed(target, rng), **headers}, _form(target, rng))
    value = rng.choice([value for value in NASTY if not isinstance(value, int) or value not in LATER])
    body = json.dumps(rng.choice(({"now": value}, value, {})) if path == CLOCK else value).encode()
    return Input(method, path, {"content-type": "application/json", **headers}, body)


def _signed(target: Target, rng: random.Random) -> dict[str, str]:
    """What stands in the header in place of a token: nothing, HTTP Basic of all kinds, or no such thing."""
    name = rng.choice((target.account["client_id"], str(rng.choice(NASTY))[:2000]))
    secret = rng.choice((target.account["client_secret"], str(rng.choice(NASTY))[:2000]))
    pair = base64.b64encode(f"{name}:{secret}".encode("utf-8", "surrogatepass")).decode()
    sent = rng.choice(
        ("", "", f"Basic {pair}", f"basic {pair[:-3]}", "Basic", "Basic \xff", f"Bearer {pair}", "Digest x")
    )
    return {"authorization": sent}


def _form(target: Target, rng: random.Random) -> bytes:
    fields: list[tuple[str, object]] = [("grant_type", rng.choice(("client_credentials", *NASTY)))]
    for name, value in target.account.items():
        if rng.random() < 0.6:
            fields.append((name, rng.choice((value, rng.choice(NASTY)))))
    if rng.random() < 0.1:
        fields += [rng.choice(fields)] * rng.randrange(1, 30)
    text = urlencode([(name, str(value)) for name, value in fields], errors="surrogatepass").encode()
    return rng.choice(
        (text, text, text, text[: rng.randrange(len(text))], text + b"&%ff=%zz&\xff=\x00", b"&" * 100_000)
    )
