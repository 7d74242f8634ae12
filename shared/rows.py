"""Many rows with one statement: PostgreSQL takes a column as an array and unnests it, SQLite runs one statement a row.

On PostgreSQL that is up to 1.9 times as fast as a statement a row (docs/decisions/0015-dead-letters-and-batches.md);
hundreds of new rows go in by COPY, which costs the server half of that again.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, Date, Insert, String, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import Table

from shared.db import Instant, upsert
from shared.lookups import ASYNCPG_ERRORS, failed

Row = Mapping[str, Any]


COPIED = 200
"""So many new rows and more are worth a COPY's extra round trip."""


async def insert_rows(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    """Enters rows that all name the same columns. Raises IntegrityError, DBAPIError."""
    if not rows:
        return
    names = tuple(rows[0])
    if tx.dialect.name != "postgresql":
        # Past SQLAlchemy's compiler, which takes longer to lay out a row's parameters than SQLite to write them.
        await tx.exec_driver_sql(_statement(table, names), list(_driver_rows(tx, table, rows)))
    elif len(rows) < COPIED:
        await tx.execute(_insert(table, names), _columns(rows))
    else:
        await _copy(tx, table, rows)


async def _copy(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
    await tx.exec_driver_sql(
        "select 1"
    )  # SQLAlchemy begins its transaction with the first statement; a COPY is none to it
    connection: Any = (await tx.get_raw_connection()).driver_connection
    try:
        await connection.copy_records_to_table(
            table.name, columns=tuple(rows[0]), records=_driver_rows(tx, table, rows)
        )
    except ASYNCPG_ERRORS as error:
        raise failed(f"COPY {table.name}", error) from error


def _driver_rows(tx: AsyncConnection, table: Table, rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """The values as the driver takes them, column by column: a column's type is asked once."""
    columns = []
    for name, values in _columns(rows).items():
        kind = table.c[name].type
        convert = kind.dialect_impl(tx.dialect).bind_processor(tx.dialect)
        if convert is None or isinstance(kind, Boolean):  # both drivers take a bool as it is
            columns.append(values)
        elif isinstance(kind, Instant | Date):  # many rows of one moment, or of some thousand days
            known = {value: convert(value) for value in set(values)}
            columns.append([known[value] for value in values])
        else:
            columns.append([convert(value) for value in values])
    return zip(*columns, strict=True)


@cache
def _statement(table: Table, names: tuple[str, ...]) -> str:
    quote = sqlite_dialect().identifier_preparer.quote
    return f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608


async def upsert_rows(
    tx: AsyncConnection, table: Table, rows: Sequence[Row], *, keys: tuple[str, ...], forward: str = ""
) -> None:
    """`shared.db.upsert` for rows that all name the same columns; of several with one key the last that is not older stands."""
    if not rows:
        return
    if tx.dialect.name != "postgresql":
        await tx.execute(upsert(tx, table, keys=keys, forward=forward), rows)
        return
    last: dict[tuple[Any, ...], Row] = {}  # PostgreSQL refuses one statement that changes a row twice
    for row in rows:
        key = tuple(row[name] for name in keys)
        if not forward or key not in last or last[key][forward] <= row[forward]:
            last[key] = row
    await tx.execute(_upsert(table, tuple(rows[0]), keys, forward), _columns(list(last.values())))


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _unnested(table: Table, names: tuple[str, ...]) -> Any:
    statement = postgresql_insert(table)
    return statement.from_select(names, select(*(func.unnest(_array(table.c[name])) for name in names)))


def _array(column: Column[Any]) -> Any:
    # A cast to VARCHAR(n) would cut a value that is too long; without the length PostgreSQL refuses it.
    kind = String() if isinstance(column.type, String) else column.type
    return bindparam(column.name, type_=ARRAY(kind))


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Insert:
    statement: Insert = _unnested(table, names)
    return statement


@cache
def _upsert(table: Table, names: tuple[str, ...], keys: tuple[str, ...], forward: str) -> Any:
    statement = _unnested(table, names)
    changed = {name: statement.excluded[name] for name in names if name not in keys}
    newer = table.c[forward] <= statement.excluded[forward] if forward else None
    return statement.on_conflict_do_update(index_elements=list(keys), set_=changed, where=newer)
