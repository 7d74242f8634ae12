"""What a database holds, in numbers: its migrations, the rows of each table, the end of each book. Taken at the backup, and after the restore."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from services.backup.manifest import Book, Store
from shared.migrate import RESTORING

Ask = Callable[[str], Awaitable[Sequence[Any]]]
"""A query → its rows, each readable by position."""

_SQLITE_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
)
_POSTGRES_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_BOOKS = "SELECT book, seq, link FROM ledger_book WHERE seq > 0 ORDER BY book"
_CHECKPOINTS = (
    "SELECT book, note FROM log_checkpoint AS c WHERE size = (SELECT max(size) FROM log_checkpoint WHERE book = c.book)"
)


def of_file(connection: sqlite3.Connection) -> Ask:
    async def ask(query: str) -> Sequence[Any]:
        return connection.execute(query).fetchall()

    return ask


def of_server(connection: asyncpg.Connection) -> Ask:
    async def ask(query: str) -> Sequence[Any]:
        rows: Sequence[Any] = await connection.fetch(query)
        return rows

    return ask


async def tables(ask: Ask, *, sqlite: bool) -> list[str]:
    """Their names, without the mark."""
    return [row[0] for row in await ask(_SQLITE_TABLES if sqlite else _POSTGRES_TABLES) if row[0] != RESTORING]


async def store(ask: Ask, name: str, *, sqlite: bool) -> Store:
    """`name`: of the service, or "bus"."""
    there = await tables(ask, sqlite=sqlite)
    rows = {table: int((await ask(f'SELECT count(*) FROM "{table}"'))[0][0]) for table in there}  # noqa: S608 (its own names)
    version = f"{name}_version"
    found = await ask(f"SELECT version_num FROM {version}") if version in there else []  # noqa: S608
    return Store(revisions=tuple(sorted(row[0] for row in found)), rows=rows)


async def books(ask: Ask) -> dict[str, Book]:
    """Of the funds database: every book that has entries."""
    notes = {row[0]: row[1] for row in await ask(_CHECKPOINTS)}
    return {
        row[0]: Book(seq=row[1], link=bytes(row[2]).hex(), checkpoint=notes.get(row[0], ""))
        for row in await ask(_BOOKS)
    }
