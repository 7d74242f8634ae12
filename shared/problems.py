"""Refusals and failures as RFC 9457 problem+json. A failure is named by its kind and place; what it says may quote somebody's data."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared.errors import Conflict, FieldError, Malformed, NotFound, Refusal, StorageFull, TooSlow, Unavailable
from shared.failures import place_of, storage_full
from shared.observed import route_of
from shared.refusals import Refusals

PROBLEM = "application/problem+json"
MAX_ERRORS = 100


class FieldProblem(BaseModel):
    """One thing that is wrong with one field."""

    field: str
    code: str
    message: str


class Problem(BaseModel):
    """What every refusal and every failure is answered with (RFC 9457); some carry further facts."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem]
    retryable: bool


_CONTENT: dict[str, Any] = {"content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused: `code` says why, `detail` what to do.", **_CONTENT},
    "5XX": {"description": "Not now (503, repeat it), or a fault of ours (500).", **_CONTENT},
}
"""How an operation describes its refusals in OpenAPI; `describe` adds what they refer to."""


def describe(app: FastAPI) -> None:
    """Adds the schema of a problem to the app's OpenAPI document."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**schema.pop("$defs"), "Problem": schema}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI documents


def problem(refusal: Refusal) -> Response:
    """A refusal as RFC 9457 problem+json."""
    body: dict[str, Any] = {
        "type": f"/problems/{refusal.code}",
        "title": refusal.code.replace("_", " "),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "errors": [{"field": e.field, "code": e.code, "message": e.message} for e in refusal.errors[:MAX_ERRORS]],
        "retryable": refusal.retryable,
        **refusal.facts,
    }
    headers = {"retry-after": str(refusal.retry_after)} if refusal.retryable else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(body), refusal.status, headers=headers, media_type=PROBLEM)


def _noted(request: Request, refusal: Refusal) -> Response:
    """The refusal as an answer; the app's record, if it keeps one, knows of it."""
    record: Refusals | None = getattr(request.app.state, "refusals", None)
    if record is not None:
        record.note(request, refusal)
    return problem(refusal)


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _noted(request, error)


async def invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [  # the input itself is not repeated: it may hold personal data
        FieldError(".".join(str(part) for part in e["loc"]), str(e["type"]), str(e["msg"]))
        for e in error.errors()[:MAX_ERRORS]
    ]
    return _noted(request, Malformed("Correct the fields named in `errors`.", errors=errors))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = NotFound("There is nothing at this address.") if error.status_code == 404 else Refusal(str(error.detail))
    if error.status_code != 404:
        refusal.status, refusal.code = error.status_code, f"http_{error.status_code}"
    return problem(refusal)


async def _gone(request: Request, _: Exception) -> Response:
    """A caller who went away in the middle of a body is no fault of ours; the answer is for the metrics."""
    return _noted(request, TooSlow("The body did not come whole. Repeat with the same Idempotency-Key."))


async def _database(request: Request, error: Exception) -> Response:
    refusal = _database_refusal(error)
    request.app.state.log.error(
        "database_failed", route=route_of(request.scope), error=type(error).__name__, code=refusal.code
    )
    return problem(refusal)


def _database_refusal(error: Exception) -> Refusal:
    """A database error as what it is: a clash of two writers, a value no column takes, or a failure that may pass."""
    if isinstance(error, IntegrityError):
        return Conflict("Somebody else wrote the same at this moment; nothing was changed. Repeat it or read it again.")
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "pgcode", None) or ""
        driver = getattr(error.orig, "__cause__", None) or error.orig
        if state.startswith("22") or isinstance(driver, ValueError):
            return Malformed("A value is out of the range that can be stored. Correct it.")
    if storage_full(error):
        return StorageFull()
    return Unavailable("The database did not answer. Repeat with the same Idempotency-Key: nothing is done twice.")


async def _broken(request: Request, error: Exception) -> Response:
    request.app.state.log.error(
        "request_failed", route=route_of(request.scope), error=type(error).__name__, where=place_of(error)
    )
    refusal = Refusal("A fault of ours; it is on record. Repeat with the same Idempotency-Key: nothing is done twice.")
    refusal.status, refusal.code = 500, "internal"
    return problem(refusal)


HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    Refusal: refused,
    RequestValidationError: invalid,
    HTTPException: _http,
    ClientDisconnect: _gone,
    DBAPIError: _database,
    PoolTimeout: _database,
    OSError: _database,  # refused, unreachable, a name that is not found, too late
    Exception: _broken,
}
"""Which failure is answered how."""
