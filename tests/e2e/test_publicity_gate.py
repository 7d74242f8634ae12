"""Acceptance point 3, over HTTP: no role brings money past its publicity (公示), whatever it may do otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Copied, House

from demo.cast import ADMIN, APPROVER, AUDITOR, COUNTY_LEADER, FINANCE, PAYER, POVERTY_OFFICE, SUPERVISOR
from demo.driver import Who
from shared.roles import Role

TRANCHE_FEN = 10_000_07
PUBLICITY_DAYS = 10
TRANCHE_NO = "BF-2016-E2E"

STRANGERS = [
    *(FINANCE, APPROVER, AUDITOR, POVERTY_OFFICE, SUPERVISOR, COUNTY_LEADER),
    *(Who(f"{role}-county", (role,), ("610926000000",)) for role in (Role.APPLICANT, Role.REVIEWER, Role.BACKEND)),
]
"""Roles that have much to do with money, and no right to pay."""


@dataclass(frozen=True, slots=True)
class Published:
    """A tranche whose list was published today: approved, its money set aside."""

    house: House
    tranche_id: str
    notice_id: str

    @property
    def payments(self) -> str:
        return f"/funds/v1/tranches/{self.tranche_id}/payments"

    def refusal(self, who: Who, act: str, status: int = 409) -> Any:
        return self.house.driver.refused(who, self.payments, f"{act}:{who.subject}", None, status=status)


@pytest.fixture
def published(copied: Copied) -> Iterator[Published]:
    """A second tranche of the month's project, drawn up on a copy of the month."""
    with copied() as house:
        hands = house.driver
        (project,) = hands.pages(AUDITOR, "/funds/v1/projects")
        applicant = Who("applicant-e2e", (Role.APPLICANT,), (project["division"],))
        reviewer = Who("reviewer-e2e", (Role.REVIEWER,), (project["division"],))
        (paid,) = hands.pages(AUDITOR, "/funds/v1/tranches")
        lines = hands.pages(AUDITOR, f"/funds/v1/tranches/{paid['id']}/lines")
        tranche = hands.post(applicant, f"/funds/v1/projects/{project['id']}/tranches", "apply", {
            "tranche_no": TRANCHE_NO, "amount_fen": TRANCHE_FEN, "basis": "people",
            "households": [line["household_no"] for line in lines[:7]],
        })  # fmt: skip
        for who, act in ((reviewer, "review"), (APPROVER, "approve")):
            decision = {"act": act, "verdict": "pass"}
            hands.post(who, f"/funds/v1/tranches/{tranche['id']}/decisions", act, decision)
        hands.post(FINANCE, f"/funds/v1/tranches/{tranche['id']}/holds", "hold", None)
        subject = {"subject": f"tranche:{tranche['id']}", "place": "镇、村公开栏"}
        notice = hands.post(applicant, "/funds/v1/notices", "notice", subject)
        yield Published(house, tranche["id"], notice["id"])


@pytest.mark.rule("FND-028")
def test_nobody_pays_before_the_days_are_over_or_while_an_objection_is_open(published: Published) -> None:
    """Day 9 of 10, day 10 with an open objection, and day 10 after its answer."""
    house, hands = published.house, published.house.driver
    house.pass_days(PUBLICITY_DAYS - 1)
    for who in (PAYER, ADMIN):
        problem = published.refusal(who, "day-9")
        assert (problem["code"], problem["days_left"]) == ("publicity_not_elapsed", 1)
        assert problem["detail"]
    for who in STRANGERS:
        published.refusal(who, "day-9", status=403)
    notice = f"/funds/v1/notices/{published.notice_id}"
    objection = hands.post(SUPERVISOR, f"{notice}/objections", "object", {"text": "请核实。"})
    house.pass_days(1)
    for who in (PAYER, ADMIN):
        assert published.refusal(who, "day-10")["code"] == "objection_open"
    for who in STRANGERS:
        published.refusal(who, "day-10", status=403)
    answer = {"finding": "rejected", "text": "已核实。"}
    hands.post(POVERTY_OFFICE, f"{notice}/objections/{objection['id']}/answers", "answer", answer)
    paid = hands.post(PAYER, published.payments, "pay", None)
    assert paid["amount_fen"] == TRANCHE_FEN
