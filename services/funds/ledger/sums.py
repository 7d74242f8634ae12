"""Sums of the ledger (汇总): what each fund has where, kept up to some entry and added up from there.

Summed over accounts a fund's money takes as long as it has households. Kept in the writer's statement it would cost every
posting; kept when entries are sealed it costs a statement a second, and what was posted since is read beside it: exact at any time.
"""

# ruff: noqa: S608 - statements are put together from names of our own; what a caller says is a parameter

from collections.abc import Sequence
from functools import cache

import orjson
from sqlalchemy import BigInteger, Column, Index, String, Table, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.tables import metadata
from shared.db import DivisionCode, area_bounds, in_area_text, insert_ignoring
from shared.scope import Area

ledger_sum = Table(
    "ledger_sum",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("earmark", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("division", DivisionCode, primary_key=True),
    Column("fen", BigInteger, nullable=False),
    info={"volatile": True},  # how far it reaches depends on when the sequencer ran
)
Index("ix_ledger_sum_earmark", ledger_sum.c.earmark, ledger_sum.c.kind, ledger_sum.c.division)

ledger_summed = Table(
    "ledger_summed",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    info={"volatile": True},
)
"""The last entry of a book that is in its sums."""

Sums = dict[tuple[str, str], int]
"""(fund number, kind of account) → fen."""

_ADD_UP = text(
    """
    INSERT INTO ledger_sum (book, earmark, kind, division, fen)
    SELECT p.book, a.earmark, a.kind, p.division, sum(p.amount_fen)
    FROM ledger_posting p JOIN ledger_account a ON a.id = p.account_id
    WHERE p.book = :book AND p.seq > :after AND p.seq <= :upto
    GROUP BY p.book, a.earmark, a.kind, p.division
    ON CONFLICT (book, earmark, kind, division) DO UPDATE SET fen = ledger_sum.fen + excluded.fen
    """
)


async def add_up(tx: AsyncConnection, code: str, *, upto: int) -> None:
    """Adds the entries of a book up to `upto` to its sums, each once: those that are in them already are left out."""
    await tx.execute(insert_ignoring(tx, ledger_summed).values(book=code, seq=0))
    place = ledger_summed.c.book == code
    after = (await tx.execute(select(ledger_summed.c.seq).where(place).with_for_update())).scalar_one()
    if after < upto:
        await tx.execute(_ADD_UP, {"book": code, "after": after, "upto": upto})
        await tx.execute(update(ledger_summed).where(place).values(seq=upto))


async def sums(tx: AsyncConnection, area: Area, earmarks: Sequence[str]) -> Sums:
    """Where the money of these funds is, in the area.

    Received = −source, left = fund, in projects = project, held = hold, paid = household.
    """
    values = (orjson.dumps(earmarks).decode(), *area_bounds(area))
    sqlite = tx.dialect.name == "sqlite"
    listed = "select value from json_each($1)" if sqlite else "select json_array_elements_text($1::json)"
    statement = f"select {as_text(sqlite, len(area.prefixes), f'in ({listed})')}"
    return read((await tx.exec_driver_sql(statement.replace("$", "?") if sqlite else statement, values)).scalar_one())


def read(said: str) -> Sums:
    """What `as_text` gave."""
    return {(earmark, kind): fen for earmark, kind, fen in orjson.loads(said)}


@cache
def as_text(sqlite: bool, prefixes: int, among: str) -> str:
    """An expression of SQL: the sums as one text. Takes the bounds of so many prefixes of an area, from $2 on.

    `among`: which funds, as a condition on the number that stands before it.
    """
    array, every = ("json_array", "json_group_array(json(one))") if sqlite else ("json_build_array", "json_agg(one)")
    places = range(2, 2 + 2 * prefixes, 2)
    books = " or ".join(f"b.book between substr(${n}, 1, 6) and substr(${n + 1}, 1, 6)" for n in places) or "false"
    kept = (
        f"select earmark, kind, fen from ledger_sum where earmark {among} and {in_area_text('division', prefixes, 2)}"
    )
    # By its two ends: of an open range PostgreSQL believes that it holds a third of the table. The order of the joins is SQLite's
    # to keep: a fund has more accounts than there are postings since the seal.
    since = (
        "select a.earmark, a.kind, p.amount_fen from ledger_book b "
        "cross join ledger_posting p cross join ledger_account a where p.book = b.book and a.id = p.account_id "
        "and p.seq between 1 + coalesce((select d.seq from ledger_summed d where d.book = b.book), 0) and b.seq "
        f"and ({books}) and a.earmark {among} and {in_area_text('p.division', prefixes, 2)}"
    )
    summed = f"select {array}(earmark, kind, sum(fen)) as one from ({kept} union all {since}) as listed group by earmark, kind"
    return f"(select cast(coalesce({every}, '[]') as text) from ({summed}) as listed)"
