"""Tranches: shared out without losing a fen, and paid through one door."""

import asyncio
from dataclasses import replace

import pytest
from funds_county import County, card, created, household_no, refused
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from services.funds.ledger.domain import InsufficientFunds
from services.funds.payees.domain import Payee
from services.funds.publicity.store import notice
from services.funds.tranches import store
from services.funds.tranches.domain import (
    Basis,
    CardTwice,
    Claim,
    Line,
    PayeeMissing,
    ShareTooSmall,
    digest_of,
    draft,
    require_payees,
    weight_of,
)
from shared.errors import Refusal
from shared.events.registry import HouseholdStatus
from shared.roles import Role
from shared.testing import COUNTY, OTHER_VILLAGE, TOWN, VILLAGE

claims = st.lists(st.integers(1, 12), min_size=1, max_size=40).map(
    lambda weights: [Claim(f"H{n:03d}", VILLAGE, "王*", weight, weight) for n, weight in enumerate(weights)]
)
funds = st.dictionaries(st.sampled_from(["F-1", "F-2", "F-3"]), st.integers(0, 10**7), min_size=1)


@given(claims, funds, st.integers(1, 2 * 10**7))
def test_no_fen_is_lost_whatever_is_shared(claimed, left, amount):
    try:
        made = draft("T-1", amount, claimed, left)
    except InsufficientFunds:
        assert amount > sum(left.values())
        return
    except ShareTooSmall:
        assert amount < sum(claim.weight for claim in claimed)
        return
    assert sum(line.amount_fen for line in made.lines) == amount == sum(made.funds.values())
    for fund_no, fen in made.funds.items():
        assert fen == sum(line.shares.get(fund_no, 0) for line in made.lines) <= left[fund_no]
    for line in made.lines:
        assert line.amount_fen == sum(line.shares.values())
        assert all(fen > 0 for fen in line.shares.values())
        assert abs(line.amount_fen * sum(c.weight for c in claimed) - amount * line.weight) < sum(
            c.weight for c in claimed
        )


@given(claims, st.randoms())
def test_the_order_of_the_list_given_does_not_matter(claimed, random):
    shuffled = list(claimed)
    random.shuffle(shuffled)
    assert draft("T-1", 10_000, claimed, {"F-1": 10_000}) == draft("T-1", 10_000, shuffled, {"F-1": 10_000})


def test_a_share_is_measured_by_its_basis():
    assert [weight_of(basis, people=4, weight=7) for basis in Basis] == [4, 1, 7]


def test_any_change_of_a_line_changes_the_digest():
    line = Line("H1", VILLAGE, "王*", 3, 3, 100, {"F-1": 100})
    changes = {
        "household_no": "H2",
        "people": 4,
        "weight": 4,
        "amount_fen": 99,
        "shares": {"F-2": 100},
        "head_name_masked": "李*",
    }
    digests = {digest_of("T-1", [line])} | {digest_of("T-1", [replace(line, **{k: v})]) for k, v in changes.items()}
    assert len(digests) == 1 + len(changes)


def test_every_household_needs_an_account_of_its_own():
    lines = [Line(no, VILLAGE, "王*", 1, 1, 1, {"F-1": 1}) for no in ("H1", "H2")]
    with pytest.raises(PayeeMissing) as missing:
        require_payees(lines, {"H1": Payee("H1", "王*", "0001", "aa")})
    assert missing.value.facts == {"count": 1}
    assert [error.field for error in missing.value.errors] == ["household:H2"]
    with pytest.raises(CardTwice):
        require_payees(lines, {no: Payee(no, "王*", "0001", "aa") for no in ("H1", "H2")})


@pytest.mark.rule("REG-031")
async def test_a_tranche_lists_the_payable_households_of_its_project(county):
    await county.hear_household(1, people=2)
    await county.hear_household(2, people=3, status=HouseholdStatus.EXITED)
    await county.hear_household(3, people=4, status=HouseholdStatus.CANDIDATE)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    made = created(await county.tranche(project, 1_000))
    assert (made["households"], made["people"], made["amount_yuan"], made["state"]) == (2, 5, "10.00", "apply")
    lines = (await county.finance.get(f"/funds/v1/tranches/{made['id']}/lines")).json()["items"]
    assert [(x["household_no"], x["amount_fen"]) for x in lines] == [(household_no(1), 400), (household_no(2), 600)]


