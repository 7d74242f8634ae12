"""Between HTTP and the rooms: one request is one transaction; refusals become RFC 9457 problems.

A room makes a `Router`. Each of its routes names who may call it (`allow`) or why everybody may (`public`); a route without
that does not start. Writes run once per Idempotency-Key, and their answer is sent after the commit.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from shared import idempotency, telemetry
from shared.errors import FieldError, Forbidden, Malformed, PreconditionRequired, Stale, Unauthenticated
from shared.limits import require_shape
from shared.mandates import ACTING_FOR, stand_in
from shared.problems import RESPONSES
from shared.roles import Caller, Role
from shared.seen.record import READING, on_record, overseen
from shared.work import NOBODY, Glance, Work

MAX_PAGE, DEFAULT_PAGE = 500, 100
MAX_KEY = 100
MAX_CURSOR = 400
MAX_INT = 2**31 - 1
"""What an Integer column of PostgreSQL holds: a number that comes in and is looked up has a bound, this one or a lower."""


class Small(int):
    """In a cursor: a number of an Integer column."""


_CURSOR_INTS: dict[type, int] = {int: 2**63 - 1, Small: MAX_INT}
"""What a column of either database can be compared with: PostgreSQL refuses what its kind does not hold."""

T = TypeVar("T")
Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class Reach(StrEnum):
    """What an act reaches to: what lies in the caller's area (the rule), or what is one for the county and names no row."""

    AREA = "area"
    COUNTY = "county"


class Gate:
    """Who may pass. `roles` empty means everybody, and `reason` says why. `own`: those of them who act for themselves alone."""

    def __init__(
        self,
        roles: frozenset[Role],
        reason: str = "",
        *,
        own: frozenset[Role] = frozenset(),
        reach: Reach = Reach.AREA,
    ) -> None:
        self.roles, self.reason, self.own, self.reach = roles, reason, own, reach

    async def __call__(self) -> None:
        """Nothing: as a dependency a gate marks its route, which asks `admit` before the transaction opens."""

    def admit(self, request: Request) -> Caller:
        """The caller. Raises Unauthenticated or Forbidden; everybody passes a public route, as nobody."""
        if self.reason:
            return NOBODY
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            raise getattr(request.state, "token_problem", None) or Unauthenticated("Send a bearer token.")
        if caller.roles.isdisjoint(self.roles):
            raise Forbidden(
                "Your roles do not include this right. Ask for one of: " + ", ".join(sorted(self.roles)) + ".",
                needs=sorted(self.roles),
            )
        return caller


def allow(*roles: Role, own: Sequence[Role] = (), reach: Reach = Reach.AREA) -> Any:
    """`dependencies=[allow(Role.PAYER, …)]`: callers with one of these roles may pass. None is implied.

    All see and do what lies in their area, those of `own` what is theirs in it: the room holds them to that.
    """
    assert roles, "name the roles"
    return Depends(Gate(frozenset((*roles, *own)), own=frozenset(own), reach=reach))


def public(reason: str) -> Any:
    """`dependencies=[public("…")]`: everybody may pass, for this reason."""
    return Depends(Gate(frozenset(), reason))


