"""The one instant (同一时刻) of which a backup is: all writers stand still for milliseconds, and a snapshot of each database is taken.

What is restored from it is what `kill -9` of everything at that instant would have left: docs/decisions/0023.
"""

import asyncio
import random
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from shared.db import CONNECT_S

SQLITE_WITHIN_S = 60.0
TRY_EVERY_S = 0.002
"""SQLite: all writers' places are asked for at once and never waited for while one is held, since one process writes to all of them."""

LOCK_WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""PostgreSQL: how long a try waits while those who write queue behind it. After a second a vacuum of the table makes way."""

_LOCK = "LOCK TABLE inbox, outbox IN SHARE MODE"
"""In the order in which a consumer's transaction takes them. What neither hears nor records a fact concerns no other service."""


class NoMoment(Exception):
    """There was no instant at which no transaction was under way."""


@contextmanager
def of_files(paths: Sequence[Path]) -> Iterator[list[sqlite3.Connection]]:
    """A connection to each file, all reading the same instant, however long it takes; nobody waits for them. Raises NoMoment."""
    with ExitStack() as stack:
        writers = [stack.enter_context(closing(_open(path))) for path in paths]
        readers = [stack.enter_context(closing(_open(path))) for path in paths]
        given_up = time.monotonic() + SQLITE_WITHIN_S
        while not _together(writers, readers):
            if time.monotonic() > given_up:
                raise NoMoment(
                    f"Somebody wrote all the time for {SQLITE_WITHIN_S:.0f} s. Repeat it when there is less to do."
                )
            time.sleep(TRY_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311 (jitter)
        yield readers


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)


def _together(writers: Sequence[sqlite3.Connection], readers: Sequence[sqlite3.Connection]) -> bool:
    """Takes the writer's place of every file, begins to read all of them, and gives the places back. False: one was taken."""
    held: list[sqlite3.Connection] = []
    try:
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
            held.append(writer)
        for reader in readers:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        for reader in readers:
            if reader.in_transaction:
                reader.execute("ROLLBACK")
        return False
    finally:
        for writer in held:
            writer.execute("ROLLBACK")
    return True


@asynccontextmanager
async def of_databases(urls: Mapping[str, str]) -> AsyncIterator[dict[str, tuple[str, asyncpg.Connection]]]:
    """Service → the name of its snapshot, for `pg_dump --snapshot`, and a connection that reads it and keeps it. Raises NoMoment."""
    async with AsyncExitStack() as stack:
        lockers = [await _connect(url, stack) for url in urls.values()]
        keepers = [await _connect(url, stack) for url in urls.values()]
        for wait_s in LOCK_WAITS_S:
            try:
                # Of all at once: whoever writes waits for one try at most.
                await _all([_still(locker, wait_s) for locker in lockers])
                names = await _all([_export(keeper) for keeper in keepers])
                break
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await _all([keeper.execute("ROLLBACK") for keeper in keepers])
            finally:
                await _all([locker.execute("ROLLBACK") for locker in lockers])
            await asyncio.sleep(wait_s)  # those who waited go first
        else:
            raise NoMoment("A long transaction held its tables all the time. Repeat it when that has ended.")
        yield dict(zip(urls, zip(names, keepers, strict=True), strict=True))


def plain(url: str) -> str:
    """The address of a database without the name of a driver."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


async def _all(questions: Sequence[Any]) -> list[Any]:
    """Answers when all have ended; raises what the first of them raised."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


async def _connect(url: str, stack: AsyncExitStack) -> asyncpg.Connection:
    kept = {"application_name": "daohu-backup", "idle_in_transaction_session_timeout": "0"}
    connection = await asyncpg.connect(plain(url), timeout=CONNECT_S, server_settings=kept)
    stack.push_async_callback(connection.close)
    return connection


async def _still(locker: asyncpg.Connection, wait_s: float) -> None:
    await locker.execute(f"BEGIN; SET LOCAL lock_timeout = {int(wait_s * 1000)}; {_LOCK}")


async def _export(keeper: asyncpg.Connection) -> str:
    await keeper.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    name: str = await keeper.fetchval("SELECT pg_export_snapshot()")
    return name
