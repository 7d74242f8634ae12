"""Prepared rows into SQLite: the rows as SQLite holds them, entered again into empty tables with the same indexes, one commit."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def prepare(database: Path, twin: Path, tables: Sequence[str]) -> Callable[[], float]:
    """Takes the rows of these tables out of `database`; the floor then measures the seconds it takes to enter them into `twin`."""
    with sqlite3.connect(database) as connection:
        schema = [
            sql
            for (sql,) in connection.execute(
                "select sql from sqlite_master where sql is not null and type <> 'trigger'"
            )
        ]
        rows = {table: connection.execute(f'select * from "{table}"').fetchall() for table in tables}
    with sqlite3.connect(twin) as connection:
        connection.execute("pragma journal_mode=wal")
        for statement in schema:
            if "sqlite_" not in statement:
                connection.execute(statement)

    def measure() -> float:
        with sqlite3.connect(twin, isolation_level=None) as connection:
            connection.execute("pragma synchronous=full")
            connection.execute("pragma foreign_keys=on")
            for table in reversed(tables):
                connection.execute(f'delete from "{table}"')
            connection.execute("pragma wal_checkpoint(truncate)")
            started = time.perf_counter()
            connection.execute("begin immediate")
            for table, held in rows.items():
                places = ", ".join("?" * len(held[0]))
                connection.executemany(f'insert into "{table}" values ({places})', held)
            connection.execute("commit")
            return time.perf_counter() - started

    return measure
