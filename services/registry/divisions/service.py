"""Use cases of divisions (行政区划): read in the caller's area; they are entered by import alone."""

from services.registry.divisions import domain, store
from services.registry.divisions.schemas import DivisionOut
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.scope import Level
from shared.work import Work


async def list_divisions(
    work: Work, paging: PageQuery, *, level: Level | None, parent: str | None
) -> Page[DivisionOut]:
    """Divisions of the caller's area by code."""
    after = decode_cursor(paging.after, str)[0] if paging.after else None
    rows = await store.page(work.tx, work.area, level=level, parent=parent, after=after, limit=paging.limit)
    shown, following = page_of(rows, paging.limit, lambda row: encode_cursor(row["code"]))
    return Page(items=[DivisionOut(**row) for row in shown], next=following)


async def show(work: Work, code: str) -> DivisionOut:
    """Raises DivisionUnknown."""
    row = await store.find(work.tx, code, work.area)
    if row is None:
        raise domain.DivisionUnknown("There is no such division in your area.")
    return DivisionOut(**row)


async def villages_in_use(work: Work) -> frozenset[str]:
    """Codes of the villages of the caller's area that are in use today."""
    rows = await store.villages(work.tx, work.area)
    return frozenset(row["code"] for row in rows if domain.in_use(row["valid_from"], row["valid_to"], work.today))


async def require_village(work: Work, code: str) -> None:
    """Raises DivisionUnknown unless it is a village of the caller's area that is in use today."""
    row = await store.find(work.tx, code, work.area)
    if (
        row is None
        or row["level"] != Level.VILLAGE
        or not domain.in_use(row["valid_from"], row["valid_to"], work.today)
    ):
        raise domain.DivisionUnknown(
            "There is no such village in your area. Import the divisions first, or correct the code."
        )
