"""The house under attack: `daohu up` as a process of its own, two towns living in it, and what it uses of the machine."""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import httpx
from area_rule.examiner import ALL_BUT_AUDITOR
from area_rule.house import START, House
from area_rule.town import Seeding, Town

from demo.server import Server
from services.catalogue import NAMES, part
from shared import accounts
from shared.roles import Role
from shared.testing import OTHER_TOWN, TOWN
from tests.fuzz.judge import Input
from tests.servers.postgres import Databases

PATIENCE_S = 60.0
FREELY = {
    "DAOHU_CALLER_REQUESTS_PER_SECOND": "1000000",
    "DAOHU_CALLER_BURST": "1000000",
    "DAOHU_TRUSTED_PROXIES": "127.0.0.1",
}
"""All attacks come from one caller, each as if from an address of its own; how often one may ask is tested in
tests/shared/test_limits.py."""


class Target:
    """A house with two towns, and a caller of one of them with every role that writes."""

    def __init__(self, server: Server, mine: Town, theirs: Town, openapi: dict[str, Any], token: str) -> None:
        self.server, self.mine, self.theirs, self.openapi, self.token = server, mine, theirs, openapi, token
        path = server.home / "keys" / accounts.FILE
        secret = accounts.add(path, "program", [Role.BACKEND], [mine.code], now=START)
        self.account = {"client_id": "program", "client_secret": secret}
        # httpx refuses to send half of what is to be sent here
        self._http = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, given: Input) -> httpx.Response:
        """Sends it as the caller, with a fresh key for a POST and a version for a change."""
        number = next(self._numbers)
        headers = {
            "authorization": f"Bearer {self.token}",
            "idempotency-key": f"fuzz-{number}",
            "if-match": '"1"',
            "x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            **given.headers,
        }
        try:
            return self._send(given, headers)
        except (HTTPException, ConnectionError):  # closed because it was idle; a new one must be answered
            self._http.close()
            return self._send(given, headers)

    def _send(self, given: Input, headers: dict[str, str]) -> httpx.Response:
        self._http.request(given.method, given.path, given.body, headers)
        answer = self._http.getresponse()
        request = httpx.Request(given.method, f"{self.server.url}/")
        said = httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read(), request=request)
        said.elapsed = timedelta(0)  # schemathesis asks for it
        return said

    @property
    def megabytes(self) -> int:
        """Resident memory of the process now."""
        return self._memory("VmRSS")

    @property
    def peak_megabytes(self) -> int:
        return self._memory("VmHWM")

    def _memory(self, line: str) -> int:
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        found = re.search(rf"{line}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) >> 10

    def log_complaints(self) -> list[str]:
        """Lines of the log that are no JSON object, and those that tell of a fault of ours."""
        complaints = []
        for line in self.server.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("daohu: http"):  # what `daohu up` says to the person who started it
                continue
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                complaints.append(f"no JSON: {line[:200]}")
                continue
            if said.get("event") in ("request_failed", "broken", "database_failed"):
                complaints.append(line[:300])
        return complaints


@contextmanager
def taken(postgres: Databases) -> Iterator[dict[str, str]]:
    """A database for each service: its name and the URL."""
    databases = {name: postgres.take() for name in NAMES}
    try:
        yield {name: postgres.url(database) for name, database in databases.items()}
    finally:
        for database in databases.values():
            postgres.give_back(database)


@contextmanager
def attacked(folder: Path, urls: Mapping[str, str]) -> Iterator[Target]:
    """Starts the house on an empty folder and fills it; stops it at the end. `urls`: of services that are not on SQLite."""
    databases = {f"DAOHU_{name.upper()}_DATABASE_URL": url for name, url in urls.items()}
    server = Server(folder / "home", START, env=FREELY | databases)
    server.start()
    try:
        with asyncio.Runner() as runner:
            mine, theirs, openapi, token = runner.run(_filled(server))
        with Target(server, mine, theirs, openapi, token) as target:
            yield target
    finally:
        server.stop()


async def _filled(server: Server) -> tuple[Town, Town, dict[str, Any], str]:
    mine, theirs = Town(OTHER_TOWN, "B", "白云", 7), Town(TOWN, "A", "青石", 3)
    settings = part("registry").settings.of(home=server.home, clock="movable")
    nobody = cast(Any, SimpleNamespace())  # this house is another process: it is only asked
    async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as http:
        house = House(nobody, http, settings)
        await Seeding(house, [theirs, mine]).all()
        token = house.token(ALL_BUT_AUDITOR, mine.code, subject="attacker", client="fuzz")
        return mine, theirs, await house.openapi(), token
