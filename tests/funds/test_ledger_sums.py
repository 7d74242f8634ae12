"""Sums of the ledger: exact before, between and after seals; each entry counts once; within the area alone."""

from collections import Counter

from funds_county import County, card, household_no
from sqlalchemy import select

from services.funds.ledger import store, sums
from services.funds.sources.schemas import SourceOut
from shared.roles import Role
from shared.scope import Area
from shared.testing import COUNTY, OTHER_VILLAGE, VILLAGE

EVERYWHERE, FUNDS = Area.of([COUNTY]), ["F-1", "F-2", "F-3"]


async def both(county: County) -> tuple[dict, dict]:
    """The sums as they are asked for, and as the accounts make them."""
    async with county.live.service.database.read() as tx:
        found = await sums.sums(tx, EVERYWHERE, FUNDS)
        made: Counter = Counter()
        for row in await tx.execute(select(store.account)):
            made[(row.earmark, row.kind)] += row.balance_fen
    return {key: fen for key, fen in found.items() if fen}, {key: fen for key, fen in made.items() if fen}


async def test_the_sums_are_those_of_the_accounts_sealed_or_not(county_on_both: County):
    county = county_on_both
    await county.paid_tranche(households=3)
    found, made = await both(county)
    assert found == made
    await county.seal()
    found, made = await both(county)
    assert found == made
    await county.source("F-3")
    found, made = await both(county)
    assert found == made
    await county.seal()
    found, made = await both(county)
    assert found == made
    assert found[("F-1", "household")] > 0
    assert found[("F-3", "fund")] > 0


async def test_entries_that_are_in_the_sums_are_not_added_again(county_on_both: County):
    county = county_on_both
    await county.paid_tranche(households=2)
    await county.seal()
    async with county.live.service.database.write() as tx:
        await sums.add_up(tx, COUNTY[:6], upto=1)
        await sums.add_up(tx, COUNTY[:6], upto=10_000)
    found, made = await both(county)
    assert found == made


async def test_an_area_has_the_sums_of_its_own_divisions(county_on_both: County):
    county = county_on_both
    await county.hear_household(9, division=OTHER_VILLAGE)
    await county.import_payees([(household_no(9), "李九", card(9), "农商行")])
    await county.paid_tranche(households=2)
    for sealed in (False, True):
        if sealed:
            await county.seal()
        async with county.live.service.database.read() as tx:
            here, there, everywhere, nowhere = [
                (await sums.sums(tx, area, FUNDS)).get(("F-1", "household"), 0)
                for area in (Area.of([VILLAGE]), Area.of([OTHER_VILLAGE]), EVERYWHERE, Area(()))
            ]
        assert min(here, there) > 0
        assert (here + there, nowhere) == (everywhere, 0)


async def test_a_fund_s_answer_says_what_its_model_says(county_on_both: County):
    county = county_on_both
    await county.paid_tranche(households=2)
    for sealed in (False, True):
        if sealed:
            await county.seal()
        for item in (await county.finance.get("/funds/v1/sources")).json()["items"]:
            answer = (await county.who(Role.AUDITOR).get(f"/funds/v1/sources/{item['id']}")).json()
            assert answer == item
            assert SourceOut.model_validate(answer).model_dump(mode="json") == answer
            assert answer["figures"]["paid_fen"] > 0
