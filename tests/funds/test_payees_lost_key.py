"""A key of funds is lost: lists go on, and the file that is imported again restores names and cards."""

from funds_county import County, card
from sqlalchemy import select

from services.funds.payees.store import payee


async def test_an_import_of_the_same_file_restores_what_stood_under_a_lost_key(county: County):
    rows = [(await county.hear_household(number), f"王{number}", card(number), "农商行") for number in (1, 2)]
    await county.import_payees(rows)
    county.live.lose_data_key()
    assert len((await county.finance.get("/funds/v1/payees")).json()["items"]) == 2
    again = (await county.import_payees(rows)).json()
    assert (again["changed"], again["unchanged"], again["rejected"]) == (2, 0, 0)
    async with county.live.service.database.read() as tx:
        found = (await tx.execute(select(payee).where(payee.c.ended_at.is_(None)))).all()
    vault = county.live.service.vault
    assert {vault.open(row.card_sealed, column="payee.card", row=row.id) for row in found} == {card(1), card(2)}
