"""Projects: applied for, decided on by different people, given money that keeps its earmark."""

import asyncio
from datetime import date

import pytest
from funds_county import created, refused
from hypothesis import given
from hypothesis import strategies as st

from services.funds.approvals.domain import (
    Chain,
    Decision,
    OutOfTurn,
    Rejected,
    SamePerson,
    Verdict,
    require_approved,
    require_other_person,
    require_turn,
)
from services.funds.projects.domain import OutsideFundArea, allocation_postings
from shared.errors import Refusal
from shared.ids import new_id
from shared.roles import Caller, Role
from shared.scope import Area
from shared.testing import COUNTY, OTHER_TOWN, TOWN, VILLAGE

CHAIN = Chain.read(
    [
        {"act": "apply", "name": "申报", "name_en": "Application", "level": "town", "roles": ["applicant"]},
        {"act": "review", "name": "审核", "name_en": "Review", "level": "town", "roles": ["reviewer"]},
        {"act": "approve", "name": "审批", "name_en": "Approval", "level": "county", "roles": ["approver"]},
        {"act": "pay", "name": "拨付", "name_en": "Payment", "level": "county", "roles": ["payer"]},
    ],
    [["apply", "review"], ["apply", "approve"], ["review", "approve"], ["apply", "pay"], ["approve", "pay"]],
)
ROLE = {"apply": Role.APPLICANT, "review": Role.REVIEWER, "approve": Role.APPROVER}


def person(name: str, *roles: Role, division: str = COUNTY) -> Caller:
    return Caller(name, "tests", frozenset(roles), (division,), Area.of([division]))


def taken(act: str, who: str, verdict: Verdict = Verdict.PASS) -> Decision:
    return Decision(new_id(), act, verdict, who, date(2016, 11, 1))


@given(st.lists(st.tuples(st.sampled_from(list(ROLE)), st.sampled_from("ABCD"), st.booleans()), max_size=12))
def test_the_chain_is_walked_in_order_by_different_people(acts):
    """Against a model: the refusal of every act, or its place in the chain, is known beforehand."""
    decisions: list[Decision] = []
    order = list(ROLE)
    for act, who, passes in acts:
        try:
            require_turn(CHAIN, decisions, act, person(who, ROLE[act]), VILLAGE)
            outcome = None
        except Refusal as refusal:
            outcome = type(refusal)
        if any(d.verdict is Verdict.REJECT for d in decisions):
            expected = Rejected
        elif len(decisions) == len(order) or act != order[len(decisions)]:
            expected = OutOfTurn
        elif who in {d.decider for d in decisions}:
            expected = SamePerson
        else:
            expected = None
        assert outcome is expected
        if outcome is None:
            decisions.append(taken(act, who, Verdict.PASS if passes else Verdict.REJECT))


@pytest.mark.rule("FND-029")
async def test_the_chain_comes_from_the_pack(county):
    id = await county.project(approved=False)
    shown = (await county.finance.get(f"/funds/v1/projects/{id}")).json()
    assert (shown["state"], shown["next"]["act"], shown["next"]["roles"]) == ("apply", "review", ["reviewer"])


async def test_who_applied_does_not_decide(county):
    id = await county.project(approved=False)
    same = county.who(Role.REVIEWER, subject="applicant-1")
    answer = await same.post(f"/funds/v1/projects/{id}/decisions", {"act": "review", "verdict": "pass"})
    assert refused(answer) == (409, "same_person")


async def test_an_approval_before_the_review_is_out_of_turn(county):
    id = await county.project(approved=False)
    answer = await county.who(Role.APPROVER).post(
        f"/funds/v1/projects/{id}/decisions", {"act": "approve", "verdict": "pass"}
    )
    assert refused(answer) == (409, "out_of_turn")
    assert answer.json()["next"] == "review"


async def test_a_reviewer_does_not_approve(county):
    id = await county.project(approved=False)
    path = f"/funds/v1/projects/{id}/decisions"
    created(await county.who(Role.REVIEWER).post(path, {"act": "review", "verdict": "pass"}))
    answer = await county.who(Role.REVIEWER, subject="other").post(path, {"act": "approve", "verdict": "pass"})
    assert refused(answer) == (403, "not_your_step")


