"""The writer on PostgreSQL: a batch is one statement, and the next one leaves while the one before it commits.

A batch is decided against the state in which those in flight will leave the books (`assumed.py`); it can only succeed if they
do. What fails is written again the careful way: everything read first, one batch at a time, until what is wrong stands alone.
Processes take turns at a book (an advisory lock), so that they do not decide in vain; right they are without it too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic

from services.funds.ledger import domain
from services.funds.ledger import statements as sql
from services.funds.ledger.assumed import BOOKS_KEPT, Assumed
from services.funds.ledger.domain import AccountKey, Decided, Head, IdempotencyKeyReused, Posted, genesis
from services.funds.ledger.pipe import Answer, Failed, Lost, Pipe, Row
from services.funds.ledger.writer import (
    BATCH_COMMANDS,
    TRIES,
    Waiting,
    Writer,
    by_book,
    facts_of,
    log,
    not_written,
    pause,
)
from shared import faults, outbox
from shared.errors import Refusal

IN_FLIGHT = 2
"""Batches on their way at once: one commits while the other is decided and sent. More make them smaller, not faster."""

READS = 4
"""Reads of accounts under way at once; the commands that wait for them were taken from the queue."""

WORTHWHILE = 16
"""Commands that go into one batch rather than being shared out over those in flight: small batches cost more a command, but one
batch at a time leaves the server idle while the next is decided (32 callers: 7,000 postings a second instead of 4,100)."""

TURN_S = 0.03
"""After so long a turn is given to a process that waits for it."""

IDLE_S = 0.003
"""A writer without work gives its turn back after so long."""

_FAULT = ("funds", "ledger_before_commit")
_before_commit = partial(faults.point, *_FAULT) if faults.armed(*_FAULT) else None
"""Only with a fault to come is the statement sent apart from its commit: a process frozen between the two would hold the book."""

MOVED_MAX = 5_000
"""Entries of others since our last turn whose accounts are read again; after more of them all are forgotten."""

_LOCK_TIMEOUT = "55P03"
_PASSING = ("08", "25006", "40", "53", "55P03", "57", "58")
"""SQLSTATEs of a server that cannot now: connection, read-only standby, deadlock, out of resources, lock, shutdown, disk."""


class Batch:
    """Commands on their way together. `behind`: batches that write nothing and are answered when this one has landed."""

    __slots__ = ("behind", "decided", "facts", "outcomes", "waiting")

    def __init__(self, waiting: list[Waiting]) -> None:
        self.waiting = waiting
        self.outcomes: list[tuple[Waiting, Posted | Refusal]] = []
        self.decided: dict[str, Decided] = {}
        self.facts: list[outbox.Fact] = []
        self.behind: list[Batch] = []


class PostgresWriter(Writer):
    def __init__(self, url: str, *, on_commit: Callable[[], None] = lambda: None) -> None:
        super().__init__(on_commit=on_commit)
        self._url = url
        self._pipe: Pipe | None = None
        self._assumed = Assumed()
        self._flying: deque[Batch] = deque()
        self._failed: list[Waiting] = []
        self._parked: dict[Answer, list[Waiting]] = {}  # commands whose accounts are being read
        self._held: frozenset[str] = frozenset()
        self._turn_ends = 0.0
        self._wanted = False

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def _left(self) -> Iterable[Waiting]:
        return [
            *(waiting for batch in self._flying for waiting in batch.waiting),
            *(waiting for parked in self._parked.values() for waiting in parked),
            *self._failed,
            *self._queue,
        ]

    async def _run(self) -> None:
        try:
            while not (self._stopping and not (self._queue or self._flying or self._failed or self._parked)):
                if self._failed and not self._flying:
                    failed, self._failed = self._failed, []
                    await self._write_carefully(failed)
                elif self._queue and not self._failed and len(self._flying) < IN_FLIGHT and len(self._parked) < READS:
                    await self._write_ahead(self._take())
                else:
                    await self._rest()
        finally:
            if self._pipe is not None:
                self._pipe.close()

    async def _rest(self) -> None:
        """Until something comes or lands."""
        self._wake.clear()
        if not self._held or self._flying or self._parked:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            _unread(self._give_turn_back())

    def _share(self) -> int:
        """Some are left for the batch behind the next one."""
        outstanding = len(self._queue) + sum(len(batch.waiting) for batch in self._flying)
        return min(super()._share(), max(WORTHWHILE, -(-outstanding // IN_FLIGHT)))

    # The fast way: decide against what is assumed, send, go on.

    async def _write_ahead(self, waiting: list[Waiting]) -> None:
        try:
            await self._connect()
            await self._have_turn(by_book(waiting))
            if self._failed:  # a batch fell while we waited for the turn; it comes first
                self._failed += waiting
                return
            if known := self._without_unknown_accounts(waiting):
                self._send(self._without_doubtful_refusals(self._decide(known)))
        except Exception as error:
            log.warning("ledger_batch_again", commands=len(waiting), error=type(error).__name__)
            self._assumed.forget()
            parked = {id(w) for held in self._parked.values() for w in held}
            self._failed += [w for w in waiting if id(w) not in parked]
        if not self._parked:
            self._assumed.trim()

    def _without_unknown_accounts(self, waiting: list[Waiting]) -> list[Waiting]:
        """Those that can be decided now. The others' accounts are read behind the batches in flight, so that the values
        include them; until then nothing can touch these accounts, because whoever names them waits too."""
        books = self._assumed.books
        cold = [w for w in waiting if not books[w.command.book].knows_accounts_of(w.command)]
        if not cold:
            return waiting
        self._park(cold, self._read_accounts(cold))
        unknown = {id(w) for w in cold}
        return [w for w in waiting if id(w) not in unknown]

    def _without_doubtful_refusals(self, batch: Batch) -> Batch:
        """A command may be refused only because its own first posting, long forgotten, took the money. So nothing is refused
        before its ref and once were looked up; an accepted command needs no look: the unique keys find it out."""
        doubtful = [
            waiting
            for waiting, outcome in batch.outcomes
            if isinstance(outcome, Refusal)
            and not isinstance(outcome, IdempotencyKeyReused)
            and waiting.looked_up != self._assumed.epoch
        ]
        if doubtful:
            self._park(doubtful, self._read_entries(doubtful))
            out = {id(waiting) for waiting in doubtful}
            batch.waiting = [waiting for waiting in batch.waiting if id(waiting) not in out]
            batch.outcomes = [(waiting, outcome) for waiting, outcome in batch.outcomes if id(waiting) not in out]
        return batch

    def _read_accounts(self, waiting: Sequence[Waiting]) -> Answer:
        """Reads and learns the accounts of these commands that are not known."""
        keys = self._assumed.unknown_accounts(w.command for w in waiting)
        answer = self._send_to_pipe(
            b"accounts", sql.texts(code for code, _ in keys), sql.texts(account.name for _, account in keys)
        )
        self._learn(answer, lambda rows: self._assumed.learn_accounts(keys, rows))
        return answer

    def _read_entries(self, waiting: Sequence[Waiting]) -> Answer:
        """Reads and learns what these commands' refs and onces stand for already."""
        commands = [w.command for w in waiting]
        once = [(c.book, c.once) for c in commands if c.once is not None]
        answer = self._send_to_pipe(
            b"entries",
            *(sql.texts(c.book for c in commands), sql.texts(c.ref for c in commands)),
            *(sql.texts(book for book, _ in once), sql.texts(name for _, name in once)),
        )

        def learn(rows: Sequence[Row]) -> None:
            self._assumed.learn_entries(rows)
            for one in waiting:
                one.looked_up = self._assumed.epoch

        self._learn(answer, learn)
        return answer

    def _learn(self, answer: Answer, learn: Callable[[Sequence[Row]], None]) -> None:
        """When the answer is there, unless what it says is of an earlier epoch."""
        epoch = self._assumed.epoch

        def answered(done: Answer) -> None:
            if done.exception() is None and epoch == self._assumed.epoch:
                learn(done.result())

        answer.add_done_callback(answered)

    def _park(self, waiting: list[Waiting], answer: Answer) -> None:
        """They come back to the front of the queue when the answer is there."""
        self._parked[answer] = waiting
        answer.add_done_callback(self._unpark)

    def _unpark(self, answer: Answer) -> None:
        parked = self._parked.pop(answer)
        if answer.exception():
            self._failed += parked
        else:
            self._queue.extendleft(reversed(parked))
        self._wake.set()

    def _decide(self, waiting: list[Waiting]) -> Batch:
        """Raises what a command's `facts` raise; what is assumed must then be forgotten."""
        batch = Batch(waiting)
        for code, of_book in by_book(waiting).items():
            book = self._assumed.books[code]
            decided = domain.decide(book.head, book.fen, book.known, book.onces, [w.command for w in of_book])
            batch.decided[code] = decided
            batch.outcomes += zip(of_book, decided.outcomes, strict=True)
            batch.facts += facts_of(of_book, decided)
        return batch

    def _send(self, batch: Batch) -> None:
        """Sends a batch and assumes its effects. One that writes nothing waits for what it was decided against."""
        if any(decided.entries for decided in batch.decided.values()):
            answer = self._send_batch(batch)
            self._flying.append(batch)
            answer.add_done_callback(lambda done: self._landed(batch, done))
        elif self._flying:
            self._flying[-1].behind.append(batch)
        else:
            self._answer(batch)

    def _send_batch(self, batch: Batch) -> Answer:
        books, decided = self._assumed.books, batch.decided
        old, new = {code: books[code].head for code in decided}, {code: d.head for code, d in decided.items()}
        made, changes = self._accounts(decided)
        ids = {code: books[code].ids for code in decided}
        asks = monotonic() > self._turn_ends
        params = (
            *sql.head_params(old, new),
            *sql.account_params(made, changes),
            *sql.entry_params(decided),
            *sql.posting_params(decided, ids),
            *sql.fact_params([outbox.row_of(fact) for fact in batch.facts]),
            sql.boolean(asks),
        )
        for code, of_book in decided.items():
            books[code].suppose(of_book)
        if asks:
            self._turn_ends = monotonic() + TURN_S
        answer = self._send_to_pipe(b"batch", *params, executed=_before_commit)
        answer.add_done_callback(self._hear)
        return answer

    def _hear(self, answer: Answer) -> None:
        """Whether another process waits for the turn."""
        if answer.exception() is None and answer.result()[0][1] == b"\1":
            self._wanted = True

    def _accounts(
        self, decided: Mapping[str, Decided]
    ) -> tuple[list[tuple[int, str, AccountKey, str, int]], list[tuple[int, int]]]:
        """Accounts to make and changes of others, each in the order of their ids, which is the order of all locks."""
        made, changes = [], []
        for code, of_book in decided.items():
            book = self._assumed.books[code]
            if book.new and (new := book.new & of_book.deltas.keys()):
                # The first posting names an account's division: the verifier sees it so.
                division = {p.account: p.division for e in reversed(of_book.entries) for p in e.command.postings}
                made += [(book.ids[key], code, key, division[key], of_book.deltas[key]) for key in new]
            else:
                new = set()
            changes += [(book.ids[key], fen) for key, fen in of_book.deltas.items() if fen and key not in new]
        return sorted(made), sorted(changes)

    def _landed(self, batch: Batch, answer: Answer) -> None:
        self._flying.remove(batch)
        self._wake.set()
        if (error := answer.exception()) is not None:
            log.warning("ledger_batch_again", commands=len(batch.waiting), error=str(error))
            self._assumed.forget()
            self._failed += [waiting for one in (batch, *batch.behind) for waiting in one.waiting]
            return
        faults.point("funds", "ledger_after_commit")
        for one in (batch, *batch.behind):
            self._answer(one)
        self._committed(len(batch.waiting))

    def _answer(self, batch: Batch) -> None:
        for waiting, outcome in batch.outcomes:
            waiting.answer(outcome)

    # The careful way: after a failure, a poisonous command, another writer's entries, a lost connection.

    async def _write_carefully(self, waiting: list[Waiting]) -> None:
        self._again()
        size, tries = BATCH_COMMANDS, 0
        while waiting := [w for w in waiting if not w.reply.done()]:
            part = waiting[:size]
            try:
                await self._connect()
                await self._have_turn(by_book(part), anew=True)
                # The heads were read first: if somebody writes in between, the batch fails.
                await asyncio.gather(self._read_entries(part), self._read_accounts(part))
                batch = self._decide(part)
                if any(decided.entries for decided in batch.decided.values()):
                    await self._send_batch(batch)
                    faults.point("funds", "ledger_after_commit")
                    self._committed(len(part))
            except Exception as error:
                self._assumed.forget()
                if _passes(error):
                    tries += 1
                    if tries == TRIES:
                        self._give_up(waiting, error)
                        return
                    await pause(tries)
                elif len(part) > 1:
                    size = max(1, len(part) // 4)
                else:
                    log.warning("ledger_command_failed", kind=part[0].command.kind, error=type(error).__name__)
                    part[0].answer(error)
            else:
                self._answer(batch)
                size, tries = min(size * 4, BATCH_COMMANDS), 0

    def _give_up(self, waiting: Sequence[Waiting], error: Exception) -> None:
        """All who wait are told: those behind them would only wait as long for the same."""
        told = [*waiting, *self._failed, *self._queue]
        log.error("ledger_not_written", commands=len(told), error=str(error))
        self._failed.clear()
        self._queue.clear()
        for one in told:
            one.answer(not_written(error))

    async def _connect(self) -> None:
        if self._pipe is None or self._pipe.closed:
            self._held, self._turn_ends = frozenset(), 0.0
            self._pipe = await Pipe.open(self._url, sql.STATEMENTS)

    # Turns.

    async def _have_turn(self, books: Iterable[str], *, anew: bool = False) -> None:
        """Holds these books, and knows their heads and what others wrote since. `anew`: reads the heads also if it held them.

        Whether somebody waits for the turn is asked with a batch, at its end; so a writer that is alone keeps its turn.
        """
        wanted = frozenset(books)
        if wanted <= self._held and wanted <= self._assumed.books.keys() and not (self._wanted or anew):
            return
        while self._flying:
            self._wake.clear()
            await self._wake.wait()
        if self._wanted or not wanted <= self._held:
            together = wanted | self._held
            if self._held:
                _unread(self._give_turn_back())
            await self._take_turn(together if len(together) <= BOOKS_KEPT else wanted)
        await self._catch_up(wanted | self._held)

    def _give_turn_back(self) -> Answer:
        self._held, self._wanted = frozenset(), False
        return self._send_to_pipe(b"yield")

    async def _take_turn(self, books: frozenset[str]) -> None:
        """A turn that is not given is not believed in: what comes next is written without it, and what follows asks again.

        Of two writers that both believed, neither would wait, so neither would give its turn back; and the slower one would
        lose every race of heads, for as long as the other has work.
        """
        try:
            await self._send_to_pipe(b"turn", *sql.turn_params(books))
        except Failed as error:
            if error.sqlstate != _LOCK_TIMEOUT:
                raise
            log.warning("ledger_turn_not_given", books=len(books))
            _unread(self._give_turn_back())  # of some of the books it may have been
        else:
            self._held = books
        self._wanted, self._turn_ends = False, monotonic() + TURN_S

    async def _catch_up(self, codes: frozenset[str]) -> None:
        heads = await self._heads(codes)
        if missing := sorted(codes - heads.keys()):
            starts = [genesis(code) for code in missing]
            await self._send_to_pipe(
                b"open", sql.texts(missing), sql.int8s(s.seq for s in starts), sql.hashes(s.link for s in starts)
            )
            heads |= await self._heads(frozenset(missing))
        for code in [code for code in self._assumed.books if code not in codes and len(codes) >= BOOKS_KEPT]:
            del self._assumed.books[code]
        for code, head in heads.items():
            book = self._assumed.book(code)
            if head != book.head:
                since, book.head = book.head.seq, head
                self._assumed.epoch += 1
                if 0 < head.seq - since <= MOVED_MAX and book.fen:
                    self._assumed.learn_moved(code, await self._send_to_pipe(b"moved", sql.text(code), sql.int8(since)))
                else:
                    book.forget_accounts()

    async def _heads(self, codes: frozenset[str]) -> dict[str, Head]:
        rows = await self._send_to_pipe(b"heads", sql.texts(sorted(codes)))
        return {sql.text_of(code): Head(sql.int_of(seq), sql.bytes_of(link)) for code, seq, link in rows}

    def _send_to_pipe(self, name: bytes, *params: bytes, executed: Callable[[], None] | None = None) -> Answer:
        if self._pipe is None:
            raise Lost("not connected yet")
        return self._pipe.send(name, *params, executed=executed)


def _passes(error: Exception) -> bool:
    """Whether the same batch may succeed a moment later: the server is away or busy, or another writer was first."""
    if isinstance(error, Failed):
        return error.sqlstate == sql.HEAD_MOVED or error.sqlstate.startswith(_PASSING)
    return isinstance(error, Lost | OSError | TimeoutError)


def _unread(answer: Answer) -> None:
    """An answer nobody waits for; its failure shows in the next one."""
    answer.add_done_callback(lambda done: done.exception())