async def test_weights_go_with_the_households_they_are_given_for(county):
    numbers = [await county.hear_household(n) for n in (1, 2)]
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    order = {"basis": "weights", "households": numbers[::-1], "weights": [9, 1]}
    made = created(await county.tranche(project, 1_000, **order))
    lines = (await county.finance.get(f"/funds/v1/tranches/{made['id']}/lines")).json()["items"]
    assert [x["amount_fen"] for x in lines] == [100, 900]


@pytest.mark.parametrize(
    "wrong",
    [
        {"basis": "weights"},
        {"weights": [1]},
        {"basis": "weights", "households": ["H1", "H2"], "weights": [1]},
        {"households": ["H1", "H1"]},
        {"households": ["H1"], "division": COUNTY},
        {"households": []},
    ],
)
async def test_a_contradictory_list_is_malformed(county, wrong):
    project = await county.project()
    assert (await county.tranche(project, 1_000, **wrong)).status_code == 422


async def test_a_household_that_cannot_be_paid_here_is_named(county):
    await county.hear_household(1, status=HouseholdStatus.CANDIDATE)
    await county.hear_household(2, division=OTHER_VILLAGE)
    project = await county.project(division=TOWN)
    created(await county.allocate(project, await county.source(), 1_000))
    answer = await county.tranche(project, 1_000, households=[household_no(1), household_no(2), "nobody"])
    assert refused(answer) == (409, "households_unknown")
    assert [e["field"] for e in answer.json()["errors"]] == [
        f"household:{n}" for n in (household_no(1), household_no(2), "nobody")
    ]


async def test_a_tranche_asks_for_no_more_than_the_project_has(county):
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    answer = await county.tranche(project, 1_001)
    assert refused(answer) == (409, "insufficient_funds")
    assert answer.json()["available_fen"] == 1_000


async def test_the_same_money_is_not_held_twice(county):
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    first = created(await county.tranche(project, 600, "T-1"))["id"]
    second = created(await county.tranche(project, 600, "T-2"))["id"]
    created(await county.hold(first))
    assert refused(await county.hold(second)) == (409, "insufficient_funds")
    assert refused(await county.hold(first)) == (409, "already_held")


async def test_a_voided_tranche_gives_its_money_back_and_is_never_paid(county):
    id = await county.ready_tranche()
    county.live.pass_days(10)
    order = {"reason": "名单有误"}
    first = await county.finance.post(f"/funds/v1/tranches/{id}/voids", order, key="void")
    again = await county.finance.post(f"/funds/v1/tranches/{id}/voids", order, key="void")
    assert created(first) == created(again)
    assert refused(await county.finance.post(f"/funds/v1/tranches/{id}/voids", order)) == (409, "voided")
    assert refused(await county.pay(id)) == (409, "voided")
    shown = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()
    project = (await county.finance.get(f"/funds/v1/projects/{shown['project_id']}")).json()
    assert (shown["state"], project["figures"]["left_fen"], project["figures"]["held_fen"]) == ("voided", 900_000, 0)


@pytest.mark.rule("FND-028")
@pytest.mark.parametrize("role", [Role.PAYER, Role.COUNTY_ADMIN])
async def test_day_nine_of_ten_is_too_early_for_everybody(county: County, role):
    id = await county.ready_tranche()
    county.live.pass_days(9)
    early = await county.pay(id, county.who(role))
    assert refused(early) == (409, "publicity_not_elapsed")
    assert early.json()["days_left"] == 1
    county.live.pass_days(1)
    created(await county.pay(id, county.who(role)))


@pytest.mark.rule("FND-028")
@pytest.mark.parametrize("role", [Role.PAYER, Role.COUNTY_ADMIN])
async def test_an_open_objection_stops_the_payment_for_everybody(county: County, role):
    id = await county.ready_tranche()
    notice = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    objection = created(
        await county.who(Role.VILLAGE_CLERK).post(f"/funds/v1/notices/{notice}/objections", {"text": "漏了一户"})
    )
    county.live.pass_days(10)
    assert refused(await county.pay(id, county.who(role))) == (409, "objection_open")
    path = f"/funds/v1/notices/{notice}/objections/{objection['id']}/answers"
    created(await county.who(Role.POVERTY_OFFICE).post(path, {"finding": "rejected", "text": "该户已在名单中"}))
    created(await county.pay(id, county.who(role)))


