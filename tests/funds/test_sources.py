"""Funds: registered, filled, and read from the ledger."""

import asyncio

import pytest
from funds_county import created, refused
from sqlalchemy import select

from services.funds.ledger import store as ledger
from shared.roles import Role
from shared.testing import COUNTY, TOWN

RECEIPT = {"amount_fen": 500, "received_on": "2016-11-01", "voucher_no": "V-9"}


async def test_a_receipt_is_a_fact_and_a_figure(county):
    source = await county.source(received_fen=0)
    receipt = created(await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT))
    assert (receipt["entry_seq"], receipt["amount_yuan"]) == (1, "5.00")
    shown = (await county.finance.get(f"/funds/v1/sources/{source}")).json()["figures"]
    assert (shown["received_fen"], shown["left_fen"], shown["yuan"]["received"]) == (500, 500, "5.00")
    assert [event["amount_fen"] for event in await county.events("funds.fund_received.v1")] == [500]


async def test_the_same_key_gives_the_first_receipt_again(county):
    source = await county.source(received_fen=0)
    first = await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT, key="once")
    again = await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT, key="once")
    assert created(first) == created(again)
    assert len(await county.events("funds.fund_received.v1")) == 1


async def test_a_key_of_another_receipt_is_refused(county):
    source = await county.source(received_fen=0)
    created(await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT, key="once"))
    other = await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT | {"amount_fen": 501}, key="once")
    assert refused(other) == (409, "idempotency_key_reused")


async def test_a_voucher_counts_once(county):
    source = await county.source(received_fen=0)
    created(await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT))
    assert refused(await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT)) == (
        409,
        "voucher_entered",
    )


async def test_a_fund_number_is_given_once(county):
    await county.source("F-1", 0)
    order = {
        "fund_no": "F-1",
        "name": "另一笔",
        "level": "county",
        "year": 2016,
        "division": COUNTY,
        "document_no": "1号",
    }
    assert refused(await county.finance.post("/funds/v1/sources", order)) == (409, "fund_no_taken")


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_fen": 0},
        {"amount_fen": -5},
        {"amount_fen": 1.5},
        {"amount_fen": "5"},
        {"received_on": "2016-11-02"},
        {"voucher_no": "a/b"},
    ],
)
async def test_a_malformed_receipt_moves_nothing(county, wrong):
    source = await county.source(received_fen=0)
    answer = await county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT | wrong)
    assert answer.status_code == 422
    assert (await county.finance.get(f"/funds/v1/sources/{source}")).json()["figures"]["received_fen"] == 0


async def test_a_fund_outside_a_county_has_no_book(county):
    order = {
        "fund_no": "F-9",
        "name": "省级",
        "level": "province",
        "year": 2016,
        "division": "610000000000",
        "document_no": "1号",
    }
    answer = await county.who(Role.FINANCE, division="610000000000").post("/funds/v1/sources", order)
    assert answer.status_code == 422


async def test_a_town_does_not_see_the_county_s_funds(county):
    source = await county.source()
    town = county.who(Role.FINANCE, division=TOWN)
    assert refused(await town.get(f"/funds/v1/sources/{source}")) == (404, "source_unknown")
    assert (await town.get("/funds/v1/sources")).json()["items"] == []
    assert refused(await town.post(f"/funds/v1/sources/{source}/receipts", RECEIPT)) == (404, "source_unknown")


@pytest.mark.rule("FND-001")
async def test_funds_are_listed_by_level_and_year_page_by_page(county):
    for number, level in (("F-1", "central"), ("F-2", "county"), ("F-3", "central")):
        await county.source(number, 0, level=level)
    first = (await county.finance.get("/funds/v1/sources", limit=1, level="central", year=2016)).json()
    second = (
        await county.finance.get("/funds/v1/sources", limit=1, level="central", year=2016, after=first["next"])
    ).json()
    assert [item["fund_no"] for page in (first, second) for item in page["items"]] == ["F-1", "F-3"]
    assert second["next"] is None


async def test_only_finance_moves_money_in(county):
    source = await county.source(received_fen=0)
    for role in (Role.COUNTY_ADMIN, Role.AUDITOR, Role.PAYER, Role.APPLICANT):
        answer = await county.who(role).post(f"/funds/v1/sources/{source}/receipts", RECEIPT)
        assert refused(answer) == (403, "forbidden")


async def test_of_two_funds_with_one_number_one_is_registered(county_on_both):
    order = {
        "fund_no": "F-1",
        "name": "中央专项",
        "level": "central",
        "year": 2016,
        "division": COUNTY,
        "document_no": "1",
    }
    answers = await asyncio.gather(*(county_on_both.finance.post("/funds/v1/sources", order) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "fund_no_taken"}


async def test_requests_that_wait_for_the_ledger_leave_the_connections_to_those_who_read(county_on_both):
    """More receipts wait than the database has connections for reading, and a list is still answered."""
    county = county_on_both
    source = await county.source()
    async with county.live.service.database.write() as tx:
        await tx.execute(select(ledger.book).with_for_update())
        waiting = [
            asyncio.create_task(
                county.finance.post(f"/funds/v1/sources/{source}/receipts", RECEIPT | {"voucher_no": f"V-{n}"})
            )
            for n in range(12)
        ]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            assert (await county.finance.get("/funds/v1/sources")).status_code == 200
        assert not any(one.done() for one in waiting)
    assert [(await one).status_code for one in waiting] == [201] * 12
