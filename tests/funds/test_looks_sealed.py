"""How far the signing of the ledger's log is behind, on both databases."""

from datetime import timedelta

from services.funds.proofs.looks import unsealed


async def test_it_is_the_age_of_the_oldest_entry_that_is_not_sealed(county_on_both):
    county = county_on_both
    service, clock = county.live.service, county.live.clock

    async def behind() -> float:
        [reading] = await unsealed(service)
        return reading.value

    assert await behind() == 0
    await county.source("F-1")
    clock.move_to(clock.now() + timedelta(seconds=40))
    await county.source("F-2")
    clock.move_to(clock.now() + timedelta(seconds=5))
    assert await behind() == 45
    await county.seal()
    assert await behind() == 0
    clock.move_to(clock.now() + timedelta(hours=1))
    assert await behind() == 0
