"""The embedded house in this process, as `daohu up` runs it, with a clock that the test moves, and people with real tokens."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from services.catalogue import part
from services.embedded import Embedded
from shared import keys
from shared.clock import MovableClock, county_instant
from shared.roles import Role
from shared.settings import Settings
from shared.sheets import SheetSpec
from shared.testing import COUNTY

START = county_instant(datetime(2016, 10, 31).date(), 8)  # noqa: DTZ001  only its date counts
"""A Monday, an hour before the first prompt."""

LIFETIME = timedelta(days=400)


class Person:
    """Somebody with a token. Every POST gets a fresh Idempotency-Key unless one is given."""

    def __init__(self, http: httpx.AsyncClient, token: str, numbers: Any) -> None:
        self._http, self._token, self._numbers = http, token, numbers

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str = "", etag: str = "", **kwargs: Any
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"} if self._token else {}
        if method == "POST":
            headers["idempotency-key"] = key or f"key-{next(self._numbers)}"
        if etag:
            headers["if-match"] = etag
        if isinstance(body, bytes):
            kwargs["content"] = body
        elif body is not None:
            kwargs["json"] = body
        return await self._http.request(method, path, headers=headers, **kwargs)

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        return _done(await self.send("GET", path))

    async def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        """The JSON of a POST that must succeed."""
        return _done(await self.send("POST", path, body, **kwargs))

    async def change(self, method: str, path: str, read: str, body: Any) -> Any:
        """A change of something with a version: reads its ETag first."""
        etag = (await self.send("GET", read)).headers["etag"]
        return _done(await self.send(method, path, body, etag=etag))

    async def upload(self, path: str, spec: SheetSpec, *rows: Mapping[str, str]) -> Any:
        """What became of a file of which every row is right."""
        done = await self.post(path, as_csv(spec, *rows))
        assert not done["errors"], done
        return done


def _done(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def as_csv(spec: SheetSpec, *rows: Mapping[str, str]) -> bytes:
    """A file as an office would send it: the titles of the columns, then the rows by column key."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow([column.titles[0] for column in spec.columns])
    writer.writerows([[row.get(column.key, "") for column in spec.columns] for row in rows])
    return sheet.getvalue().encode()


class House:
    """A running house."""

    def __init__(self, embedded: Embedded, http: httpx.AsyncClient, settings: Settings) -> None:
        self.embedded, self.http, self.settings = embedded, http, settings
        self._numbers = count()

    def token(self, roles: Sequence[Role], division: str, *, subject: str, client: str = "office", **given: Any) -> str:
        given = {"lifetime": LIFETIME, "now": self.now, **given}
        return keys.issuer(self.settings.home).token(subject, roles, [division], client=client, **given)

    def person(self, *roles: Role, division: str = COUNTY, subject: str = "", client: str = "office") -> Person:
        """Somebody with these roles in this area; who is not named is called after his role and area."""
        subject = subject or f"{roles[0]}-{division}"
        return self.holder(self.token(roles, division, subject=subject, client=client))

    def holder(self, token: str) -> Person:
        """Whoever sends this token; an empty one is not sent."""
        return Person(self.http, token, self._numbers)

    @property
    def now(self) -> datetime:
        return MovableClock(self.settings.home / "clock").now()

    async def until(self, month: int, day: int, hour: int = 10, minute: int = 0) -> None:
        """Lets time pass until this moment of 2016 in the county, and what is due by then is done."""
        moment = county_instant(datetime(2016, month, day).date(), hour, minute)  # noqa: DTZ001  only its date counts
        await self.person(Role.COUNTY_ADMIN).post("/demo/v1/clock", {"now": moment.isoformat()})

    async def settle(self) -> None:
        """Waits until every service has heard of everything."""
        await self.person(Role.COUNTY_ADMIN).post("/demo/v1/clock", {})

    async def openapi(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get("/openapi.json")).json()
        return answer


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[House]:
    """A house on an empty home."""
    MovableClock(home / "clock", START)
    embedded = Embedded(home, clock="movable", log_level="ERROR")
    async with embedded.house.router.lifespan_context(embedded.house):
        transport = httpx.ASGITransport(embedded, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://daohu") as http:
            yield House(embedded, http, part("registry").settings.of(home=home, clock="movable"))
