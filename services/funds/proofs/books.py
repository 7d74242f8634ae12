"""A ledger database as the verifier reads it (账库): rows, not services' code; read-only, one consistent view."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

_ENTRY = "seq, body, digest, link, request_hash, kind, ref, once, actor, {day}, {instant}, division, memo"
_ENTRIES = f"select {_ENTRY} from ledger_entry where book = $1 and seq > $2 and seq <= $3 order by seq"  # noqa: S608
_SQLITE = {"day": "effective_on", "instant": "recorded_at"}
_POSTGRES = {
    "day": "effective_on::text",
    "instant": "to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')",
}
"""Days and instants come as the text that entries hold."""

_QUERIES = {
    "links": "select seq, body, digest, link from ledger_entry where book = $1 and seq > $2 and seq <= $3 order by seq",
    "head": "select seq, link from ledger_book where book = $1",
    "last": "select max(seq) from ledger_entry where book = $1",
    "before": "select seq, link from ledger_entry where book = $1 and seq <= $2 order by seq desc limit 1",
    "next": "select min(seq) from ledger_entry where book = $1 and seq > $2",
    "accounts": "select id, name, kind, owner, earmark, division, may_overdraw, balance_fen from ledger_account where book = $1",
    "checkpoints": "select size, root from log_checkpoint where book = $1",
    "postings": "select seq, line, account_id, division, amount_fen from ledger_posting "
    "where book = $1 and seq > $2 and seq <= $3 order by seq, line",
    "sums": "select earmark, kind, division, fen from ledger_sum where book = $1",
    "summed": "select seq from ledger_summed where book = $1",
    "orphans": "select count(*) from ledger_posting where book = $1 and seq > $2",
    "leaves": "select place, hash from log_node where book = $1 and level = 0 and place >= $2 and place < $3 order by place",
}

_FOR_SQLITE = {**_QUERIES, "entries": _ENTRIES.format(**_SQLITE)}
_FOR_POSTGRES = {**_QUERIES, "entries": _ENTRIES.format(**_POSTGRES)}


class Source(Protocol):
    """One consistent view of a ledger database."""

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        """The rows of one of the queries, each readable by position."""
        ...


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        return self._connection.execute(_FOR_SQLITE[query].replace("$", "?"), values).fetchall()


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(_FOR_POSTGRES[query], *values)
        return rows


@asynccontextmanager
async def open_source(database: str) -> AsyncIterator[Source]:
    """Opens a database read-only: a path, sqlite:///path or postgresql://… Raises OSError or the driver's error."""
    if database.startswith("postgres"):
        import asyncpg

        connection = await asyncpg.connect(database.replace("+asyncpg", ""))
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield _Postgres(connection)
        finally:
            await connection.close()
        return
    with contextlib.closing(_connect(Path(database.removeprefix("sqlite:///")))) as opened:
        opened.execute("begin")
        yield _Sqlite(opened)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such database")
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)


def raw(value: Any) -> bytes:
    """A column of bytes; whoever edits an SQLite file by hand may leave text there, or nothing."""
    return value.encode() if isinstance(value, str) else bytes(value or b"")
