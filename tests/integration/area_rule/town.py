"""A town with data of its own in every room, entered through the API by its own people and those of the county."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from area_rule.house import House, Person, as_csv
from services.assessment.directory.imports import DIRECTORY
from services.funds.payees.imports import PAYEES
from services.notify.contacts.imports import CONTACTS
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from shared.pii import TEST_CARD_PREFIX, TEST_ID_AREA, TEST_PHONE_PREFIX, make_check_digit
from shared.roles import Role
from shared.sheets import SheetSpec
from shared.testing import COUNTY

WEEK = "2016-W44"
MONTH = "2016-11"
LAST_MONTH = "2016-10"
ATTENDANCE = {"present": 20, "total": 30}
AUDITED = {"since": "2016-10-31", "until": "2016-12-31"}


def card(block: int, number: int) -> str:
    """A bank card that no bank has, with its check digit."""
    digits = f"{TEST_CARD_PREFIX}{block:06}{number:06}"
    doubled = sum(sum(divmod(2 * int(d), 10)) for d in digits[::-2]) + sum(int(d) for d in digits[-2::-2])
    return digits + str(-doubled % 10)


@dataclass(slots=True)
class Town:
    """A town: `letter` begins its numbers, `word` stands in every text its people write, `size` makes its amounts its own."""

    code: str
    letter: str
    word: str
    size: int
    things: dict[str, str] = field(default_factory=dict)

    @property
    def village(self) -> str:
        return f"{self.code[:9]}201"

    @property
    def household_nos(self) -> list[str]:
        return [f"{self.village}{number:04}" for number in range(1, 5)]

    @property
    def cadre_nos(self) -> list[str]:
        """Two chiefs, one who wants no SMS, and a first secretary."""
        return [f"GB-{self.letter}{number}" for number in range(1, 5)]

    def phone(self, number: int) -> str:
        return f"{TEST_PHONE_PREFIX}{self.size:03}{number:03}"

    def id_number(self, number: int) -> str:
        first17 = f"{TEST_ID_AREA}19{60 + number}0{self.size}15001"
        return first17 + make_check_digit(first17)

    def card(self, number: int) -> str:
        return card(self.size, number)

    def text(self, what: str) -> str:
        return f"{self.word}{what}"


class Seeding:
    """The acts that fill a house with towns. Each is done for every town before time passes."""

    def __init__(self, house: House, towns: Sequence[Town]) -> None:
        self.house, self.towns = house, towns
        self.county: dict[str, str] = {}
        """Ids of the county's own things: its fund, its brief."""

    def at(self, town: Town, role: Role, *, village: bool = False, subject: str = "", client: str = "office") -> Person:
        area = town.village if village else town.code
        return self.house.person(role, division=area, subject=subject, client=client)

    async def all(self) -> None:
        """From Monday 31 October to Monday 21 November 2016."""
        await self._county_begins()
        for act in (
            self._files_come_in,
            self._cadres_are_known,
            self._phones_are_known,
            self._help_is_given,
            self._people_are_mandated,
        ):
            await self._for_each(act)
        await self.house.until(10, 31, 9)
        await self._for_each(self._money_comes_in)
        await self.house.until(11, 1)
        await self._for_each(self._cases_are_opened, self._money_is_planned)
        await self.house.until(11, 3)
        await self._for_each(self._notices_are_posted, self._people_answer)
        await self.house.until(11, 4, 18, 5)
        await self.house.until(11, 14)
        await self._for_each(self._money_is_paid, self._case_is_decided)
        await self.house.until(11, 21)
        await self.house.person(Role.COUNTY_ADMIN).post(
            "/assessment/v1/scores/runs", {"division": COUNTY, "period": MONTH}
        )
        await self._for_each(self._scores_are_disputed, self._find_the_rest)
        await self.house.settle()

    async def _for_each(self, *acts: Any) -> None:
        for act in acts:
            for town in self.towns:
                await act(town)
            await self.house.settle()

    # The county

    async def _county_begins(self) -> None:
        statistics, office = self.house.person(Role.STATISTICS), self.house.person(Role.POVERTY_OFFICE)
        await statistics.upload(
            "/registry/v1/imports/divisions",
            DIVISIONS,
            {"code": "610000000000", "name": "陕西省", "level": "省"},
            {"code": "610900000000", "name": "安康市", "level": "市", "parent": "610000000000"},
            {"code": COUNTY, "name": "平利县", "level": "县", "parent": "610900000000"},
            *({"code": t.code, "name": t.text("镇"), "level": "镇", "parent": COUNTY} for t in self.towns),
            *({"code": t.village, "name": t.text("村"), "level": "村", "parent": t.code} for t in self.towns),
        )
        await self.house.settle()
        leader = self.house.person(Role.COUNTY_LEADER)
        audit = {"auditors": ["cell-county-auditor"], "divisions": [COUNTY], "object": "县级资金", "reason": "年度计划"}
        await leader.post("/registry/v1/engagements", {**audit, **AUDITED})
        brief = await office.post("/notify/v1/briefs", {"division": COUNTY, "week": WEEK, "tasks": ["核实退出户收入"]})
        fund = await self._fund(self.house.person(Role.FINANCE), "C-1", COUNTY, "县级财政资金", 5_000_000)
        weight = {"division": COUNTY, "year": 2016, "units": "towns", "percent": 70}
        await office.post("/assessment/v1/annual-weights", weight)
        self.county = {"brief": brief["id"], "source": fund}

    async def _fund(self, who: Person, fund_no: str, division: str, name: str, amount_fen: int) -> str:
        order = {"fund_no": fund_no, "name": name, "level": "county", "year": 2016, "division": division}
        id: str = (await who.post("/funds/v1/sources", {**order, "document_no": f"{name}1号"}))["id"]
        receipt = {"amount_fen": amount_fen, "received_on": "2016-10-31", "voucher_no": f"PZ-{fund_no}"}
        await who.post(f"/funds/v1/sources/{id}/receipts", receipt)
        return id

    # Registry

    async def _files_come_in(self, town: Town) -> None:
        office = self.at(town, Role.TOWN_OFFICE)
        homes = [_home(town, number) for number in town.household_nos]
        await office.upload("/registry/v1/imports/households", HOUSEHOLDS, *homes)
        people = [_man(town, number, index) for index, number in enumerate(town.household_nos)]
        await office.upload("/registry/v1/imports/people", PEOPLE, *people)
        wrong = {**_home(town, f"{town.village}0009"), "cause": town.text("运气不好")}
        await self._wrong_file(town, "registry", "households", HOUSEHOLDS, wrong)
        listed = (await office.get("/registry/v1/households"))["items"]
        first = await office.get(f"/registry/v1/households/{listed[0]['id']}")
        town.things |= {
            "division": town.code,
            "village": town.village,
            "household_id": first["id"],
            "household_no": first["household_no"],
            "member_id": first["members"][0]["id"],
            "exit_household_id": listed[1]["id"],
            "word": town.word,
            "phone": town.phone(1),
            "id_number": town.id_number(0),
            "card": town.card(0),
        }
        path = f"/registry/v1/households/{first['id']}"
        await office.change("PATCH", path, path, {"remark": town.text("院坝硬化"), "reason": town.text("入户核实")})
        born = {**town_child(town), "reason": town.text("出生")}
        await office.change("POST", f"{path}/members", path, born)

    async def _wrong_file(self, town: Town, service: str, kind: str, spec: SheetSpec, row: dict[str, str]) -> None:
        """A file that goes back: its report stays."""
        clerk = self.house.person(Role.COUNTY_ADMIN, Role.FINANCE, division=town.code)
        done = await clerk.post(f"/{service}/v1/imports/{kind}?dry_run=true", as_csv(spec, row))
        assert done["errors"], done
        town.things[f"{service}_import_id"] = done["import_id"]

    async def _help_is_given(self, town: Town) -> None:
        office, secretary = self.at(town, Role.TOWN_OFFICE), self.at(town, Role.FIRST_SECRETARY, village=True)
        household = town.things["household_id"]
        measure = await office.post(
            "/registry/v1/measures",
            {"household_id": household, "pathway": "industry", "sub": "养殖", "year": 2016, "started_on": "2016-03-01",
             "remark": town.text("种羊两只")},
        )  # fmt: skip
        visit = {"household_id": household, "cadre_no": town.cadre_nos[3], "visited_on": "2016-10-31"}
        seen = await secretary.post("/registry/v1/visits", {**visit, "note": town.text("住房漏雨")})
        again = {**visit, "household_id": town.things["exit_household_id"], "client_ref": f"{town.letter}-1"}
        await secretary.post("/registry/v1/visits/batch", {"items": [again]})
        town.things |= {"measure_id": measure["id"], "visit_id": seen["id"]}

    async def _people_are_mandated(self, town: Town) -> None:
        """Somebody stands in, an audit is open, and discipline inspection has looked at a household."""
        admin, inspector = self.at(town, Role.COUNTY_ADMIN), self.at(town, Role.DISCIPLINE)
        period = {"divisions": [town.code], **AUDITED}
        lent = {"holder": f"{town.letter}-deputy", "absent": f"{town.letter}-absent", "roles": ["town_office"]}
        audit = {"auditors": [f"{town.letter}-auditor"], "object": town.text("资金审计")}
        mandate = await admin.post("/registry/v1/mandates", {**lent, **period, "reason": town.text("外出学习")})
        engagement = await admin.post("/registry/v1/engagements", {**audit, **period, "reason": town.text("年度计划")})
        cells = {**audit, "auditors": ["cell-auditor"]}
        await admin.post("/registry/v1/engagements", {**cells, **period, "reason": town.text("逐项检查")})
        await inspector.get(f"/registry/v1/households/{town.things['household_id']}")
        town.things |= {
            "mandate_id": mandate["id"],
            "engagement_id": engagement["id"],
            "discipline": f"{Role.DISCIPLINE}-{town.code}",
        }

    async def _cases_are_opened(self, town: Town) -> None:
        team, clerk = (self.at(town, role, village=True) for role in (Role.TEAM_MEMBER, Role.VILLAGE_CLERK))
        secretary = self.at(town, Role.FIRST_SECRETARY, village=True)
        order = {"kind": "exit", "household_id": town.things["exit_household_id"], "reason": town.text("收入稳定")}
        case = await team.post("/registry/v1/cases", order)
        path = f"/registry/v1/cases/{case['id']}"
        review = {"step": "village_review", "verdict": "pass", "attendance": ATTENDANCE, "reason": town.text("同意")}
        reviewed = await clerk.change("POST", f"{path}/decisions", path, review)
        criteria = [
            {"key": c["key"], "answer": c["answer"], "evidence": town.text("实地查看")}
            for c in reviewed["waits"]["checklist"]
        ]
        verified = {"step": "verification", "verdict": "pass", "checklist": criteria}
        await secretary.change("POST", f"{path}/decisions", path, verified)
        candidate = _candidate(town)
        opened = await clerk.post("/registry/v1/cases", {"kind": "identification", "household": candidate})
        town.things |= {"case_id": case["id"], "open_case_id": opened["id"], "case_no": case["case_no"], "ref": "1"}

    async def _notices_are_posted(self, town: Town) -> None:
        clerk, team = (self.at(town, role, village=True) for role in (Role.VILLAGE_CLERK, Role.TEAM_MEMBER))
        path = f"/registry/v1/cases/{town.things['case_id']}"
        notice = {"step": "publicity", "place": town.text("村务公开栏")}
        await clerk.change("POST", f"{path}/notices", path, notice)
        await team.post(f"{path}/objections", {"text": town.text("该户有车。")})
        reply = {"finding": "dismissed", "text": town.text("车属于亲戚。")}
        await clerk.post(f"{path}/objections/1/answers", reply)

    async def _case_is_decided(self, town: Town) -> None:
        clerk, office = self.at(town, Role.VILLAGE_CLERK, village=True), self.house.person(Role.POVERTY_OFFICE)
        path = f"/registry/v1/cases/{town.things['case_id']}"
        await clerk.change("POST", f"{path}/decisions", path, {"step": "publicity", "verdict": "pass"})
        await office.change("POST", f"{path}/decisions", path, {"step": "county_decision", "verdict": "pass"})
        notice = {"step": "announcement", "place": town.text("村务公开栏")}
        await clerk.change("POST", f"{path}/notices", path, notice)

    # Funds

    async def _money_comes_in(self, town: Town) -> None:
        finance = self.at(town, Role.FINANCE)
        accounts = [
            {"household_no": number, "account_name": f"{town.word}户", "card_number": town.card(index), "bank": town.text("信用社")}
            for index, number in enumerate(town.household_nos[:2])
        ]  # fmt: skip
        await finance.upload("/funds/v1/imports/payees", PAYEES, *accounts)
        await self._wrong_file(town, "funds", "payees", PAYEES, {**accounts[0], "card_number": town.word})
        name = town.text("镇级资金")
        source = await self._fund(finance, f"{town.letter}-1", town.code, name, 1_000_000 + town.size)
        town.things |= {"source_id": source, "fund_no": f"{town.letter}-1", "brief_id": self.county["brief"]}
        town.things |= {"county_source_id": self.county["source"]}

    async def _money_is_planned(self, town: Town) -> None:
        applicant, reviewer = self.at(town, Role.APPLICANT), self.at(town, Role.REVIEWER)
        project_no, tranche_no = f"XM-{town.letter}-1", f"BF-{town.letter}-1"
        project = await applicant.post(
            "/funds/v1/projects",
            {"project_no": project_no, "name": town.text("养殖补助"), "division": town.code, "kind": "产业",
             "description": town.text("购买种畜"), "unit": town.text("镇人民政府"), "year": 2016,
             "performance_target": town.text("户均增收"), "due_on": "2016-12-20"},
        )  # fmt: skip
        path = f"/funds/v1/projects/{project['id']}"
        await self._approve(path, reviewer)
        finance = self.house.person(Role.FINANCE)
        for source, amount in ((town.things["source_id"], 300_000), (self.county["source"], 200_000)):
            order = {"source_id": source, "amount_fen": amount + town.size}
            await finance.post(f"{path}/allocations", order)
        for number, households in (("1", town.household_nos[:2]), ("2", town.household_nos[2:3])):
            order = {"tranche_no": f"BF-{town.letter}-{number}", "amount_fen": 100_000 + town.size, "basis": "people"}
            tranche = await applicant.post(f"{path}/tranches", {**order, "households": households})
            town.things.setdefault("tranche_id", tranche["id"])
        tranche_path = f"/funds/v1/tranches/{town.things['tranche_id']}"
        await self._approve(tranche_path, reviewer)
        await self.at(town, Role.FINANCE).post(f"{tranche_path}/holds")
        notice = {"place": town.text("镇公开栏")}
        await applicant.post("/funds/v1/notices", {**notice, "subject": f"project:{project['id']}"})
        listed = {**notice, "subject": f"tranche:{town.things['tranche_id']}"}
        posted = (await applicant.post("/funds/v1/notices", listed))["id"]
        objector = self.at(town, Role.SUPERVISOR)
        raised = await objector.post(f"/funds/v1/notices/{posted}/objections", {"text": town.text("规模不实。")})
        answer = {"finding": "rejected", "text": town.text("规模属实。")}
        answerer = self.at(town, Role.TOWN_OFFICE)
        await answerer.post(f"/funds/v1/notices/{posted}/objections/{raised['id']}/answers", answer)
        town.things |= {
            "project_id": project["id"],
            "project_no": project_no,
            "tranche_no": tranche_no,
            "notice_id": posted,
            "objection_id": raised["id"],
        }

    async def _approve(self, path: str, reviewer: Person) -> None:
        await reviewer.post(f"{path}/decisions", {"act": "review", "verdict": "pass"})
        approver = self.house.person(Role.APPROVER)
        await approver.post(f"{path}/decisions", {"act": "approve", "verdict": "pass"})

    async def _money_is_paid(self, town: Town) -> None:
        paid = await self.house.person(Role.PAYER).post(f"/funds/v1/tranches/{town.things['tranche_id']}/payments")
        town.things["seq"] = str(paid["entry_seq"])

    # Assessment and notify

    async def _cadres_are_known(self, town: Town) -> None:
        office = self.at(town, Role.POVERTY_OFFICE)
        posts = [
            {"cadre_no": number, "name": f"{town.word}某", "post": post, "unit": town.text("镇人民政府"),
             "division": division, "since": "2016-01-01"}
            for number, post, division in zip(
                town.cadre_nos,
                ("镇党政主要负责人", "镇党政主要负责人", "镇党政主要负责人", "第一书记"),
                (town.code, town.code, town.code, town.village),
                strict=True,
            )
        ]  # fmt: skip
        await office.upload("/assessment/v1/imports/directory", DIRECTORY, *posts)
        await self._wrong_file(town, "assessment", "directory", DIRECTORY, {**posts[0], "since": town.word})
        target = {"division": town.code, "year": 2016, "indicator": "exits", "planned": town.size}
        await office.post("/assessment/v1/targets", {"items": [target]})

    async def _phones_are_known(self, town: Town) -> None:
        phones = [{"cadre_no": no, "phone": town.phone(i)} for i, no in enumerate(town.cadre_nos, 1)]
        await self.at(town, Role.POVERTY_OFFICE).upload("/notify/v1/imports/contacts", CONTACTS, *phones)
        await self._wrong_file(town, "notify", "contacts", CONTACTS, {**phones[0], "phone": town.word})
        town.things["cadre_no"] = town.cadre_nos[0]

    async def _people_answer(self, town: Town) -> None:
        gateway = self.at(town, Role.BACKEND, client="gateway")
        at = self.house.now.isoformat()
        for number, text in ((1, town.text("本周任务已完成。")), (3, "退订"), (9, town.text("打错了。"))):
            message = {
                "from": town.phone(number),
                "text": text,
                "received_at": at,
                "message_ref": f"{town.letter}-{number}",
            }
            await gateway.post("/notify/v1/inbound", message)

    async def _scores_are_disputed(self, town: Town) -> None:
        subject = f"town:{town.code}"
        path, read = f"/assessment/v1/scores/{subject}", f"/assessment/v1/scores/{subject}/explanation?period="
        chief, leader = self.at(town, Role.TOWN_OFFICE), self.house.person(Role.COUNTY_LEADER)
        appeal = {"period": MONTH, "reason": town.text("走访漏计。")}
        await chief.change("POST", f"{path}/appeals", read + MONTH, appeal)
        await leader.change("POST", f"{path}/confirmations", read + LAST_MONTH, {"period": LAST_MONTH})
        supervisor = self.at(town, Role.SUPERVISOR)
        visits = await supervisor.get("/assessment/v1/facts?type=registry.visit_recorded.v1")
        first, second = visits["items"]
        because = {"reason": town.text("经查未到户。")}
        await supervisor.post(f"/assessment/v1/facts/{second['event_id']}/withdrawals", because)
        town.things |= {"event_id": first["event_id"], "subject": subject}

    async def _find_the_rest(self, town: Town) -> None:
        """Ids that only a GET tells."""
        admin, county = self.at(town, Role.COUNTY_ADMIN), self.house.person(Role.COUNTY_ADMIN)
        prompt = (await admin.get(f"/notify/v1/prompts?week={WEEK}"))["items"][0]
        alarm = (await admin.get("/notify/v1/alarms"))["items"][0]
        cadre = await admin.get(f"/assessment/v1/cadres/{town.cadre_nos[3]}")
        run = (await county.get(f"/assessment/v1/scores/runs?period={MONTH}"))["items"][-1]
        town.things |= {
            "prompt_id": prompt["id"],
            "alarm_id": alarm["id"],
            "post_id": cadre["posts"][0]["id"],
            "post_cadre_no": town.cadre_nos[3],
            "opted_out_no": town.cadre_nos[2],
            "message_id": f"{prompt['id'].replace('-', '')}.{prompt['attempt']}",
            "run_id": run["id"],
        }


