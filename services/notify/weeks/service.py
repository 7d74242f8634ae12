"""How a week went."""

from services.notify.weeks import store
from services.notify.weeks.domain import monday_of
from services.notify.weeks.schemas import Tally, WeekOut, WeekRecipientOut
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.work import Work


async def show(work: Work, week: str) -> WeekOut:
    """The week in numbers, in the caller's area. Raises Malformed when there is no such week."""
    monday_of(week)
    tallies = [Tally.model_validate(row) for row in await store.tallies(work.tx, week, work.area)]
    return WeekOut(week=week, tallies=tallies, **await store.counts(work.tx, week, work.area))


async def list_people(work: Work, week: str, page: PageQuery, *, reported: bool | None) -> Page[WeekRecipientOut]:
    """The week person by person. Raises Malformed when there is no such week."""
    monday_of(week)
    after = decode_cursor(page.after, str)[0] if page.after else None
    rows = await store.people(work.tx, week, work.area, reported=reported, after=after, limit=page.limit + 1)
    items, following = page_of(
        [WeekRecipientOut.model_validate(row) for row in rows], page.limit, lambda row: encode_cursor(row.cadre_no)
    )
    return Page(items=items, next=following)
