"""The verifier of a whole database (核对账库): every entry, every projection, and the checkpoint that somebody kept outside.

It reads the tables as rows, not through the services' code, and keeps nothing but one page and the balances in memory.
"""

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from services.funds.ledger import domain
from services.funds.ledger.domain import MAY_OVERDRAW, AccountKey
from services.funds.proofs import merkle
from services.funds.proofs.notes import Checkpoint, VerifierKey, open_checkpoint, read_unsigned
from services.funds.proofs.verify import Report

PAGE = 2_000
"""Entries read at once."""

MAX_PROBLEMS = 100
"""After so many the verifier counts no more: something is thoroughly wrong."""

_SAID = ("kind", "ref", "once", "actor", "effective_on", "recorded_at", "division", "memo")
_QUERIES = {
    "head": "select seq, link from ledger_book where book = $1",
    "accounts": "select id, name, kind, owner, earmark, division, may_overdraw, balance_fen from ledger_account where book = $1",
    "checkpoints": "select size, root from log_checkpoint where book = $1",
    "entries": "select seq, body, digest, link, request_hash, kind, ref, once, actor, effective_on, recorded_at, division, memo "
    "from ledger_entry where book = $1 and seq > $2 order by seq limit $3",
    "postings": "select seq, line, account_id, division, amount_fen from ledger_posting "
    "where book = $1 and seq > $2 and seq <= $3 order by seq, line",
    "orphans": "select count(*) from ledger_posting where book = $1 and seq > $2",
    "leaves": "select place, hash from log_node where book = $1 and level = 0 and place >= $2 and place < $3",
}


class Source(Protocol):
    """One consistent view of a ledger database."""

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        """The rows of one of `_QUERIES`, each readable by position."""
        ...


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        return self._connection.execute(_QUERIES[query].replace("$", "?"), values).fetchall()


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(_QUERIES[query], *values)
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


_Line = tuple[str, str, str, str, int]
"""A posting as the body says it: kind, owner, earmark, division, amount in fen."""

_LINE = itemgetter("kind", "owner", "earmark", "division", "amount_fen")
_COLUMNS = itemgetter(*_SAID)


async def verify_database(database: str, note: str, keys: Sequence[VerifierKey]) -> Report:
    """Checks a ledger database against a checkpoint kept outside it; without keys the signature is not checked.

    Recomputes chain, Merkle root, postings and balances from the entries' own bytes. Raises BadNote when the checkpoint is not
    one, OSError or the driver's error when the database cannot be read.
    """
    checkpoint = open_checkpoint(note, keys) if keys else read_unsigned(note)
    report = Report(checkpoint)
    if not keys:
        report.notes.append("no key was given: the checkpoint is believed, its signature was not checked")
    async with open_source(database) as source:
        await _Audit(source, checkpoint, report).run()
    report.problems.sort(key=lambda problem: (problem.entry is None, problem.entry))
    return report