@pytest.mark.parametrize("role", [r for r in Role if r not in (Role.PAYER, Role.COUNTY_ADMIN)])
async def test_other_roles_never_pay(county: County, role):
    answer = await county.pay("01930000-0000-7000-8000-000000000001", county.who(role))
    assert refused(answer) == (403, "forbidden")


@pytest.mark.parametrize("role", [Role.PAYER, Role.COUNTY_ADMIN])
async def test_a_county_payment_is_not_let_go_by_a_town(county, role):
    id = await county.ready_tranche(division=TOWN)
    county.live.pass_days(10)
    assert refused(await county.pay(id, county.who(role, TOWN))) == (403, "not_your_step")
    created(await county.pay(id, county.who(role)))


async def test_who_approved_does_not_pay(county):
    id = await county.ready_tranche()
    county.live.pass_days(10)
    answer = await county.pay(id, county.who(Role.PAYER, subject="approver-1"))
    assert refused(answer) == (409, "same_person")


@pytest.mark.rule("FND-019")
async def test_what_is_missing_is_said_one_by_one(county):
    numbers = [await county.hear_household(n) for n in (1, 2)]
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    id = created(await county.tranche(project, 1_000))["id"]
    assert refused(await county.pay(id)) == (409, "not_published")
    await county.publish(f"tranche:{id}")
    county.live.pass_days(10)
    assert refused(await county.pay(id)) == (409, "not_approved")
    await county.approve(f"/funds/v1/tranches/{id}")
    assert refused(await county.pay(id)) == (409, "not_held")
    created(await county.hold(id))
    short = await county.pay(id)
    assert refused(short) == (409, "payee_missing")
    assert short.json()["count"] == 2
    await county.import_payees([(no, "王某", card(n), "农商行") for n, no in enumerate(numbers)])
    created(await county.pay(id))


async def test_a_rejected_tranche_is_neither_held_nor_paid(county):
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    id = created(await county.tranche(project, 1_000))["id"]
    order = {"act": "review", "verdict": "reject", "reason": "名单不全"}
    created(await county.who(Role.REVIEWER).post(f"/funds/v1/tranches/{id}/decisions", order))
    assert refused(await county.hold(id)) == (409, "rejected")
    answer = await county.who(Role.POVERTY_OFFICE).post(
        "/funds/v1/notices", {"subject": f"tranche:{id}", "place": "公示栏"}
    )
    assert refused(answer) == (409, "rejected")


async def test_a_payment_is_one_entry_that_says_everything(county):
    id = await county.ready_tranche(households=3)
    county.live.pass_days(10)
    paid = created(await county.pay(id))
    entry = (await county.who(Role.AUDITOR).get(f"/funds/v1/entries/{paid['entry_seq']}")).json()
    to_households = [p for p in entry["postings"] if p["kind"] == "household"]
    assert sum(p["amount_fen"] for p in to_households) == paid["amount_fen"] == 100_000
    assert {p["earmark"] for p in to_households} == {"F-1", "F-2"}
    assert [(a["act"], a["decider"]) for a in entry["approvals"]] == [
        ("apply", "applicant-1"),
        ("review", "reviewer-1"),
        ("approve", "approver-1"),
    ]
    shown = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()
    assert (entry["notice"]["days"], entry["notice"]["digest"]) == (10, shown["digest"])
    assert shown["digest"] == entry["details"]["list_digest"]
    assert [row[4] for row in entry["details"]["payees"]] == [card(n)[-4:] for n in (1, 2, 3)]
    assert card(1) not in str(entry)


