"""Which rows of the four databases belong to a town, and by which values one of them would be recognised in an answer."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table, select

from area_rule.house import House
from services.catalogue import part
from shared import tables

THE_CHAIN = ("funds.ledger_book", "funds.ledger_summed", "funds.log_node", "funds.log_checkpoint")
"""The head of a county's ledger and its log: every entry moves them, whoever's it is."""

SHORTEST = 5
"""Shorter texts (codes, names of states) tell nobody's data."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, the texts and ids in it, those by which other rows may refer to it, and those by which it may refer to others."""

    table: str
    values: tuple[tuple[str, Any], ...]
    texts: frozenset[str]
    keys: frozenset[str]
    refers: frozenset[str]


async def rows_of(house: House) -> list[Row]:
    """Every row of every table, but for the kit's own copies of requests (they are looked at through the routes)."""
    found = []
    for service in house.embedded.services:
        async with service.database.read() as tx:
            for table in (*part(service.name).tables.sorted_tables, tables.outbox, tables.import_file):
                for row in (await tx.execute(select(table))).mappings():
                    found.append(_row(f"{service.name}.{table.name}", table, dict(row)))
    return found


def _row(name: str, table: Table, values: dict[str, Any]) -> Row:
    def of(columns: list[Column[Any]]) -> frozenset[str]:
        return frozenset(text for column in columns for text in _texts(values[column.name]))

    named = [c for c in table.columns if c.name.endswith(("id", "_no", "subject"))]
    own = [c for c in named if c.primary_key or c.unique or c.name == "household_no"]
    plain = tuple((key, repr(value)) for key, value in values.items())
    return Row(name, plain, of(list(table.columns)), of(own), of(named))


def _texts(value: Any) -> Iterator[str]:
    """The ids and texts in a value, also inside JSON."""
    if isinstance(value, UUID):
        yield str(value)
    elif isinstance(value, str) and len(value) >= SHORTEST:
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def split(rows: list[Row], code: str, other: str) -> tuple[list[Row], list[Row]]:
    """The rows of the town `code` and those of `other`: rows that name a division of it, and rows that refer to such rows.

    What names both, or neither, belongs to neither.
    """
    found = list(zip(rows, _reach(rows, code[:9]), _reach(rows, other[:9]), strict=True))
    mine = [row for row, is_mine, is_theirs in found if is_mine and not is_theirs]
    return mine, [row for row, is_mine, is_theirs in found if is_theirs and not is_mine]


def _reach(rows: list[Row], prefix: str) -> list[bool]:
    reached = [any(_names(text, prefix) for text in row.texts) for row in rows]
    keys: set[str] = set()
    while True:
        fresh = {key for row, inside in zip(rows, reached, strict=True) if inside for key in row.keys} - keys
        if not fresh:
            return reached
        keys |= fresh
        reached = [inside or not row.refers.isdisjoint(keys) for row, inside in zip(rows, reached, strict=True)]


def _names(text: str, prefix: str) -> bool:
    return text.startswith(prefix) or f":{prefix}" in text


def without(rows: list[Row], some: list[Row]) -> list[Row]:
    taken = set(map(id, some))
    return [row for row in rows if id(row) not in taken]


def snapshot(rows: list[Row]) -> Counter[tuple[str, Any]]:
    return Counter((row.table, row.values) for row in rows if row.table not in THE_CHAIN)


def marks(some: list[Row], rest: list[Row]) -> set[str]:
    """What gives the rows of `some` away: ids and texts that stand in no row of `rest`."""
    common = {text for row in rest for text in row.texts}
    return {text for row in some for text in row.texts if text not in common}