class _Audit:
    def __init__(self, source: Source, checkpoint: Checkpoint, report: Report) -> None:
        self.source, self.checkpoint, self.report = source, checkpoint, report
        self.book = checkpoint.origin.rpartition("/")[2]
        self.head = domain.genesis(self.book)
        self.edge: list[bytes] = []
        self.whole = True
        self.accounts: dict[int, AccountKey] = {}
        self.balances: defaultdict[int, int] = defaultdict(int)
        self.divisions: dict[int, str] = {}
        self.ended_early = False
        self.root_at_checkpoint: bytes | None = None

    async def run(self) -> None:
        rows = await self.source.rows("accounts", self.book)
        self.accounts = {row[0]: AccountKey(row[2], row[3], row[4]) for row in rows}
        signed = {row[0]: _raw(row[1]) for row in await self.source.rows("checkpoints", self.book)}
        after = -(2**63)
        while entries := await self.source.rows("entries", self.book, after, PAGE):
            last = entries[-1][0]
            lines: dict[int, list[Any]] = {}
            for line in await self.source.rows("postings", self.book, after, last):
                lines.setdefault(line[0], []).append(line)
            leaves = {place: _raw(hash) for place, hash in await self.source.rows("leaves", self.book, after, last)}
            for entry in entries:
                self._entry(entry, lines, leaves.get(entry[0] - 1), signed)
            for seq in lines:
                self.report.wrong(seq, "it is missing, and postings of it are there")
            if len(self.report.problems) > MAX_PROBLEMS:
                self.report.notes.append("more is wrong; the check ended early")
                self.ended_early = True
                break
            after = last
        else:
            await self._totals(rows)
        self._ending()

    def _entry(self, row: Any, lines: dict[int, list[Any]], leaf: bytes | None, signed: dict[int, bytes]) -> None:
        seq, body, digest, linked = row[0], _raw(row[1]), _raw(row[2]), _raw(row[3])
        if seq < 1:
            self.report.wrong(seq, "an entry cannot have this number")
            return
        for missing in range(self.head.seq + 1, min(seq, self.head.seq + 1 + MAX_PROBLEMS)):
            self.report.wrong(missing, "it is missing")
            self._add(lines.pop(missing, []))
            self.whole = False  # nothing more can be said about the root
        posted = lines.pop(seq, [])
        self._add(posted)
        hashed = merkle.leaf_hash(domain.record(seq, self.head.link, linked, body))
        if domain.digest_of(body) != digest:
            what = "its body was edited: it does not have its hash any more"
        elif domain.link(self.head.link, seq, digest) != linked:
            what = "its link does not follow from it and the entry before it"
        elif leaf is not None and leaf != hashed:
            what = "it is not the one that was sealed"
        else:
            what = self._difference(row, body, posted)
        if what:
            self.report.wrong(seq, what)
        self.head = domain.Head(seq, linked)
        self.report.entries.append(seq)
        if self.whole:
            merkle.grow(self.edge, seq - 1, [hashed])
            if seq in signed and merkle.fold(self.edge) != signed[seq] and not self.report.problems:
                self.report.wrong(seq, "the checkpoint that was signed after it has another root")
            if seq == self.checkpoint.size:
                self.root_at_checkpoint = merkle.fold(self.edge)

    def _add(self, posted: Sequence[Any]) -> None:
        """Adds an entry's posting rows up; an account's division is that of its first posting."""
        for _, _, account, division, amount_fen in posted:
            if account not in self.balances:
                self.divisions[account] = division
            self.balances[account] += amount_fen

    def _difference(self, row: Any, body: bytes, posted: Sequence[Any]) -> str:
        """Where the columns and postings differ from what the entry's body says; "" when they do not."""
        try:
            said = orjson.loads(body)
            lines: list[_Line] = [_LINE(line) for line in said["postings"]]
            columns = tuple(row[5:])
            if columns != _COLUMNS(said) and (
                wrong := [name for name, value in zip(_SAID, columns, strict=True) if _text(value) != said[name]]
            ):
                return f"its columns say otherwise than its body: {', '.join(wrong)}"
            if said["book"] != self.book or said["request_hash"] != _raw(row[4]).hex():
                return "its columns say otherwise than its body: book or request_hash"
        except (ValueError, KeyError, TypeError):
            return "its body cannot be read"
        nowhere = AccountKey("", "", "")
        found = [(*self.accounts.get(account, nowhere), division, fen) for _, _, account, division, fen in posted]
        if found != lines or any(line[1] != at for at, line in enumerate(posted)):
            return "its postings are not those of its body"
        return ""

    async def _totals(self, rows: Sequence[Any]) -> None:
        """The balances, the head and what is left over."""
        for id, name, kind, owner, earmark, division, may_overdraw, balance_fen in rows:
            key = AccountKey(kind, owner, earmark)
            if balance_fen != (posted_fen := self.balances.pop(id, 0)):
                self.report.wrong(None, f"account {key.name} holds {balance_fen} fen, its postings make {posted_fen}")
            expected = (key.name, self.divisions.get(id, division), kind in MAY_OVERDRAW)
            if (name, division, bool(may_overdraw)) != expected:
                self.report.wrong(None, f"account {key.name} was changed")
        for id in sorted(self.balances):
            self.report.wrong(None, f"account number {id} is missing")
        heads = await self.source.rows("head", self.book)
        if [(row[0], _raw(row[1])) for row in heads] != (
            [(self.head.seq, self.head.link)] if self.report.entries else []
        ):
            self.report.wrong(None, f"the head of the book is not its last entry, {self.head.seq}")
        if count := (await self.source.rows("orphans", self.book, self.head.seq))[0][0]:
            self.report.wrong(None, f"{count} postings belong to no entry")

    def _ending(self) -> None:
        if self.ended_early:
            return
        if self.head.seq < self.checkpoint.size:
            self.report.truncated_at = self.head.seq
        elif (
            self.root_at_checkpoint is not None
            and self.root_at_checkpoint != self.checkpoint.root
            and not self.report.problems
        ):
            self.report.wrong(
                None, f"entries 1 to {self.checkpoint.size} are not those of the checkpoint; which one cannot be told"
            )
        if self.head.seq > self.checkpoint.size:
            self.report.notes.append(
                f"entries {self.checkpoint.size + 1} to {self.head.seq} are newer than the checkpoint: only their chain was checked"
            )


def _text(value: object) -> object:
    """A column as entries write it: dates and instants as text."""
    if isinstance(value, datetime):
        return domain.instant_text(value.astimezone(UTC))
    return value.isoformat() if isinstance(value, date) else value


def _raw(value: Any) -> bytes:
    """A column of bytes; whoever edits an SQLite file by hand may leave text there, or nothing."""
    return value.encode() if isinstance(value, str) else bytes(value or b"")
