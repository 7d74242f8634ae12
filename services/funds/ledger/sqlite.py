"""The writer on SQLite: one transaction after another, each with all commands that wait.

Its statements go straight to sqlite3, prepared once and run row by row: on this database a commit costs about as much as
composing a handful of statements through SQLAlchemy, which would be paid for every batch (handbook: speed.md).
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

import orjson
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.funds.ledger import domain
from services.funds.ledger.domain import MAY_OVERDRAW, AccountKey, Command, Decided, Head, Known, Posted, genesis
from services.funds.ledger.writer import TRIES, Waiting, Writer, by_book, facts_of, log, not_written, pause
from shared import faults, outbox
from shared.db import Database
from shared.errors import Refusal
from shared.outbox import Fact


class SqliteWriter(Writer):
    def __init__(self, database: Database, *, on_commit: Callable[[], None] = lambda: None) -> None:
        super().__init__(on_commit=on_commit)
        self._database = database

    async def _run(self) -> None:
        while True:
            if batch := self._take():
                await self._write(batch)
            elif self._stopping:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _write(self, batch: list[Waiting]) -> None:
        """Writes a batch. One that fails as a whole is written one by one, so that what is wrong is refused alone."""
        try:
            outcomes = await self._commit(batch)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Refusal):
                log.warning("ledger_batch_split", commands=len(batch), error=type(error).__name__)
                self._again()
                for waiting in batch:
                    await self._write([waiting])
            else:
                for waiting in batch:
                    waiting.answer(error)
            return
        self._committed(len(batch))
        for waiting, outcome in outcomes:
            waiting.answer(outcome)

    async def _commit(self, batch: list[Waiting]) -> list[tuple[Waiting, Posted | Refusal]]:
        """Raises NotWritten or StorageFull when the database does not take it, whatever else the batch raises otherwise."""
        tries = 0
        while True:
            try:
                return await self._transact(batch)
            except (OperationalError, InterfaceError, PoolTimeout, OSError, sqlite3.OperationalError) as error:
                tries += 1
                if tries == TRIES:
                    raise not_written(error) from error
            await pause(tries)

    async def _transact(self, batch: list[Waiting]) -> list[tuple[Waiting, Posted | Refusal]]:
        """One batch, one transaction, which holds the file's only write lock from its start: read, decide, write."""
        outcomes: list[tuple[Waiting, Posted | Refusal]] = []
        async with self._database.write() as tx:
            connection = (await tx.get_raw_connection()).driver_connection
            assert connection is not None
            cursor = connection.cursor(sqlite3.Cursor)
            for code, waiting in by_book(batch).items():
                book = _Book(cursor, code)
                decided = book.decide([w.command for w in waiting])
                outcomes += zip(waiting, decided.outcomes, strict=True)
                if decided.entries:
                    book.write(decided, facts_of(waiting, decided))
            faults.point("funds", "ledger_before_commit")
        faults.point("funds", "ledger_after_commit")
        return outcomes


class _Book:
    """A book's rows, in one open transaction."""

    def __init__(self, cursor: sqlite3.Cursor, code: str) -> None:
        self._cursor, self._code = cursor, code
        self._ids: dict[AccountKey, int] = {}

    def decide(self, commands: Sequence[Command]) -> Decided:
        known = {command.ref: found for command in commands if (found := self._known(command.ref)) is not None}
        onces = {c.once: seq for c in commands if c.once is not None and (seq := self._settled(c.once)) is not None}
        balances = {account: self._balance(account) for account in domain.touched(commands)}
        return domain.decide(self._head(), balances, known, onces, commands)

    def write(self, decided: Decided, facts: Sequence[Fact]) -> None:
        run, many = self._cursor.execute, self._cursor.executemany
        # The first posting names an account's division: the verifier sees it so.
        division = {p.account: p.division for e in reversed(decided.entries) for p in e.command.postings}
        for key, fen in decided.deltas.items():
            if (id := self._ids.get(key)) is not None:
                run("UPDATE ledger_account SET balance_fen = balance_fen + ? WHERE id = ?", (fen, id))
            else:
                row = (self._code, key.name, *key, division[key], key.kind in MAY_OVERDRAW, fen)
                self._ids[key] = run(_MAKE_ACCOUNT, row).lastrowid or 0
        many(
            _ADD_ENTRY,
            (
                (self._code, seq, c.kind, c.ref, c.once, c.request_hash, c.actor, c.effective_on.isoformat(),
                 _instant(c.recorded_at), c.division, c.memo, c.body, c.digest, link)
                for c, seq, _, link in decided.entries
            ),
        )  # fmt: skip
        many(
            "INSERT INTO ledger_posting (book, seq, line, account_id, division, amount_fen) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (self._code, seq, line, self._ids[account], where, fen)
                for command, seq, *_ in decided.entries
                for line, (account, fen, where) in enumerate(command.postings)
            ),
        )
        many(_ADD_FACT, (_fact_row(fact) for fact in facts))
        run("UPDATE ledger_book SET seq = ?, link = ? WHERE book = ?", (*decided.head, self._code))

    def _head(self) -> Head:
        row: tuple[int, bytes] | None
        row = self._cursor.execute("SELECT seq, link FROM ledger_book WHERE book = ?", (self._code,)).fetchone()
        if row is not None:
            return Head(*row)
        start = genesis(self._code)
        self._cursor.execute("INSERT INTO ledger_book (book, seq, link) VALUES (?, ?, ?)", (self._code, *start))
        return start

    def _known(self, ref: str) -> Known | None:
        query = "SELECT request_hash, seq, link, recorded_at FROM ledger_entry WHERE book = ? AND ref = ?"
        row: tuple[bytes, int, bytes, str] | None = self._cursor.execute(query, (self._code, ref)).fetchone()
        return row and Known(row[0], Posted(row[1], row[2], datetime.fromisoformat(row[3])))

    def _settled(self, once: str) -> int | None:
        query = "SELECT seq FROM ledger_entry WHERE book = ? AND once = ?"
        row: tuple[int] | None = self._cursor.execute(query, (self._code, once)).fetchone()
        return row and row[0]

    def _balance(self, account: AccountKey) -> int:
        query = "SELECT id, balance_fen FROM ledger_account WHERE book = ? AND name = ?"
        row: tuple[int, int] | None = self._cursor.execute(query, (self._code, account.name)).fetchone()
        if row is None:
            return 0
        self._ids[account] = row[0]
        return row[1]


_MAKE_ACCOUNT = (
    "INSERT INTO ledger_account (book, name, kind, owner, earmark, division, may_overdraw, balance_fen) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_ENTRY = (
    "INSERT INTO ledger_entry (book, seq, kind, ref, once, request_hash, actor, effective_on, recorded_at, division, memo, "
    "body, digest, link) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_FACT = "INSERT INTO outbox (event_id, topic, key, type, headers, body, division, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def _instant(value: datetime) -> str:
    """As `shared.db.Instant` writes it."""
    return value.isoformat(timespec="microseconds")


def _fact_row(fact: Fact) -> tuple[object, ...]:
    row = outbox.row_of(fact)
    return (
        row["event_id"].hex, row["topic"], row["key"], row["type"], orjson.dumps(row["headers"]).decode(), row["body"],
        row["division"], _instant(row["recorded_at"]),
    )  # fmt: skip