def _home(town: Town, number: str) -> dict[str, str]:
    return {
        "household_no": number, "division": town.village, "group": town.text("一组"), "status": "未脱贫",
        "attribute": "01", "cause": "01", "identified_on": "2014-05-01", "standard": "国家标准",
        "housing": "01", "safe_water": "是", "income_2016": "4000.00", "remark": town.text("生成数据"),
    }  # fmt: skip


def _man(town: Town, number: str, index: int) -> dict[str, str]:
    return {
        "household_no": number, "name": f"{town.word}{index}", "sex": "男", "id_number": town.id_number(index),
        "relation": "户主", "ethnic": "汉族", "education": "小学", "student": "01", "health": "01",
        "labour": "01", "dibao": "否", "insured": "是", "pension": "是",
    }  # fmt: skip


def town_child(town: Town, number: int = 30) -> dict[str, Any]:
    """A member as the API takes him."""
    return {
        "name": town.text("子"), "sex": "1", "id_number": town.id_number(number), "relation": "20", "education": "80",
        "student": "01", "health": "01", "labour": "01", "insured": True,
    }  # fmt: skip


def _candidate(town: Town) -> dict[str, Any]:
    head = {**town_child(town, 31), "relation": "02"}
    return {
        "household_no": f"{town.village}0005", "division": town.village, "attribute": "01", "cause": "01",
        "housing": "01", "safe_water": True, "incomes": {"2016": 200_000}, "members": [head],
    }  # fmt: skip
