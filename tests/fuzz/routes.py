"""Requests made from the OpenAPI document (schemathesis): right ones and wrong ones of every operation, held against the document."""

import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import hypothesis
import orjson
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.token_endpoint import FORM
from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge

KINDS = {"right": schemathesis.GenerationMode.POSITIVE, "wrong": schemathesis.GenerationMode.NEGATIVE}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_HEALTH = re.compile(r"/(livez|readyz)$")
_ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_KNOWN = 0.7
"""How often an address names a thing that is there: a random one leads nowhere."""


def attack(target: Target, judge: Judge, each: int, seed: int) -> None:
    """`each` right and `each` wrong requests of every operation."""
    schema = schemathesis.openapi.from_dict(target.openapi)
    rng = random.Random(seed)
    for operation in schema.get_all_operations():
        made = operation.ok()
        if _HEALTH.search(made.path):
            continue
        for kind, mode in KINDS.items():
            _ask(target, judge, made, kind, mode, each, rng)
        if judge.tally.enough:
            return


def _ask(target: Target, judge: Judge, made: Any, kind: str, mode: Any, each: int, rng: random.Random) -> None:
    @hypothesis.seed(rng.getrandbits(32))
    @hypothesis.settings(
        max_examples=each,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=made.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        given = _input(case, target, rng)
        answer = target.send(given)
        judge.see(f"routes, {kind}", given, answer, wrong=_unlike_the_document(case, answer))

    try:
        one()
    except hypothesis.errors.Unsatisfiable:  # nothing can be wrong with a request that has no parameter
        return


def _input(case: Any, target: Target, rng: random.Random) -> Input:
    """The case as a request; ids it names are often ones that are there, of this town or of the other."""
    towns = [target.mine.things] * 3 + [target.theirs.things]

    def known(name: str, value: Any) -> Any:
        things = rng.choice(towns)
        return things[name] if name in things and rng.random() < _KNOWN else value

    path = made_path = case.path
    for name, value in (case.path_parameters or {}).items():
        made_path = made_path.replace(f"{{{name}}}", quote(str(known(name, value)), safe="%"))
    path = made_path
    query = {name: known(name, value) for name, value in (case.query or {}).items()}
    if query:
        path = f"{path}?{urlencode(query, doseq=True, errors='replace')}"
    headers = {
        name: str(value)
        for name, value in (case.headers or {}).items()
        if name.lower() != "authorization" and str(value).isprintable() and str(value).isascii()
    }
    if case.media_type == FORM:
        body, kind = _form(case.body, target.account, rng), FORM
        headers["authorization"] = ""  # id and secret stand in the form
    else:
        body, kind = _body(case, known)
    if kind:
        headers["content-type"] = kind
    return Input(case.method.upper(), path, headers, body)


def _body(case: Any, known: Any) -> tuple[bytes, str]:
    body = case.body
    if body is schemathesis.core.NOT_SET:
        return b"", ""
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    return orjson.dumps(_replaced(body, known), option=orjson.OPT_NON_STR_KEYS, default=str), "application/json"


def _form(body: Any, account: dict[str, str], rng: random.Random) -> bytes:
    """A form of what was made; often the id or the secret is the one of an account that is there."""
    if not isinstance(body, dict):
        return str(body).encode("utf-8", "replace")
    filled = {**body, **{name: value for name, value in account.items() if rng.random() < _KNOWN}}
    return urlencode(filled, doseq=True, errors="replace").encode()


def _replaced(value: Any, known: Any) -> Any:
    if isinstance(value, dict):
        return {
            str(name): known(name, inner) if isinstance(inner, str) and _ID.match(inner) else _replaced(inner, known)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_replaced(inner, known) for inner in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return None if isinstance(value, int) and abs(value) >= 2**63 else value


def _unlike_the_document(case: Any, answer: httpx.Response) -> list[str]:
    try:
        case.validate_response(answer, checks=CHECKS)
    except schemathesis.errors.SchemathesisError:
        raise
    except (AssertionError, BaseExceptionGroup) as failed:
        return list(_said(failed))
    return []


def _said(failed: BaseException) -> Iterator[str]:
    if isinstance(failed, BaseExceptionGroup):
        for inner in failed.exceptions:
            yield from _said(inner)
    else:
        yield " ".join(str(failed).split())[:300]
