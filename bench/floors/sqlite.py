"""SQLite's own one-row insert and commit (WAL, synchronous=FULL), by the bare driver: transactions a second."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path


def one_row(path: Path, *, seconds: float) -> Callable[[], float]:
    def measure() -> float:
        with sqlite3.connect(path, isolation_level=None) as connection:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")
            connection.execute(
                "create table if not exists floor_row (id integer primary key, a integer, b integer, memo text)"
            )
            done, started = 0, time.perf_counter()
            while time.perf_counter() < started + seconds:
                connection.execute("begin immediate")
                connection.execute(
                    "insert into floor_row (a, b, memo) values (?, 1, 'one row and its commit')", (done,)
                )
                connection.execute("commit")
                done += 1
            return done / (time.perf_counter() - started)

    return measure
