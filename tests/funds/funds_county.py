"""A county with money: funds on a fresh database, with households, payees, a project, and people in their roles."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from services.funds.proofs.sequencer import seal
from shared.events.registry import HouseholdRecorded, HouseholdStatus
from shared.pii import TEST_CARD_PREFIX
from shared.roles import Role
from shared.testing import COUNTY, VILLAGE, Client, Running

RECEIVED_FEN = 1_000_000


def card(number: int) -> str:
    """A bank card of the block that no bank has, with its check digit."""
    digits = f"{TEST_CARD_PREFIX}{number:012d}"
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[::-2]) + sum(int(d) for d in digits[-2::-2])
    return digits + str(-doubled % 10)


def household_no(number: int) -> str:
    return f"6109261002010{number:04d}"


@dataclass(slots=True)
class County:
    """A county under test, in the words of its offices. Each person does one thing."""

    live: Running

    def who(self, role: Role, division: str = COUNTY, **given: Any) -> Client:
        return self.live.as_(role, division=division, subject=given.get("subject", f"{role.value}-1"))

    @property
    def finance(self) -> Client:
        return self.who(Role.FINANCE)

    @property
    def applicant(self) -> Client:
        return self.who(Role.APPLICANT)

    @property
    def payer(self) -> Client:
        return self.who(Role.PAYER)

    async def hear_household(
        self,
        number: int,
        people: int = 3,
        division: str = VILLAGE,
        status: HouseholdStatus = HouseholdStatus.REGISTERED,
    ) -> str:
        event = HouseholdRecorded(
            household_id=UUID(int=number),
            household_no=household_no(number),
            division=division,
            head_name_masked="王*",
            people=people,
            status=status,
        )
        await self.live.hear(event, division=division)
        return event.household_no

    async def import_payees(self, rows: Sequence[tuple[str, ...]], **params: Any) -> httpx.Response:
        sheet = io.StringIO()
        csv.writer(sheet).writerows([("户编号", "户名", "银行卡号", "开户银行"), *rows])
        return await self.finance.post("/funds/v1/imports/payees", content=sheet.getvalue().encode(), params=params)

    async def source(self, fund_no: str = "F-1", received_fen: int = RECEIVED_FEN, **given: Any) -> str:
        order = {
            "fund_no": fund_no,
            "name": "中央专项",
            "level": "central",
            "year": 2016,
            "division": COUNTY,
            "document_no": "陕财办农〔2016〕1号",
        }
        id = created(await self.finance.post("/funds/v1/sources", order | given))["id"]
        if received_fen:
            receipt = {"amount_fen": received_fen, "received_on": "2016-11-01", "voucher_no": f"V-{fund_no}"}
            created(await self.finance.post(f"/funds/v1/sources/{id}/receipts", receipt))
        return id

    async def project(
        self, project_no: str = "P-1", division: str = COUNTY, approved: bool = True, **given: Any
    ) -> str:
        order = {
            "project_no": project_no, "name": "茶园建设", "division": division, "kind": "产业", "description": "建茶园", "unit": "平利县农业局",
            "year": 2016, "performance_target": "户均增收", "due_on": "2016-12-31",
        }  # fmt: skip
        id = created(await self.applicant.post("/funds/v1/projects", order | given))["id"]
        if approved:
            await self.approve(f"/funds/v1/projects/{id}")
        return id

    async def approve(self, path: str) -> None:
        for role, act in ((Role.REVIEWER, "review"), (Role.APPROVER, "approve")):
            created(await self.who(role).post(f"{path}/decisions", {"act": act, "verdict": "pass"}))

    async def allocate(self, project_id: str, source_id: str, amount_fen: int, **given: Any) -> httpx.Response:
        order = {"source_id": source_id, "amount_fen": amount_fen}
        return await self.finance.post(f"/funds/v1/projects/{project_id}/allocations", order, **given)

    async def tranche(
        self, project_id: str, amount_fen: int = 100_000, tranche_no: str = "T-1", **given: Any
    ) -> httpx.Response:
        order = {"tranche_no": tranche_no, "amount_fen": amount_fen, "basis": "people", **given}
        return await self.applicant.post(f"/funds/v1/projects/{project_id}/tranches", order)

    async def publish(self, subject: str) -> str:
        order = {"subject": subject, "place": "村委会公示栏"}
        return created(await self.who(Role.POVERTY_OFFICE).post("/funds/v1/notices", order))["id"]

    async def hold(self, tranche_id: str, **given: Any) -> httpx.Response:
        return await self.finance.post(f"/funds/v1/tranches/{tranche_id}/holds", **given)

    async def pay(self, tranche_id: str, who: Client | None = None, **given: Any) -> httpx.Response:
        return await (who or self.payer).post(f"/funds/v1/tranches/{tranche_id}/payments", **given)

    async def ready_tranche(self, households: int = 3, amount_fen: int = 100_000, division: str = COUNTY) -> str:
        """A tranche from two funds to so many households that lacks nothing but its publicity's days. Returns its id."""
        numbers = [await self.hear_household(n, people=n) for n in range(1, households + 1)]
        answer = await self.import_payees([(no, f"王{n}", card(n), "农商行") for n, no in enumerate(numbers, 1)])
        assert answer.status_code == 201, answer.text
        project = await self.project(division=division)
        for fund_no, fen in (("F-1", 600_000), ("F-2", 300_000)):
            created(await self.allocate(project, await self.source(fund_no), fen))
        id = created(await self.tranche(project, amount_fen))["id"]
        await self.approve(f"/funds/v1/tranches/{id}")
        created(await self.hold(id))
        await self.publish(f"tranche:{id}")
        return id

    async def paid_tranche(self, households: int = 3) -> str:
        id = await self.ready_tranche(households)
        self.live.pass_days(10)
        created(await self.pay(id))
        return id

    async def seal(self) -> None:
        await seal(self.live.service)

    async def events(self, type: str) -> list[dict[str, Any]]:
        return [body for name, body in await self.live.recorded() if name == type]


def created(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> tuple[int, str | None]:
    """The code is None when it was not refused."""
    return answer.status_code, answer.json().get("code")
