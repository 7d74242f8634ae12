"""A county that prompts, in the words of its office."""

import csv
import io
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.notify import jobs
from shared.clock import county_instant
from shared.events.assessment import CadreAppointed, Post
from shared.roles import Role
from shared.testing import COUNTY, TOWN, Client, Running

WEEK = "2016-W45"
"""Monday 7 to Sunday 13 November 2016. The tests begin on Wednesday of the week before, whose prompt is owed to nobody any more."""


@dataclass(slots=True)
class County:
    """A county under test, in the words of the office."""

    live: Running

    @property
    def office(self) -> Client:
        return self.live.as_(Role.POVERTY_OFFICE)

    @property
    def gateway(self) -> Client:
        return self.live.as_(Role.BACKEND, client="gateway")

    async def appoint(self, cadre_no: str, post: Post = Post.TOWN_CHIEF, division: str = TOWN, **given: Any) -> None:
        fields = {"unit": "城关镇人民政府", "since": date(2016, 1, 1), **given}
        event = CadreAppointed(cadre_no=cadre_no, post=post, division=division, **fields)
        await self.live.hear(event, division=division)

    async def enter_phones(self, phones: dict[str, str], **params: Any) -> Any:
        sheet = io.StringIO()
        csv.writer(sheet).writerows([("干部编号", "手机号"), *phones.items()])
        return await self.office.post("/notify/v1/imports/contacts", content=sheet.getvalue().encode(), params=params)

    async def person(self, cadre_no: str, phone: str, post: Post = Post.TOWN_CHIEF, division: str = TOWN) -> None:
        await self.appoint(cadre_no, post, division)
        assert (await self.enter_phones({cadre_no: phone})).status_code == 201

    async def enter_brief(self, week: str = WEEK, tasks: tuple[str, ...] = ("核实退出户收入", "完成搬迁入住")) -> Any:
        order = {"division": COUNTY, "week": week, "tasks": list(tasks)}
        return await self.office.post("/notify/v1/briefs", order)

    async def clock_shows(self, day: int, hour: int, minute: int = 0) -> None:
        """It becomes this hour of a day of November 2016, and the clock-driven work runs."""
        self.live.clock.move_to(county_instant(date(2016, 11, day), hour, minute))
        await jobs.prompts(self.live.service)

    async def phone_shows(self, cadre_no: str) -> list[str]:
        answer = await self.office.get(f"/notify/v1/phones/{cadre_no}/messages")
        return [message["text"] for message in answer.json()["items"]]

    async def prompts(self, **params: Any) -> dict[tuple[str, str], tuple[str, str | None]]:
        """(campaign, cadre) → (state, reason)."""
        answer = await self.office.get("/notify/v1/prompts", **params)
        return {(p["campaign"], p["cadre_no"]): (p["state"], p["reason"]) for p in answer.json()["items"]}

    async def reply(self, phone: str, text: str, *, ref: str, day: int = 9, hour: int = 10) -> Any:
        at = county_instant(date(2016, 11, day), hour)
        order = {"from": phone, "text": text, "received_at": at.isoformat(), "message_ref": ref}
        return await self.gateway.post("/notify/v1/inbound", order)

    async def week(self, **kwargs: Any) -> dict[str, Any]:
        answer = await self.live.as_(Role.POVERTY_OFFICE, **kwargs).get(f"/notify/v1/weeks/{WEEK}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def alarms(self) -> list[str]:
        return [alarm["kind"] for alarm in (await self.office.get("/notify/v1/alarms")).json()["items"]]

    async def recorded(self, kind: str) -> list[dict[str, Any]]:
        return [body for type_, body in await self.live.recorded() if type_ == kind]
