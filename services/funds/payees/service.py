"""Use cases of payees: show them masked. They are entered by import alone."""

from services.funds.payees import store
from services.funds.payees.schemas import PayeeOut
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.scope import Area
from shared.work import Work


async def list_payees(work: Work, page: PageQuery, *, division: str | None, household_no: str | None) -> Page[PayeeOut]:
    """The present accounts of the area, by household number, masked."""
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.page(
        work.tx,
        work.area,
        within=Area.of([division]) if division else None,
        household_no=household_no,
        after=after,
        limit=page.limit + 1,
    )
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["household_no"]))
    items = [PayeeOut.model_validate({**row, "card_masked": f"****{row['card_last4']}"}) for row in rows]
    return Page(items=items, next=following)