async def test_the_same_key_gives_the_first_payment_again_and_another_key_nothing(county):
    id = await county.ready_tranche()
    county.live.pass_days(10)
    first = created(await county.pay(id, key="once"))
    county.live.pass_days(1)
    assert created(await county.pay(id, key="once")) == first
    other = await county.pay(id, key="twice")
    assert refused(other) == (409, "already_paid")
    assert other.json()["entry_seq"] == first["entry_seq"]
    events = await county.events("funds.tranche_paid.v1")
    assert [(e["amount_fen"], e["households"], e["paid_on"]) for e in events] == [(100_000, 3, "2016-11-11")]


async def test_of_many_payments_at_once_one_is_made(county):
    id = await county.ready_tranche()
    county.live.pass_days(10)
    answers = await asyncio.gather(*(county.pay(id, key=f"key-{n}-at-once") for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_paid"}
    assert len(await county.events("funds.tranche_paid.v1")) == 1


async def test_a_refused_payment_is_on_record_and_moves_nothing(county):
    id = await county.ready_tranche()
    before = (await county.finance.get("/funds/v1/projects")).json()["items"][0]["figures"]
    assert refused(await county.pay(id)) == (409, "publicity_not_elapsed")
    entries = (await county.who(Role.AUDITOR).get("/funds/v1/entries", kind="refused")).json()["items"]
    assert [entry["actor"] for entry in entries] == ["payer-1"]
    assert (await county.finance.get("/funds/v1/projects")).json()["items"][0]["figures"] == before


async def test_a_list_changed_behind_our_back_is_not_paid(county):
    id = await county.ready_tranche()
    county.live.pass_days(10)
    async with county.live.service.database.write() as tx:
        await tx.execute(text("drop trigger tranche_line_no_update"))
        await tx.execute(update(store.line).where(store.line.c.line == 1).values(people=99))
    assert refused(await county.pay(id)) == (409, "list_changed")


@pytest.mark.parametrize("table", [store.tranche, store.line, notice], ids=lambda table: table.name)
async def test_what_was_published_and_decided_on_cannot_be_changed_in_the_database(county_on_both, table):
    await county_on_both.ready_tranche(households=1)
    for statement in (update(table).values(division=OTHER_VILLAGE), delete(table)):
        with pytest.raises(DBAPIError, match="append-only"):
            async with county_on_both.live.service.database.write() as tx:
                await tx.execute(statement)


async def test_a_second_payment_is_refused_on_record(county):
    id = await county.paid_tranche(households=1)
    assert refused(await county.pay(id)) == (409, "already_paid")
    entry = (await county.who(Role.AUDITOR).get("/funds/v1/entries", kind="refused")).json()["items"][0]
    detail = (await county.who(Role.AUDITOR).get(f"/funds/v1/entries/{entry['seq']}")).json()["details"]
    assert (detail["code"], detail["refused_once"], entry["amount_fen"]) == ("already_paid", "paid:T-1", 0)


async def test_of_two_decisions_at_once_one_is_taken(county_on_both):
    id = await county_on_both.project(approved=False)
    order = {"act": "review", "verdict": "pass"}
    reviewers = [county_on_both.who(Role.REVIEWER, subject=f"reviewer-{n}") for n in range(3)]
    answers = await asyncio.gather(*(who.post(f"/funds/v1/projects/{id}/decisions", order) for who in reviewers))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "out_of_turn"}


async def test_of_two_tranches_with_one_number_one_is_made(county_on_both):
    county = county_on_both
    await county.hear_household(1)
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    answers = await asyncio.gather(*(county.tranche(project, 400) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "tranche_no_taken"}


async def test_a_town_does_not_see_the_county_s_tranche(county):
    id = await county.ready_tranche()
    town = county.who(Role.PAYER, division=TOWN)
    assert refused(await county.pay(id, town)) == (404, "tranche_unknown")
    assert (await town.get("/funds/v1/tranches")).json()["items"] == []
    assert refused(await town.get(f"/funds/v1/tranches/{id}/lines")) == (404, "tranche_unknown")


def test_a_refusal_names_at_most_a_few_households():
    lines = [Line(f"H{n}", VILLAGE, "王*", 1, 1, 1, {"F-1": 1}) for n in range(50)]
    with pytest.raises(Refusal) as refusal:
        require_payees(lines, {})
    assert (len(refusal.value.errors), refusal.value.facts) == (20, {"count": 50})
