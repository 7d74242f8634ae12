"""What tests stand on: a service running with its own routers, database, clock and bus, and callers with real tokens."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
from fastapi import APIRouter, FastAPI
from sqlalchemy import MetaData

from shared import keys, mandates, tables
from shared.app import Resources, build
from shared.clock import MovableClock, county_instant
from shared.consumer import Handler
from shared.events.base import Envelope, Event
from shared.events.registry import MandateKind, MandateRecorded
from shared.ids import new_id
from shared.inbox import unseen
from shared.keyring import EPOCH, RingFile
from shared.local_bus import LocalBus
from shared.roles import Role
from shared.seen.record import Finds, nobody
from shared.service import Job, Service
from shared.settings import Settings
from shared.topics import all_topics

COUNTY, TOWN, OTHER_TOWN = "610926000000", "610926100000", "610926101000"
VILLAGE, OTHER_VILLAGE = "610926100201", "610926101201"
START = county_instant(datetime(2016, 11, 1, tzinfo=UTC).date(), 9)


AUDIT = MandateRecorded(
    mandate_id=UUID("01930000-0000-7000-8000-00000000a0d1"),
    kind=MandateKind.AUDIT,
    holders=["tester", f"{Role.AUDITOR}-1"],
    roles=[Role.AUDITOR],
    divisions=[COUNTY],
    since=date(2016, 1, 1),
    until=date(2019, 12, 31),
)
"""The audit under which tests' auditors read: of the whole county, and long enough for whatever a test does."""


@dataclass(slots=True)
class Running:
    """A service under test. `as_(Role…, division=…)` gives an HTTP client that is signed in."""

    service: Service
    app: FastAPI
    clock: MovableClock
    _clients: list[httpx.AsyncClient] = field(default_factory=list)
    _keys: Any = field(default_factory=count)

    def token(
        self, *roles: Role, division: str | Sequence[str] = COUNTY, subject: str = "tester", client: str = "tests"
    ) -> str:
        return keys.issuer(self.service.settings.home).token(
            subject=subject,
            roles=roles,
            divisions=[division] if isinstance(division, str) else division,
            client=client,
            lifetime=timedelta(days=400),
            now=self.clock.now(),
        )

    def as_(
        self, *roles: Role, division: str | Sequence[str] = COUNTY, subject: str = "tester", client: str = "tests"
    ) -> "Client":
        http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://daohu",
            headers={
                "authorization": f"Bearer {self.token(*roles, division=division, subject=subject, client=client)}"
            },
        )
        self._clients.append(http)
        return Client(http, self._keys)

    def lose_data_key(self) -> str:
        """From now on nobody can read what was sealed so far; answers the lost key's id."""
        file = RingFile(self.service.settings.home / "keys" / "vault.json")
        lost = file.read().data[-1].id
        file.follow("data", since=EPOCH)
        file.retire("data", [lost])
        self.service.vault.refresh()
        return lost

    def pass_days(self, days: int) -> None:
        self.clock.move_to(self.clock.now() + timedelta(days=days))

    async def hear(
        self, event: Event, *, division: str = COUNTY, version: int = 1, times: int = 1, id: UUID | None = None
    ) -> UUID:
        """Delivers an event to this service's handler as the consumer loop would, `times` times with one id."""
        envelope = Envelope(
            id=id or new_id(), type=event.type_name, source="/daohu/tests", subject=event.key, time=self.clock.now(),
            division=division, actor="tester", aggregate_version=version,
        )  # fmt: skip
        for _ in range(times):
            async with self.service.work() as work:
                if envelope.id in await unseen(work.tx, f"daohu.{self.service.name}", [envelope.id], at=work.now):
                    for handler in self.service.handlers:
                        if handler.event.type_name == event.type_name:
                            await handler.hear(work, [(type(event).read(event.model_dump_json().encode()), envelope)])
        return envelope.id

    async def recorded(self) -> list[tuple[str, dict[str, Any]]]:
        """(type, body) of every fact in the outbox, in order."""
        async with self.service.database.read() as tx:
            rows = await tx.execute(tables.outbox.select().order_by(tables.outbox.c.id))
            return [(row.type, orjson.loads(row.body)) for row in rows]


@dataclass(slots=True)
class Client:
    """An HTTP client that sends a fresh Idempotency-Key with every POST unless one is given."""

    http: httpx.AsyncClient
    _keys: Any

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(path, params=params or None)

    async def post(
        self, path: str, json: Any = None, *, key: str | None = None, content: bytes | None = None, **kwargs: Any
    ) -> httpx.Response:
        headers = {"idempotency-key": key or f"key-{next(self._keys)}", **kwargs.pop("headers", {})}
        return await self.http.post(path, json=json, content=content, headers=headers, **kwargs)

    async def patch(self, path: str, json: Any, *, etag: str) -> httpx.Response:
        return await self.http.patch(path, json=json, headers={"if-match": etag})


@asynccontextmanager
async def running(
    settings: Settings,
    metadata: MetaData,
    routers: Sequence[APIRouter],
    *,
    handlers: Sequence[Handler] = (),
    jobs: Sequence[Job] = (),
    resources: Resources | None = None,
    finds: Finds = nobody,
    start: datetime = START,
) -> AsyncIterator[Running]:
    """Runs a service (or some rooms of it) on a fresh schema. Loops do not run unless `settings.role` says so: jobs are called by the test."""
    MovableClock(settings.home / "clock", start)
    bus = LocalBus(settings.home / "bus.db")
    await bus.start()
    await bus.create_topics(all_topics())
    service = Service(settings, bus, handlers=handlers, jobs=jobs)
    async with service.database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
        await mandates.keep(tx, AUDIT, 1)
    app = build(service, routers, title=settings.service, resources=resources, finds=finds)
    async with app.router.lifespan_context(app):
        assert isinstance(service.clock, MovableClock)
        # A second clock on the same file would lag behind when this one is moved.
        live = Running(service, app, service.clock)
        yield live
        for http in live._clients:
            await http.aclose()
    await bus.stop()


def settings_for(kind: type[Settings], home: Path, database_url: str = "", **given: Any) -> Settings:
    """Settings of a service under test: its own home, a movable clock, no background loops (role `api`)."""
    return kind(**{"home": home, "clock": "movable", "role": "api", "database_url": database_url, **given})