class Route(APIRoute):
    """One request, one transaction. `money` routes write through the ledger writer instead and hold no transaction."""

    money = False
    narrower: ClassVar[Mapping[str, tuple[str, tuple[Role, ...]]]] = {}
    """For a route of several kinds of things: kind → its name (中文), and who of the gate's roles may; the room holds them to it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(path, endpoint, **kwargs)
        gates = [d.dependency for d in self.dependencies if isinstance(d.dependency, Gate)]
        assert len(gates) == 1, f"{path}: say who may call it: dependencies=[allow(…)] or [public(reason)]"
        self.gate = gates[0]
        self.dependant.dependencies = [d for d in self.dependant.dependencies if d.call is not self.gate]
        self.works = _asks(self.dependant, _work)
        self.on_record = on_record(path)
        self.takes = {parameter.alias for parameter in self.dependant.query_params} | _nested(self.dependant)

    async def ahead(self, request: Request, caller: Caller) -> None:
        """What a kind of route does before its transaction opens: long reading that needs no database."""

    def _require_known(self, query: QueryParams) -> None:
        if unknown := set(query) - self.takes:
            raise Malformed(
                "This address does not know these filters; nothing was searched.",
                errors=[
                    FieldError(name, "unknown_parameter", "Remove it or correct its name.") for name in sorted(unknown)
                ],
            )
        _require_no_nul(*query.values())

    def get_route_handler(self) -> Handle:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if any(name == ACTING_FOR for name, _ in request.scope["headers"]):
                await stand_in(request)
            caller = self.gate.admit(request)
            _require_no_nul(request.scope["path"])
            if request.scope["query_string"]:
                self._require_known(request.query_params)
            if not caller.roles.isdisjoint(self.on_record):
                caller = await overseen(request, caller, f"{request.method} {self.path}")
            reads = request.method in READING
            if not reads:
                body = await request.body()  # before the transaction: a slow sender must not hold the database
                if self.body_field is not None:
                    settings = request.app.state.service.settings
                    require_shape(body, depth=settings.max_json_depth, items=settings.max_json_items)
            await self.ahead(request, caller)
            service = request.app.state.service
            if not (reads or self.money):
                return await _once(service, caller, request, answer)
            if self.money:
                _key(request)
            if not self.works:
                return await answer(request)
            async with service.work(caller, write=False, request=request) as work:
                request.state.work = work
                return await answer(request)

        return handle


class MoneyRoute(Route):
    money = True


class Directory:
    """Takes a request to the routes of its collection (`/funds/v1/tranches`), past which all others would be tried in turn."""

    def __init__(self, everything: APIRouter) -> None:
        self.everything = everything
        self._shelves: dict[str, APIRouter] = {}
        for route in everything.routes:
            path = getattr(route, "path", "")
            assert "{" not in _shelf(path), f"{path}: the first three parts of an address are words"
            self._shelves.setdefault(_shelf(path), APIRouter(redirect_slashes=False)).routes.append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shelf = self._shelves.get(_shelf(scope["path"])) if scope["type"] == "http" else None
        await (shelf or self.everything).app(scope, receive, send)


def _shelf(path: str) -> str:
    return "/".join(path.split("/", 4)[:4])


def _asks(dependant: Dependant, call: Callable[..., Any]) -> bool:
    return any(inner.call is call or _asks(inner, call) for inner in dependant.dependencies)


def _nested(dependant: Dependant) -> set[str]:
    names: set[str] = set()
    for inner in dependant.dependencies:
        names |= {parameter.alias for parameter in inner.query_params} | _nested(inner)
    return names


def _require_no_nul(*texts: str) -> None:
    if any("\0" in text for text in texts):
        raise Malformed("Leave the character U+0000 out; no text has it.")


async def _once(service: Any, caller: Caller, request: Request, answer: Handle) -> Response:
    """Runs a write in its transaction. A POST carries a key: its first answer is kept and given again."""
    key = _key(request) if request.method == "POST" else None
    async with service.work(caller, write=True, request=request) as work:
        request.state.work = work
        if key is None or caller is NOBODY:
            return await answer(request)
        claim = idempotency.Claim(client=caller.client, key=key, request_hash=await request_hash(request))
        if (first := await idempotency.first_answer(work.tx, claim)) is not None:
            return Response(first.body, first.status, headers={**first.headers, "idempotency-replayed": "true"})
        response = await answer(request)
        if response.headers.get("cache-control") != "no-store":  # unmasked personal data is not kept to be given again
            await idempotency.keep(work.tx, claim, response, at=work.now)
        return response


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not 0 < len(key) <= MAX_KEY:
        raise Malformed(
            f"Send an Idempotency-Key header (1 to {MAX_KEY} characters), the same one when you repeat this request.",
            errors=[FieldError("Idempotency-Key", "required", "Make one per act, for example a UUID.")],
        )
    return key


async def request_hash(request: Request) -> bytes:
    """What makes two requests the same: method, path, query, body, and the area they are made for.

    Without the area a program that serves two towns would give the one the answer kept for the other.
    """
    area = ",".join(request.state.caller.area.prefixes)
    scope = request.scope  # `request.url` would put the whole address together first
    head = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')} {area}\n".encode()
    return hashlib.sha256(head + await request.body()).digest()


def idempotency_ref(request: Request) -> str:
    """For money routes: the ledger reference that stands for this client's key; a colon in the client's name is escaped."""
    client: str = request.state.caller.client
    return client.replace("%", "%25").replace(":", "%3A") + f":{_key(request)}"


class Router(APIRouter):
    """The router of a room. `money=True`: its routes post to the ledger and hold no transaction of their own."""

    def __init__(self, *, prefix: str, tags: list[str], money: bool = False, route: type[Route] = Route) -> None:
        super().__init__(
            prefix=prefix, tags=list(tags), route_class=MoneyRoute if money else route, responses=dict(RESPONSES)
        )


async def _work(request: Request) -> Work:
    work: Work = request.state.work
    return work


WorkDep = Annotated[Work, Depends(_work)]


async def _glance(request: Request) -> Glance:
    service, caller = request.app.state.service, request.state.caller
    traceparent = telemetry.at_work(request.headers.get("traceparent"))
    return Glance(service.database, service.name, caller, service.clock, traceparent)


GlanceDep = Annotated[Glance, Depends(_glance)]


UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line ends, of which PostgreSQL stores no U+0000, and marks that turn the direction of writing:
with them a name or a number on a board looks like another."""


