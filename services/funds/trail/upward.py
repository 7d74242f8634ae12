"""The trail of a household (一户的追溯) in one statement: what it was paid, by fund, and each payment up to its fund.

Asked all day, by a household that waits for its money: as models of rows it took nine times a read by key (bench/README.md).
"""

# ruff: noqa: S608 - statements are put together from names of our own; what a caller says is a parameter

from functools import cache
from typing import NamedTuple

import orjson

from services.funds.trail.lists import id_text, listed
from services.funds.tranches.store import paid_once
from shared.db import Database, area_bounds, in_area_text
from shared.scope import Area


class Payment(NamedTuple):
    """One payment out of one fund; `division` is the tranche's."""

    book: str
    seq: int
    amount_fen: int
    paid_on: str
    fund_no: str
    fund_name: str
    fund_level: str
    project_id: str
    project_no: str
    project_name: str
    tranche_id: str
    tranche_no: str
    division: str


class Paid(NamedTuple):
    """A household, the size of its book's latest checkpoint, and a page of its payments."""

    division: str
    head_name_masked: str
    people: int
    sealed: int
    payments: list[Payment]


async def find(database: Database, household_no: str, area: Area, *, after: tuple[int, str], limit: int) -> Paid | None:
    """What was paid to a household of the area, in the area; payments by entry and fund, above `after` (entry, fund)."""
    statement = _payments(database.sqlite, len(area.prefixes))
    row = await database.look_up(statement, [household_no, *area_bounds(area), *after, limit])
    if row is None:
        return None
    division, head, people, sealed, payments = row
    return Paid(division, head, people, sealed, [Payment(*one) for one in orjson.loads(payments)])


async def by_fund(database: Database, household_no: str, area: Area) -> list[tuple[str, int]]:
    """What each fund paid to a household in the area, by fund: needed where a page does not hold every payment."""
    row = await database.look_up(_sums(database.sqlite, len(area.prefixes)), [household_no, *area_bounds(area)])
    assert row is not None
    return [(number, fen) for number, fen in orjson.loads(row[0])]


@cache
def _payments(sqlite: bool, prefixes: int) -> str:
    """Takes the number, the bounds of so many prefixes of an area, the entry and fund to go on after, and how many payments."""
    after = 2 + 2 * prefixes
    payments = _paid(
        "e.book, e.seq, p.amount_fen, e.effective_on, a.earmark, s.name, s.level, "
        f"{id_text('r.id', sqlite)}, r.project_no, r.name, {id_text('t.id', sqlite)}, t.tranche_no, t.division",
        "join ledger_entry e on e.book = p.book and e.seq = p.seq "
        f"join tranche t on t.tranche_no = substr(e.once, {len(paid_once('')) + 1}) "
        "join project r on r.id = t.project_id join source s on s.fund_no = a.earmark",
        f"{in_area_text('p.division', prefixes, 2)} and e.kind = 'paid' "
        f"and (e.seq > ${after} or (e.seq = ${after} and a.earmark > ${after + 1})) "
        f"order by e.seq, a.earmark limit ${after + 2}",
        sqlite,
    )
    sealed = "(select coalesce(max(size), 0) from log_checkpoint where book = substr(h.division, 1, 6))"
    # Found by its number before its area is looked at: a plan made while the table was empty may do it the other way round.
    found = "with h as materialized (select * from household where household_no = $1)"
    return (
        f"{found} select division, head_name_masked, people, {sealed}, {payments} from h "
        f"where {in_area_text('division', prefixes, 2)}"
    )


@cache
def _sums(sqlite: bool, prefixes: int) -> str:
    """Takes the number and the bounds of so many prefixes of an area."""
    where = f"{in_area_text('p.division', prefixes, 2)} group by a.earmark order by a.earmark"
    return f"select {_paid('a.earmark, sum(p.amount_fen)', '', where, sqlite)}"


def _paid(columns: str, joins: str, where: str, sqlite: bool) -> str:
    """Rows over the household's postings."""
    rows = f"from ledger_account a join ledger_posting p on p.account_id = a.id {joins} where a.kind = 'household' and a.owner = $1 and {where}"
    return listed(columns, rows, sqlite)
