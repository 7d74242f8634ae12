"""A county that is assessed: one service on a fresh database, two towns with a village each, and cadres."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.assessment import jobs
from services.assessment.api import ROUTERS
from services.assessment.consumers import HANDLERS
from services.assessment.settings import Settings
from services.assessment.tables import metadata
from shared.clock import county_instant
from shared.events.base import Event
from shared.events.funds import FundAllocated
from shared.events.notify import ReportMissed, ReportReceived
from shared.events.registry import DivisionRecorded, HouseholdExited, HouseholdRecorded, HouseholdStatus, VisitRecorded
from shared.ids import new_id
from shared.roles import Role
from shared.scope import Level
from shared.service import Service
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Client, Running, running, settings_for

PERIOD = "2016-11"
CADRES = (
    ("S-1", "王立春", "第一书记", "", "县财政局", VILLAGE, "2015-07-01"),
    ("S-2", "李守田", "第一书记", "", "县农业局", OTHER_VILLAGE, "2015-07-01"),
    ("T-1", "陈广才", "镇党政主要负责人", "镇长", "城关镇人民政府", TOWN, "2015-07-01"),
)
HEADER = ("干部编号", "姓名", "职务类别", "职务", "单位", "行政区划代码", "任职日期")


@dataclass(slots=True)
class County:
    """A county under test, in the words of the office."""

    live: Running
    _numbers: Any = field(default_factory=lambda: count(1))

    @property
    def office(self) -> Client:
        return self.live.as_(Role.POVERTY_OFFICE, subject="office")

    @property
    def admin(self) -> Client:
        return self.live.as_(Role.COUNTY_ADMIN, subject="admin")

    async def place(self, code: str, name: str, level: Level) -> None:
        await self.live.hear(DivisionRecorded(code=code, name=name, level=level, parent=None), division=code)

    async def import_directory(self, *rows: tuple[str, ...], **params: Any) -> httpx.Response:
        sheet = io.StringIO()
        csv.writer(sheet).writerows([HEADER, *rows])
        path = "/assessment/v1/imports/directory"
        return await self.office.post(path, content=sheet.getvalue().encode(), params=params)

    async def household(
        self, village: str = VILLAGE, status: HouseholdStatus = HouseholdStatus.REGISTERED, id: UUID | None = None
    ) -> UUID:
        id = id or new_id()
        await self.live.hear(
            HouseholdRecorded(
                household_id=id,
                household_no=f"{village}{next(self._numbers):05d}",
                division=village,
                head_name_masked="王*",
                people=3,
                status=status,
            ),
            division=village,
        )
        return id

    async def visit(
        self, household: UUID, cadre_no: str = "S-1", village: str = VILLAGE, day: int = 7, **given: Any
    ) -> UUID:
        event = VisitRecorded(
            visit_id=new_id(),
            household_id=household,
            division=village,
            cadre_no=cadre_no,
            visited_on=date(2016, 11, day),
        )
        return await self.live.hear(event, division=village, **given)

    async def exit(self, household: UUID, village: str = VILLAGE) -> UUID:
        event = HouseholdExited(
            household_id=household,
            household_no=f"{village}00001",
            division=village,
            people=3,
            case_id=new_id(),
            decided_on=date(2016, 11, 20),
        )
        return await self.live.hear(event, division=village)

    async def money(self, kind: type[Event], fen: int, town: str = TOWN, day: int = 10) -> UUID:
        given: dict[str, Any] = {"project_id": new_id(), "project_no": "P-1", "division": town, "amount_fen": fen}
        if kind is FundAllocated:
            given |= {"fund_id": new_id(), "allocated_on": date(2016, 11, day), "entry_seq": 2}
        else:
            given |= {"tranche_id": new_id(), "households": 2, "paid_on": date(2016, 11, day), "entry_seq": 3}
        return await self.live.hear(kind(**given), division=town)

    async def report(self, cadre_no: str, week: int, *, on_time: bool | None, town: str = TOWN) -> UUID:
        """`on_time` None: it was missed."""
        given: dict[str, Any] = {"cadre_no": cadre_no, "division": town, "week": f"2016-W{week}"}
        day = date.fromisocalendar(2016, week, 5)
        event: Event = (
            ReportMissed(due_on=day, **given)
            if on_time is None
            else ReportReceived(report_id=new_id(), received_on=day, on_time=on_time, **given)
        )
        return await self.live.hear(event, division=town)

    async def score(self, period: str = PERIOD) -> dict[str, Any]:
        answer = await self.office.post("/assessment/v1/scores/runs", {"division": COUNTY, "period": period})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def scores(self, period: str = PERIOD, **params: Any) -> dict[str, dict[str, Any]]:
        answer = await self.office.get("/assessment/v1/scores", period=period, **params)
        assert answer.status_code == 200, answer.text
        return {item["subject"]: item for item in answer.json()["items"]}

    async def changes(self, run: dict[str, Any]) -> set[str]:
        answer = await self.office.get(f"/assessment/v1/scores/runs/{run['id']}/changes")
        return {item["subject"] for item in answer.json()["items"]}

    async def explanation(self, subject: str, period: str = PERIOD, **params: Any) -> dict[str, Any]:
        answer = await self.office.get(f"/assessment/v1/scores/{subject}/explanation", period=period, **params)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def indicator(self, subject: str, key: str) -> dict[str, Any]:
        return next(i for i in (await self.explanation(subject))["indicators"] if i["key"] == key)

    async def withdraw(self, event_id: UUID) -> httpx.Response:
        path = f"/assessment/v1/facts/{event_id}/withdrawals"
        return await self.admin.post(path, {"reason": "走访未实际发生"})

    async def night(self, day: date, hour: int = 9) -> None:
        """It becomes this day, and the clock-driven work runs."""
        self.live.clock.move_to(county_instant(day, hour))
        await jobs.score_night(self.live.service)


async def settle_in(county: County) -> County:
    await county.place(COUNTY, "平利县", Level.COUNTY)
    await county.place(TOWN, "城关镇", Level.TOWN)
    await county.place(OTHER_TOWN, "兴隆镇", Level.TOWN)
    await county.place(VILLAGE, "药妇沟村", Level.VILLAGE)
    await county.place(OTHER_VILLAGE, "马鞍桥村", Level.VILLAGE)
    answer = await county.import_directory(*CADRES)
    assert answer.json()["state"] == "applied", answer.text
    return county


@asynccontextmanager
async def a_county(tmp_path: Path, database_url: str) -> AsyncIterator[County]:
    settings = settings_for(Settings, tmp_path, database_url)
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, jobs=jobs.JOBS) as live:
        yield await settle_in(County(live))


@pytest.fixture
async def county(tmp_path: Path, database_url: str) -> AsyncIterator[County]:
    async with a_county(tmp_path, database_url) as county:
        yield county


@pytest.fixture
async def county_and_replica(tmp_path: Path, postgres_url: str) -> AsyncIterator[tuple[County, Service]]:
    """A county on PostgreSQL, and a second worker of it."""
    async with a_county(tmp_path, postgres_url) as county:
        service = county.live.service
        replica = Service(service.settings, service.bus, handlers=HANDLERS, jobs=jobs.JOBS)
        yield county, replica
        await replica.database.close()