def _is_unfit(value: Any) -> bool:
    if isinstance(value, str):
        return not value.isprintable() and UNFIT.search(value) is not None
    if isinstance(value, dict):
        return any(_is_unfit(inner) for pair in value.items() for inner in pair)
    return isinstance(value, list) and any(map(_is_unfit, value))


class In(BaseModel):
    """Base of what an API takes: unknown fields are refused, and characters that do not belong into any text (UNFIT)."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _fit(cls, given: Any) -> Any:
        if _is_unfit(given):
            raise PydanticCustomError(
                "control_character", "Leave control characters and marks of the writing direction out of all texts."
            )
        return given


class Page(BaseModel, Generic[T]):
    """One page of a list. `next` is the cursor of the following page; null on the last one."""

    items: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class PageQuery:
    """`?limit=…&after=…` of every list."""

    limit: int
    after: str | None


async def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(max_length=MAX_CURSOR, description="the `next` of the page before")] = None,
) -> PageQuery:
    return PageQuery(limit, after)


PageDep = Annotated[PageQuery, Depends(_page)]


def encode_cursor(*parts: str | int | UUID | date) -> str:
    """An opaque cursor of the sort key's values."""
    # default: the UUIDs that asyncpg gives are a kind of their own
    return base64.urlsafe_b64encode(orjson.dumps(parts, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> list[Any]:
    """The values of a cursor, checked against the kinds (str, int, Small, UUID, date) of the sort key. Raises Malformed."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and len(parts) == len(kinds):
            return [_part(part, kind) for part, kind in zip(parts, kinds, strict=True)]
    except ValueError:
        pass
    raise Malformed(
        "Take the cursor from the page before, unchanged.",
        errors=[FieldError("after", "bad_cursor", "It is not one of ours.")],
    )


def _part(part: Any, kind: type) -> Any:
    if (most := _CURSOR_INTS.get(kind)) is not None:
        if type(part) is int and abs(part) <= most:
            return part
    elif isinstance(part, str) and "\0" not in part:
        return date.fromisoformat(part) if kind is date else kind(part)
    raise ValueError


def page_of(rows: Sequence[T], limit: int, cursor: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Cuts limit+1 fetched rows into a page and the cursor of the next."""
    page = list(rows[:limit])
    return page, cursor(page[-1]) if len(rows) > limit else None


def etag(version: int) -> str:
    return f'"{version}"'


def require_match(request: Request, version: int) -> None:
    """A change names the version it was made from: 428 without If-Match, 412 when it is stale."""
    sent = request.headers.get("if-match")
    if sent is None:
        raise PreconditionRequired("Send If-Match with the ETag you read.")
    if sent.removeprefix("W/") != etag(version):
        raise Stale("Somebody changed it since you read it. Read it again.", current=etag(version))


Match = Callable[[int], None]
"""Called with the current version by the use case that has loaded it: refuses a change made from another one."""


async def _match(request: Request) -> Match:
    return lambda version: require_match(request, version)


MatchDep = Annotated[Match, Depends(_match)]
