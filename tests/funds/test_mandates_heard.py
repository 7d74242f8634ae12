"""A mandate of the registry, as another service hears it: once, in order, and from then on in force."""

from datetime import date

import pytest

from shared.clock import county_instant
from shared.events.registry import MandateKind, MandateRecorded
from shared.ids import new_id
from shared.roles import Role
from shared.testing import COUNTY, TOWN

SOURCES = "/funds/v1/sources"
MANDATE = MandateRecorded(
    mandate_id=new_id(),
    kind=MandateKind.ACTING,
    holders=["wang"],
    absent="li",
    roles=[Role.FINANCE.value, "a_role_of_tomorrow", Role.PRIVACY.value],
    divisions=[COUNTY],
    since=date(2016, 11, 1),
    until=date(2016, 11, 30),
)
ENDED = MANDATE.model_copy(update={"ended_at": county_instant(date(2016, 11, 1), 8)})


def order(number):
    return {"fund_no": f"F-{number}", "name": "专项资金", "level": "county", "year": 2016, "division": COUNTY,
            "document_no": "1号"}  # fmt: skip


def acting(county):
    who = county.who(Role.SUPERVISOR, division=TOWN, subject="wang")
    return lambda number: who.post(SOURCES, order(number), headers={"daohu-acting-for": "li"})


async def test_a_mandate_that_was_heard_is_in_force_here(county_on_both):
    act = acting(county_on_both)
    assert (await act(1)).status_code == 403
    await county_on_both.live.hear(MANDATE, version=1, times=2)
    assert (await act(1)).status_code == 201


async def test_an_end_that_was_heard_is_not_taken_back_by_a_late_beginning(county):
    act = acting(county)
    await county.live.hear(MANDATE, version=1)
    await county.live.hear(ENDED, version=2, times=2)
    await county.live.hear(MANDATE, version=1)
    answer = await act(1)
    assert (answer.status_code, answer.json()["code"]) == (403, "no_mandate")


async def test_a_kind_of_mandate_that_is_not_known_here_allows_nothing(county):
    await county.live.hear(MANDATE.model_copy(update={"kind": MandateKind.UNKNOWN}), version=1)
    assert (await acting(county)(1)).status_code == 403


async def test_an_audit_that_was_heard_lets_its_auditor_read_the_trail(county):
    audit = MANDATE.model_copy(
        update={"kind": MandateKind.AUDIT, "holders": ["sun", "zhou"], "absent": None, "roles": ["auditor"]}
    )
    zhou = county.who(Role.AUDITOR, subject="zhou")
    assert (await zhou.get("/funds/v1/trail/gaps")).json()["code"] == "no_engagement"
    await county.live.hear(audit, version=1)
    assert (await zhou.get("/funds/v1/trail/gaps")).status_code == 200


@pytest.mark.parametrize("applied", ["wang", "li"], ids=["the deputy himself", "the absent one"])
async def test_who_stands_in_is_of_one_side_with_whom_he_stands_in_for(county, applied):
    """What either of the two applied for is reviewed by a third (four eyes)."""
    lent = MANDATE.model_copy(update={"roles": ["reviewer"]})
    await county.live.hear(lent, version=1)
    applicant = county.who(Role.APPLICANT, subject=applied)
    order = {
        "project_no": "P-1", "name": "茶园建设", "division": COUNTY, "kind": "产业", "description": "建茶园",
        "unit": "平利县农业局", "year": 2016, "performance_target": "户均增收", "due_on": "2016-12-31",
    }  # fmt: skip
    project = (await applicant.post("/funds/v1/projects", order)).json()["id"]
    path, review = f"/funds/v1/projects/{project}/decisions", {"act": "review", "verdict": "pass"}
    wang = county.who(Role.SUPERVISOR, subject="wang")
    answer = await wang.post(path, review, headers={"daohu-acting-for": "li"})
    assert (answer.status_code, answer.json()["code"]) == (409, "same_person")
    assert (await county.who(Role.REVIEWER, subject="zhao").post(path, review)).status_code == 201
