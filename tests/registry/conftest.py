"""A registry to test: its rooms on a fresh database, households with people, a county's callers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.registry.api import ROUTERS
from services.registry.divisions import store as divisions
from services.registry.households import service as households
from services.registry.households.schemas import HouseholdIn
from services.registry.settings import Settings
from services.registry.tables import metadata
from services.registry.whom import whom
from shared.events.base import Event
from shared.pii import TEST_ID_AREA, make_check_digit
from shared.roles import Role
from shared.scope import level_of, parent_of
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Client, Running, running, settings_for

IDENTIFIED = date(2014, 5, 1)
LINE_2016_FEN = 295_200


@dataclass(slots=True)
class Registry:
    """A registry under test, in the words of the county."""

    live: Running
    _births: Any = field(default_factory=lambda: count(0))
    _numbers: Any = field(default_factory=lambda: count(1))

    def person(self, relation: str = "20") -> dict[str, Any]:
        """A man whose ID number nobody has: test area, its own day of birth."""
        number = next(self._births)
        first17 = f"{TEST_ID_AREA}{1950 + number // 336}{1 + number % 12:02}{1 + number // 12 % 28:02}001"
        return {
            "name": "王试验",
            "sex": "1",
            "id_number": first17 + make_check_digit(first17),
            "relation": relation,
            "education": "80",
            "student": "01",
            "health": "01",
            "labour": "01",
            "insured": True,
        }

    def file(self, *, people: int = 3, division: str = VILLAGE, **given: Any) -> dict[str, Any]:
        """A household's file as a village sends it."""
        return {
            "household_no": f"{division}{next(self._numbers):04}",
            "division": division,
            "attribute": "01",
            "cause": "01",
            "housing": "01",
            "safe_water": True,
            "incomes": {"2016": LINE_2016_FEN + 1},
            "members": [self.person("02" if i == 0 else "20") for i in range(people)],
            **given,
        }

    async def candidate(self, **given: Any) -> households.HouseholdFile:
        async with self.live.service.work() as work:
            return await households.add_candidate(work, HouseholdIn.model_validate(self.file(**given)))

    async def household(self, *, identified_on: date = IDENTIFIED, **given: Any) -> households.HouseholdFile:
        """A household on the register."""
        file = await self.candidate(**given)
        async with self.live.service.work() as work:
            return await households.register(work, file.id, on=identified_on, case_no="-")

    async def exited(self, **given: Any) -> households.HouseholdFile:
        file = await self.household(**given)
        async with self.live.service.work() as work:
            return await households.mark_exited(work, file.id, on=date(2016, 10, 1), case_no="-")

    async def give(
        self, household_id: UUID, pathway: str = "industry", sub: str = "茶饮", **given: Any
    ) -> dict[str, Any]:
        order = {
            "household_id": str(household_id),
            "pathway": pathway,
            "sub": sub,
            "year": 2016,
            "started_on": "2016-03-01",
            **given,
        }
        answer = await self.office.post("/registry/v1/measures", order)
        assert answer.status_code == 201, answer.text
        measure: dict[str, Any] = answer.json()
        return measure

    @property
    def office(self) -> Client:
        return self.live.as_(Role.POVERTY_OFFICE, subject="yang")

    def village(self, role: Role, subject: str, division: str = VILLAGE) -> Client:
        return self.live.as_(role, subject=subject, division=division)

    @property
    def town(self) -> Client:
        return self.live.as_(Role.TOWN_OFFICE, subject="chen", division=TOWN)

    async def facts(self, kind: type[Event]) -> list[dict[str, Any]]:
        """The bodies of the recorded facts of a kind, in order."""
        return [body for type, body in await self.live.recorded() if type == kind.type_name]


async def _with_divisions(live: Running) -> Registry:
    """The county, two of its towns and a village in each."""
    rows = [
        {
            "code": code,
            "name": code,
            "level": level_of(code).value,
            "parent": parent_of(code),
            "predecessors": [],
            "version": 1,
        }
        for code in (COUNTY, TOWN, OTHER_TOWN, VILLAGE, OTHER_VILLAGE)
    ]
    async with live.service.work() as work:
        await divisions.add(work.tx, rows)
    return Registry(live)


@pytest.fixture
async def registry(tmp_path: Path, database_url: str) -> AsyncIterator[Registry]:
    """On both databases."""
    async with running(settings_for(Settings, tmp_path, database_url), metadata, ROUTERS, finds=whom) as live:
        yield await _with_divisions(live)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Registry]:
    """On SQLite alone, for what does not depend on the database."""
    async with running(settings_for(Settings, tmp_path), metadata, ROUTERS, finds=whom) as live:
        yield await _with_divisions(live)
