"""A ledger database as the verifier reads it (账库): rows, not services' code; read-only, one consistent view."""

import contextlib
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

PAGE_LEVEL = 11
"""Entries are read 2^11 at once: a full page of them is one complete node of the log's tree, at this level."""

_LEVELS = f"with l(level) as (values {', '.join(f'({level})' for level in range(PAGE_LEVEL + 1))})"
_NODES = " union all ".join(
    f"select level, place, hash from log_node where book = $1 and level = {level} "  # noqa: S608
    f"and place >= (cast($2 as bigint) >> {level}) and place < (cast($3 as bigint) >> {level})"
    for level in range(PAGE_LEVEL + 1)
)
"""The complete nodes over leaves from $2 on and before $3, up to a page's. A join with the levels would make PostgreSQL read the whole
table for each page as soon as there are a million entries."""

_QUERIES = {
    "entries": "select seq, body, digest, link, request_hash, kind, ref, once, actor, {effective_on}, {recorded_at}, division, memo "
    "from ledger_entry where book = $1 and seq > $2 and seq <= $3 order by seq",
    "links": "select seq, body, digest, link from ledger_entry where book = $1 and seq > $2 and seq <= $3 order by seq",
    "head": "select seq, link from ledger_book where book = $1",
    "last": "select max(seq) from ledger_entry where book = $1",
    "before": "select seq, link from ledger_entry where book = $1 and seq <= $2 order by seq desc limit 1",
    "next": "select min(seq) from ledger_entry where book = $1 and seq > $2",
    "accounts": "select id, name, kind, owner, earmark, division, may_overdraw, balance_fen from ledger_account where book = $1",
    "checkpoints": "select size, root, note from log_checkpoint where book = $1 order by size",
    "postings": "select seq, line, account_id, division, amount_fen from ledger_posting "
    "where book = $1 and seq > $2 and seq <= $3 order by seq, line",
    "sums": "select earmark, kind, division, fen from ledger_sum where book = $1",
    "summed": "select seq from ledger_summed where book = $1",
    "orphans": "select count(*) from ledger_posting where book = $1 and seq > $2",
    "headless": "with recursive b(book) as (select min(book) from ledger_posting union all "
    "select (select min(book) from ledger_posting where book > b.book) from b where b.book is not null) "
    "select book from b where book not in (select book from ledger_book)",
    "nodes": f"select n.level, {{places}}, {{hashes}} from ({_NODES}) n where n.level <= $4 group by n.level order by n.level",  # noqa: S608
    "nodes one by one": f"select n.level, n.place, n.hash from ({_NODES}) n",  # noqa: S608
    "nodes above": f"select level, place, hash from log_node where book = $1 and level > {PAGE_LEVEL}",  # noqa: S608
    "nodes too many": f"{_LEVELS} select n.level, n.place from l join log_node n on n.book = $1 and n.level = l.level "  # noqa: S608
    "and (n.place < 0 or n.place >= (cast($2 as bigint) >> l.level)) "
    "union all select level, place from log_node where book = $1 and level < 0",
    "decisions": "select id, subject, division, place, act, verdict, decider, reason, {decided_on}, {decided_at} from decision "
    "where substr(division, 1, 6) = $1 order by subject, place",
    "notices": "select id, subject, division, place, {posted_on}, days, digest, content, posted_by, {posted_at} from notice "
    "where substr(division, 1, 6) = $1",
    "objections": "select id, notice_id, number, raised_by, {raised_on}, {raised_at}, finding, answered_by, {answered_on}, "
    "{answered_at} from objection order by notice_id, number",
    "other books": "select book from ledger_book where book <> $1 order by book",
    "projects": "select id, project_no, name, division, kind, description, unit, year, performance_target, {due_on}, created_by, "
    "{created_at} from project where substr(division, 1, 6) = $1",
    "tranches": "select id, tranche_no, project_id, created_by, {applied_on}, {created_at} from tranche "
    "where substr(division, 1, 6) = $1",
    "tranche": "select division, funds, project_no, basis, amount_fen, households, people, digest from tranche where tranche_no = $1",
    "lines": "select l.line, l.household_no, l.division, l.head_name_masked, l.people, l.weight, l.amount_fen, l.shares "
    "from tranche_line l join tranche t on t.id = l.tranche_id where t.tranche_no = $1 order by l.line",
    "payees": "select distinct household_no, card_last4 from payee",
}
"""Days (`…_on`) and instants (`…_at`) come as the text that entries hold."""

_ON_POSTGRES = (
    (r"\{(\w+_on)\}", r"\1::text"),
    (r"\{(\w+_at)\}", r"""to_char(\1 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"""),
    (r"\{places\}", "string_agg(n.place::text, ',' order by n.place)"),
    (r"\{hashes\}", "string_agg(n.hash, ''::bytea order by n.place)"),
)
_ON_SQLITE = (  # in the order it reads them; when that is not the places', a page is checked entry by entry
    (r"\{places\}", "group_concat(n.place)"),
    (r"\{hashes\}", "cast(group_concat(n.hash, '') as blob)"),
    (r"\{(\w+)\}", r"\1"),
    (r"\$", "?"),
)


def _as_written_for(dialect: Sequence[tuple[str, str]]) -> dict[str, str]:
    written = dict(_QUERIES)
    for ours, theirs in dialect:
        written = {name: re.sub(ours, theirs, query) for name, query in written.items()}
    return written


_FOR_SQLITE, _FOR_POSTGRES = _as_written_for(_ON_SQLITE), _as_written_for(_ON_POSTGRES)


class Source(Protocol):
    """One consistent view of a ledger database."""

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        """The rows of one of the queries, each readable by position."""
        ...


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        return self._connection.execute(_FOR_SQLITE[query], values).fetchall()


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

        connection = await asyncpg.connect(
            database.replace("+asyncpg", ""),
            server_settings={"max_parallel_workers_per_gather": "0"},  # a process a core asks already
        )
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
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    if not os.access(path.parent, os.W_OK, effective_ids=True) and not path.with_name(f"{path.name}-wal").exists():
        address += "&immutable=1"  # on a disc, or of another user: else SQLite would want to put its log beside it
    return sqlite3.connect(address, uri=True)


def raw(value: Any) -> bytes:
    """A column of bytes; whoever edits an SQLite file by hand may leave text there, or nothing."""
    return value.encode() if isinstance(value, str) else bytes(value or b"")
