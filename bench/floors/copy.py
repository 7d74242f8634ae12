"""A prepared COPY: the rows as PostgreSQL itself wrote them out, read back into empty tables with the same indexes, one commit."""

import time
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

_FOREIGN_KEYS = """
select conrelid::regclass::text, pg_get_constraintdef(oid) from pg_constraint
where contype = 'f' and conrelid::regclass::text = any(%s) and confrelid::regclass::text = any(%s)
"""


def prepare(url: str, schema: str, tables: Sequence[str]) -> Callable[[], float]:
    """Takes the rows of these tables out; the floor then measures the seconds of their COPY into twins of the tables.

    The twins, in a schema of their own, have the tables' columns, constraints, indexes and foreign keys among each other.
    """
    blobs: list[tuple[sql.Identifier, bytes]] = []
    with psycopg.connect(url) as connection:
        keys = connection.execute(_FOREIGN_KEYS, (list(tables), list(tables))).fetchall()
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        for table in tables:
            twin = sql.Identifier(schema, table)
            connection.execute(sql.SQL("create table {} (like {} including all)").format(twin, sql.Identifier(table)))
            with connection.cursor().copy(sql.SQL("copy {} to stdout").format(sql.Identifier(table))) as out:
                blobs.append((twin, b"".join(bytes(piece) for piece in out)))
        connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
        for table, key in keys:
            add = sql.SQL("alter table {} add {}")
            connection.execute(add.format(sql.Identifier(table), sql.SQL(key)))

    def measure() -> float:
        with psycopg.connect(url) as connection:
            everything = sql.SQL(", ").join(twin for twin, _ in blobs)
            connection.execute(sql.SQL("truncate {}").format(everything))
            connection.commit()
            started = time.perf_counter()
            for twin, blob in blobs:
                with connection.cursor().copy(sql.SQL("copy {} from stdin").format(twin)) as into:
                    into.write(blob)
            connection.commit()
            return time.perf_counter() - started

    return measure
