"""Step 3: money arrives, is allocated to a project, published, approved, and paid to households; no fen is lost."""

from datetime import date
from typing import Any

from demo import cast
from demo.driver import Who
from demo.month.stage import Stage, check
from shared.roles import Role
from shared.scope import Level, at_level

YEAR = 2016
CENTRAL, COUNTY_FUND = "ZY-2016-001", "XJ-2016-001"
RECEIVED_FEN = {CENTRAL: 3_000_000_00, COUNTY_FUND: 1_200_000_00}
ALLOCATED_FEN = {CENTRAL: 480_000_01, COUNTY_FUND: 160_000_02}
TRANCHE_FEN = 500_000_01
"""Amounts that no number of people divides: the largest remainder has to place the last fen."""

_FUNDS = {
    CENTRAL: ("中央财政专项扶贫资金", "central", "财农〔2016〕示例1号"),
    COUNTY_FUND: ("县级财政配套扶贫资金", "county", "平财发〔2016〕示例1号"),
}


class Money:
    """One project of the town the leaver lives in: animals for the households that raise them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        county = stage.county
        self.town = str(at_level(county.leaver.division, Level.TOWN))
        town_name = next(division.name for division in county.divisions if division.code == self.town)
        self.households = sorted(
            {
                measure.household_no
                for measure in county.measures
                if (measure.pathway, measure.sub) == ("industry", "养殖")
                and measure.household_no.startswith(self.town[:9])
            }
        )
        self.project_name = f"{town_name}养殖产业到户补助"
        self.applicant = Who(f"applicant-{self.town[:9]}", (Role.APPLICANT,), (self.town,))
        self.reviewer = Who(f"reviewer-{self.town[:9]}", (Role.REVIEWER,), (self.town,))
        self.sources: dict[str, str] = {}
        self.project_id = self.tranche_id = self.notice_id = self.objection_id = ""
        self.refusals: list[dict[str, Any]] = []

    def receive(self, day: date) -> None:
        """A central and a county fund arrive (资金到账)."""
        driver = self._stage.driver
        for fund_no, (name, level, document_no) in _FUNDS.items():
            source = driver.post(
                cast.FINANCE,
                "/funds/v1/sources",
                f"source:{fund_no}",
                {
                    "fund_no": fund_no,
                    "name": name,
                    "level": level,
                    "year": YEAR,
                    "division": cast.COUNTY,
                    "document_no": document_no,
                },
            )
            self.sources[fund_no] = source["id"]
            driver.post(
                cast.FINANCE,
                f"/funds/v1/sources/{source['id']}/receipts",
                f"receipt:{fund_no}",
                {"amount_fen": RECEIVED_FEN[fund_no], "received_on": day.isoformat(), "voucher_no": f"PZ-{fund_no}"},
            )
        total = sum(RECEIVED_FEN.values()) // 100
        self._stage.say(f"中央、县级资金到账共 {total:,} 元", f"a central and a county fund arrived: {total:,} yuan")

    def apply(self) -> None:
        """The town applies for the project, and another person reviews it."""
        driver = self._stage.driver
        project = driver.post(
            self.applicant,
            "/funds/v1/projects",
            "project:apply",
            {
                "project_no": f"XM-{YEAR}-001",
                "name": self.project_name,
                "division": self.town,
                "kind": "产业发展",
                "description": "对养殖户按家庭人口补助购买种畜和饲料。",
                "unit": "镇人民政府",
                "year": YEAR,
                "performance_target": f"{len(self.households)} 户养殖户增收",
                "due_on": "2016-12-20",
            },
        )
        self.project_id = project["id"]
        self._decide("projects", self.project_id, self.reviewer, "review")

    def approve(self) -> None:
        """The county approves, finance allocates from both funds."""
        self._decide("projects", self.project_id, cast.APPROVER, "approve")
        for fund_no, amount in ALLOCATED_FEN.items():
            self._stage.driver.post(
                cast.FINANCE,
                f"/funds/v1/projects/{self.project_id}/allocations",
                f"allocate:{fund_no}",
                {"source_id": self.sources[fund_no], "amount_fen": amount},
            )
        self._stage.say(
            "项目经申报、审核、审批，两项资金分配到位",
            "the project was applied for, reviewed and approved; both funds were allocated",
        )

    def draw_up_tranche(self) -> None:
        """The town draws up the list; shares by people, the last fen by largest remainder."""
        tranche = self._stage.driver.post(
            self.applicant,
            f"/funds/v1/projects/{self.project_id}/tranches",
            "tranche:apply",
            {
                "tranche_no": f"BF-{YEAR}-001",
                "amount_fen": TRANCHE_FEN,
                "basis": "people",
                "households": self.households,
            },
        )
        self.tranche_id = tranche["id"]
        self._decide("tranches", self.tranche_id, self.reviewer, "review")

    def publish(self) -> None:
        """Approved by the county, the money set aside, the list hung up: this is day 0."""
        self._decide("tranches", self.tranche_id, cast.APPROVER, "approve")
        self._post(cast.FINANCE, "holds", "tranche:hold")
        notice = self._stage.driver.post(
            self.applicant,
            "/funds/v1/notices",
            "tranche:notice",
            {"subject": f"tranche:{self.tranche_id}", "place": "镇、村公开栏"},
        )
        self.notice_id = notice["id"]
        self._stage.say(
            f"{len(self.households)} 户拨付清单公示 {notice['days']} 天",
            f"the list of {len(self.households)} households is published",
        )

    def pay_too_early(self) -> None:
        """Day 9 of 10: refused for the paying role and for the administrator alike; then somebody objects."""
        for who in (cast.PAYER, cast.ADMIN):
            self._refused(who, "publicity_not_elapsed", f"early:{who.subject}", days_left=1)
        objection = self._stage.driver.post(
            cast.SUPERVISOR,
            f"/funds/v1/notices/{self.notice_id}/objections",
            "tranche:objection",
            {"text": "请核实清单中养殖规模是否属实。"},
        )
        self.objection_id = objection["id"]
        self._stage.say("公示第 9 天申请拨付被拒，有人提出异议", "day 9: payment refused; an objection was raised")

    def pay(self) -> None:
        """Day 10: refused while the objection is open, paid once it is answered."""
        for who in (cast.PAYER, cast.ADMIN):
            self._refused(who, "objection_open", f"objected:{who.subject}")
        self._stage.driver.post(
            cast.POVERTY_OFFICE,
            f"/funds/v1/notices/{self.notice_id}/objections/{self.objection_id}/answers",
            "tranche:answer",
            {"finding": "rejected", "text": "镇、村逐户复核，规模属实。"},
        )
        paid = self._post(cast.PAYER, "payments", "tranche:pay")
        check(paid["amount_fen"] == TRANCHE_FEN, f"paid {paid['amount_fen']} fen of {TRANCHE_FEN}")
        self._stage.say(
            f"异议答复后拨付 {paid['households']} 户 {paid['amount_yuan']} 元",
            f"after the answer {paid['households']} households were paid {paid['amount_yuan']} yuan",
        )

    def result(self) -> dict[str, Any]:
        """What the ledger says of the project, and that the shares add up to the fen."""
        driver = self._stage.driver
        lines = driver.pages(cast.AUDITOR, f"/funds/v1/tranches/{self.tranche_id}/lines")
        shared = sum(line["amount_fen"] for line in lines)
        check(shared == TRANCHE_FEN, f"the shares add up to {shared} fen, not {TRANCHE_FEN}")
        check(len(lines) == len(self.households), f"{len(lines)} lines for {len(self.households)} households")
        funds = {}
        for fund_no, source_id in self.sources.items():
            figures = driver.get(cast.AUDITOR, f"/funds/v1/sources/{source_id}")["figures"]
            funds[fund_no] = {key: value for key, value in figures.items() if key.endswith("_fen")}
        paid = sum(fund["paid_fen"] for fund in funds.values())
        check(paid == TRANCHE_FEN, f"the funds paid {paid} fen, not {TRANCHE_FEN}")
        return {
            "project": self.project_name,
            "households": len(lines),
            "received_fen": sum(RECEIVED_FEN.values()),
            "allocated_fen": sum(ALLOCATED_FEN.values()),
            "paid_fen": paid,
            "lost_fen": TRANCHE_FEN - shared,
            "funds": funds,
            "refused": self.refusals,
        }

    def _decide(self, kind: str, key: str, who: Who, act: str) -> None:
        body = {"act": act, "verdict": "pass"}
        self._stage.driver.post(who, f"/funds/v1/{kind}/{key}/decisions", f"{kind}:{act}", body)

    def _post(self, who: Who, what: str, act: str) -> Any:
        return self._stage.driver.post(who, f"/funds/v1/tranches/{self.tranche_id}/{what}", act, None)

    def _refused(self, who: Who, code: str, act: str, **facts: int) -> None:
        problem = self._stage.driver.refused(who, f"/funds/v1/tranches/{self.tranche_id}/payments", f"pay:{act}", None)
        check(problem["code"] == code, f"refused with {problem['code']} instead of {code}")
        for name, value in facts.items():
            check(problem.get(name) == value, f"{code}: {name} is {problem.get(name)}, not {value}")
        self.refusals.append({"code": code, "by": who.subject, **facts})
