"""Tranches: shared out without losing a fen, and paid through one door."""


async def test_a_tranche_is_paid(county):
    id = await county.paid_tranche()
    shown = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()
    assert shown["state"] == "paid"
