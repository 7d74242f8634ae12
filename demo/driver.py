"""Hands outside the house: HTTP with keys, so that every act can be repeated until it was done once.

The process behind the address may be killed and started again at any moment. A POST carries an Idempotency-Key made from
what it does, so a repeated one gets its first answer; what to do next comes from the script and from GETs alone.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from shared.roles import Role

PATIENCE_S = 90.0
"""How long an answer is waited for while the process is away."""

RETRY_PAUSE_S = 0.1
LATER = (408, 429, 503)
"""Answers that mean: the same again, later."""
TIMEOUT_S = 60.0
MAX_KEY = 100
PAGE = 500


class Unexpected(Exception):
    """An answer that the script did not expect; the month ends here."""


class Gone(Exception):
    """Nobody answered for PATIENCE_S."""


@dataclass(frozen=True, slots=True)
class Who:
    """A person or machine that acts: subject, roles and divisions of the token."""

    subject: str
    roles: tuple[Role, ...]
    divisions: tuple[str, ...]


Issue = Callable[[Who], str]
"""Gives a bearer token for somebody."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, the JSON body (or None) and the ETag of an answer."""

    status: int
    body: Any
    etag: str
    content: bytes


class Driver:
    """Talks to one Daohu, whatever stands behind the address. Use it as a context manager.

    `move_clock` is how time passes where the house has no route for it (demo/cluster.py).
    """

    def __init__(
        self,
        base_url: str,
        issue: Issue,
        *,
        key_prefix: str,
        patience_s: float = PATIENCE_S,
        move_clock: Callable[[datetime | None], None] | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=TIMEOUT_S, trust_env=False)
        self._issue = issue
        self._key_prefix = key_prefix
        self._patience_s = patience_s
        self._move_clock = move_clock
        self._tokens: dict[Who, str] = {}
        self.requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, who: Who, path: str, **params: str | int) -> Any:
        """The JSON of a GET."""
        return self.ask(who, "GET", path, params=params).body

    def pages(self, who: Who, path: str, **params: str | int) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        page = self.get(who, path, limit=PAGE, **params)
        items.extend(page["items"])
        while page["next"]:
            page = self.get(who, path, limit=PAGE, after=page["next"], **params)
            items.extend(page["items"])
        return items

    def post(self, who: Who, path: str, act: str, body: Any, *, etag: str = "", **params: str | int) -> Any:
        """The JSON of a POST. `act` names what is done, once: it makes the key."""
        return self.ask(who, "POST", path, act=act, body=body, etag=etag, params=params).body

    def upload(self, who: Who, path: str, act: str, data: bytes, **params: str | int) -> Any:
        """The JSON of a POST with a file as its body."""
        return self.ask(who, "POST", path, act=act, data=data, params=params).body

    def refused(self, who: Who, path: str, act: str, body: Any, *, status: int = 409, etag: str = "") -> Any:
        """The problem of a POST that must be refused. Raises Unexpected when it is not."""
        return self.ask(who, "POST", path, act=act, body=body, etag=etag, expect=status).body

    def ask(
        self,
        who: Who,
        method: str,
        path: str,
        *,
        act: str = "",
        body: Any = None,
        data: bytes | None = None,
        etag: str = "",
        params: Mapping[str, str | int] | None = None,
        expect: int = 0,
    ) -> Answer:
        """One request, repeated until it is answered. `expect` 0 means any 2xx. Raises Unexpected or Gone."""
        headers = {"authorization": f"Bearer {self._token(who)}"}
        if act:
            headers["idempotency-key"] = f"{self._key_prefix}:{act}"
            assert act.isascii(), act
            assert len(headers["idempotency-key"]) <= MAX_KEY, act
        if etag:
            headers["if-match"] = etag
        if data is not None:
            headers["content-type"] = "application/octet-stream"
        # an unset query would still replace the one of a link
        query = {name: value for name, value in (params or {}).items() if value != ""} or None
        given_up = time.monotonic() + self._patience_s
        while True:
            try:
                response = self._http.request(method, path, headers=headers, params=query, json=body, content=data)
            except httpx.TransportError as error:
                self._rest(given_up, type(error).__name__)
                continue
            if response.status_code in LATER:
                self._rest(given_up, str(response.status_code))
                continue
            self.requests += 1
            if response.status_code == expect or (not expect and response.is_success):
                return _answer(response)
            raise Unexpected(f"{method} {path}: {response.status_code} {response.text[:600]}")

    def clock(self, who: Who, now: datetime | None = None) -> None:
        """Lets time pass until `now` (None: none), and waits until everything due by then is done."""
        if self._move_clock is not None:
            self._move_clock(now)
            return
        body = {"now": now.isoformat()} if now else {}
        self.ask(who, "POST", "/demo/v1/clock", body=body)

    def _rest(self, given_up: float, why: str) -> None:
        if time.monotonic() > given_up:
            raise Gone(f"no answer for {self._patience_s:.0f} s ({why})")
        time.sleep(RETRY_PAUSE_S)

    def _token(self, who: Who) -> str:
        if who not in self._tokens:
            self._tokens[who] = self._issue(who)
        return self._tokens[who]


def _answer(response: httpx.Response) -> Answer:
    is_json = "json" in response.headers.get("content-type", "")
    return Answer(
        status=response.status_code,
        body=response.json() if is_json else None,
        etag=response.headers.get("etag", ""),
        content=response.content,
    )