async def test_a_town_s_approver_does_not_approve_for_the_county(county):
    id = await county.project(division=TOWN, approved=False)
    path = f"/funds/v1/projects/{id}/decisions"
    created(await county.who(Role.REVIEWER, division=TOWN).post(path, {"act": "review", "verdict": "pass"}))
    answer = await county.who(Role.APPROVER, division=TOWN).post(path, {"act": "approve", "verdict": "pass"})
    assert refused(answer) == (403, "not_your_step")


@pytest.mark.rule("FND-019")
async def test_a_rejection_needs_a_reason_and_ends_the_chain(county):
    id = await county.project(approved=False)
    path, reviewer = f"/funds/v1/projects/{id}/decisions", county.who(Role.REVIEWER)
    assert (await reviewer.post(path, {"act": "review", "verdict": "reject"})).status_code == 422
    created(await reviewer.post(path, {"act": "review", "verdict": "reject", "reason": "地块不符"}))
    answer = await county.who(Role.APPROVER).post(path, {"act": "approve", "verdict": "pass"})
    assert refused(answer) == (409, "rejected")
    assert (await county.finance.get(f"/funds/v1/projects/{id}")).json()["state"] == "rejected"


async def test_payment_is_never_a_decision(county):
    id = await county.project()
    answer = await county.who(Role.APPROVER).post(
        f"/funds/v1/projects/{id}/decisions", {"act": "pay", "verdict": "pass"}
    )
    assert answer.status_code == 422


@pytest.mark.rule("FND-009", "FND-030")
async def test_an_allocation_keeps_its_earmark(county):
    project = await county.project()
    for fund_no, fen in (("F-1", 600), ("F-2", 300)):
        answer = created(await county.allocate(project, await county.source(fund_no), fen))
        assert (answer["fund_no"], answer["amount_fen"], answer["allocated_on"]) == (fund_no, fen, "2016-11-01")
    shown = (await county.finance.get(f"/funds/v1/projects/{project}")).json()
    assert [(f["fund_no"], f["allocated_fen"], f["left_fen"]) for f in shown["funds"]] == [
        ("F-1", 600, 600),
        ("F-2", 300, 300),
    ]
    assert shown["figures"]["yuan"]["allocated"] == "9.00"
    events = await county.events("funds.fund_allocated.v1")
    assert [(event["amount_fen"], event["project_no"]) for event in events] == [(600, "P-1"), (300, "P-1")]


async def test_a_project_without_approval_gets_nothing(county):
    project = await county.project(approved=False)
    answer = await county.allocate(project, await county.source(), 100)
    assert refused(answer) == (409, "not_approved")


async def test_a_fund_never_gives_more_than_it_received(county):
    project, source = await county.project(), await county.source(received_fen=1_000)
    answers = await asyncio.gather(*(county.allocate(project, source, 400) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    short = next(answer.json() for answer in answers if answer.status_code == 409)
    assert (short["code"], short["available_fen"]) == ("insufficient_funds", 200)
    figures = (await county.finance.get(f"/funds/v1/sources/{source}")).json()["figures"]
    assert (figures["received_fen"], figures["allocated_fen"], figures["left_fen"]) == (1_000, 800, 200)


async def test_an_allocation_under_the_same_key_happens_once(county):
    project, source = await county.project(), await county.source()
    answers = [await county.allocate(project, source, 400, key="once") for _ in range(2)]
    assert created(answers[0]) == created(answers[1])
    assert len(await county.events("funds.fund_allocated.v1")) == 1


def test_a_town_s_fund_stays_in_its_town():
    with pytest.raises(OutsideFundArea):
        allocation_postings("F-1", TOWN, "P-1", OTHER_TOWN, 5)


async def test_a_town_sees_its_own_projects_only(county):
    ours, theirs = await county.project("P-1", TOWN), await county.project("P-2", OTHER_TOWN)
    town = county.who(Role.TOWN_OFFICE, division=TOWN)
    assert [item["id"] for item in (await town.get("/funds/v1/projects")).json()["items"]] == [ours]
    assert refused(await town.get(f"/funds/v1/projects/{theirs}")) == (404, "project_unknown")


def test_a_payer_who_approved_is_excluded():
    with pytest.raises(SamePerson):
        require_other_person(CHAIN, [taken("approve", "A")], "pay", "A")


def test_everything_but_payment_must_have_passed():
    with pytest.raises(Refusal) as refusal:
        require_approved(CHAIN, [taken("apply", "A")])
    assert refusal.value.facts == {"next": "review"}
    require_approved(CHAIN, [taken("apply", "A"), taken("review", "B"), taken("approve", "C")])
