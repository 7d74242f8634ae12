"""A prepared COPY: the rows as PostgreSQL itself wrote them out, read back into empty tables with the same indexes, one commit."""

import time
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql


def prepare(url: str, schema: str, tables: Sequence[str]) -> Callable[[], float]:
    """Takes the rows of these tables out; the floor then measures the seconds of their COPY into twins of the tables.

    The twins, in a schema of their own, have the tables' columns, constraints and indexes; no foreign keys and no triggers.
    """
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        blobs: list[tuple[sql.Identifier, bytes]] = []
        for table in tables:
            twin = sql.Identifier(schema, table)
            connection.execute(sql.SQL("create table {} (like {} including all)").format(twin, sql.Identifier(table)))
            with connection.cursor().copy(sql.SQL("copy {} to stdout").format(sql.Identifier(table))) as out:
                blobs.append((twin, b"".join(bytes(piece) for piece in out)))

    def measure() -> float:
        with psycopg.connect(url) as connection:
            for twin, _ in blobs:
                connection.execute(sql.SQL("truncate {}").format(twin))
            connection.commit()
            started = time.perf_counter()
            for twin, blob in blobs:
                with connection.cursor().copy(sql.SQL("copy {} from stdin").format(twin)) as into:
                    into.write(blob)
            connection.commit()
            return time.perf_counter() - started

    return measure
