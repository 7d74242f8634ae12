"""The writer (记账员): groups the commands waiting in this process into one transaction, and answers after its commit.

Several processes may each have one: a batch moves its book's head by compare-and-set (handbook: architecture.md 2).
Never await `post` inside a write transaction of one's own: on SQLite that transaction holds the only writing connection.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.funds.ledger import domain, store
from services.funds.ledger.domain import Command, Decided, InsufficientFunds, Posted, refusal_of
from shared import faults, outbox
from shared.db import Database
from shared.errors import Refusal, Unavailable
from shared.outbox import Fact

BATCH_COMMANDS = 200
"""Commands of one commit, at most."""

BATCH_POSTINGS = 40_000
"""Postings of one commit; a command with more of them than are left goes into the next."""

QUEUE_COMMANDS = 10_000
"""Commands that may wait; above, the caller is told to come again."""

TRIES = 5
BACKOFF_S = 0.1
"""A batch that meets a database that does not answer is tried so often, with a pause that doubles."""

log = structlog.get_logger()

NO_FACTS: Callable[[int], Sequence[Fact]] = lambda seq: ()  # noqa: E731


class Stopped(Unavailable):
    code = "ledger_stopped"


class Busy(Unavailable):
    code = "ledger_busy"


class NotWritten(Unavailable):
    """The database did not answer. The entry may or may not stand; the same key tells."""

    code = "ledger_unavailable"


class _HeadMoved(Exception):
    """Another writer was first; nothing of the batch happened."""


@dataclass(slots=True, eq=False)
class _Waiting:
    command: Command
    facts: Callable[[int], Sequence[Fact]]
    reply: asyncio.Future[Posted] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """`on_commit` is called after each commit (the relay's wake)."""

    def __init__(self, database: Database, *, on_commit: Callable[[], None] = lambda: None) -> None:
        self._database, self._on_commit = database, on_commit
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.batches = 0

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger-writer")

    async def stop(self) -> None:
        """Takes no more commands, writes those that wait, ends."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def post(self, command: Command, facts: Callable[[int], Sequence[Fact]] = NO_FACTS) -> Posted:
        """Posts a command; returns once it is committed. `facts` gives the events to record with it, knowing its number.

        Raises InsufficientFunds (which itself is put on record), AlreadyDone, IdempotencyKeyReused, BalanceTooLarge (409);
        Busy, Stopped, NotWritten (503: repeat with the same ref).
        """
        try:
            return await self._submit(_Waiting(command, facts))
        except InsufficientFunds as refusal:
            await self.refuse(command, refusal)
            raise

    async def refuse(self, command: Command, refusal: Refusal) -> Posted:
        """Puts on record that a command was refused, by a gate before the ledger or by the ledger itself."""
        return await self._submit(_Waiting(refusal_of(command, refusal), NO_FACTS))

    async def _submit(self, waiting: _Waiting) -> Posted:
        if self._stopping or self._task is None or self._task.done():
            raise Stopped("The ledger is stopping. Repeat with the same Idempotency-Key.")
        if len(self._queue) >= QUEUE_COMMANDS:
            raise Busy("Too many postings wait. Repeat with the same Idempotency-Key.")
        self._queue.append(waiting)
        self._wake.set()
        return await waiting.reply

    async def _run(self) -> None:
        try:
            while True:
                if batch := self._take():
                    await self._write(batch)
                elif self._stopping:
                    return
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:  # nobody waits for a writer that has gone
            for waiting in self._queue:
                if not waiting.reply.done():
                    waiting.reply.set_exception(
                        Stopped("The ledger has stopped. Repeat with the same Idempotency-Key.")
                    )

    def _take(self) -> list[_Waiting]:
        """The next batch: waiting commands of one book, in order."""
        batch: list[_Waiting] = []
        others: list[_Waiting] = []
        postings = 0
        while self._queue and len(batch) < BATCH_COMMANDS:
            waiting = self._queue.popleft()
            if waiting.reply.done():
                continue  # its caller has gone
            if batch and waiting.command.book != batch[0].command.book:
                others.append(waiting)
                continue
            postings += len(waiting.command.postings)
            if batch and postings > BATCH_POSTINGS:
                others.append(waiting)
                break
            batch.append(waiting)
        self._queue.extendleft(reversed(others))
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        """Writes a batch. One that fails as a whole is written one by one, so that what is wrong is refused alone."""
        try:
            outcomes = await self._commit(batch)
        except NotWritten as error:
            for waiting in batch:
                if not waiting.reply.done():
                    waiting.reply.set_exception(error)
            return
        except Exception as error:
            if len(batch) > 1:
                log.warning("ledger_batch_split", commands=len(batch), error=type(error).__name__)
                for waiting in batch:
                    await self._write([waiting])
            elif not batch[0].reply.done():
                batch[0].reply.set_exception(error)
            return
        self._on_commit()
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.reply.done():
                continue
            if isinstance(outcome, Refusal):
                waiting.reply.set_exception(outcome)
            else:
                waiting.reply.set_result(outcome)

    async def _commit(self, batch: list[_Waiting]) -> Sequence[Posted | Refusal]:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(BACKOFF_S * 2 ** (attempt - 1))
            with contextlib.suppress(_HeadMoved, OperationalError, InterfaceError, PoolTimeout, OSError):
                return await self._transact(batch)
        raise NotWritten(
            "The database did not answer. Repeat with the same Idempotency-Key: the answer will say what happened."
        )

    async def _transact(self, batch: list[_Waiting]) -> Sequence[Posted | Refusal]:
        """One batch, one transaction: lock, read, decide, write, move the head."""
        commands = [waiting.command for waiting in batch]
        code = commands[0].book
        async with self._database.write() as tx:
            head = await store.lock_head(tx, code)
            refs = await store.known_refs(tx, code, sorted({command.ref for command in commands}))
            onces = await store.known_onces(tx, code, sorted({c.once for c in commands if c.once is not None}))
            accounts = await store.balances(tx, code, domain.touched(commands))
            decided = domain.decide(head, {key: fen for key, (_, fen) in accounts.items()}, refs, onces, commands)
            if decided.entries:
                await store.write_entries(tx, code, decided, {key: id for key, (id, _) in accounts.items()})
                await outbox.append(tx, _facts(batch, decided))
                if not await store.move_head(tx, code, head, decided.head):
                    raise _HeadMoved
            faults.point("funds", "ledger_before_commit")
        faults.point("funds", "ledger_after_commit")
        self.batches += 1
        return decided.outcomes


def _facts(batch: list[_Waiting], decided: Decided) -> list[Fact]:
    """The events of the accepted commands, in order. A command that waits twice was accepted once."""
    seqs = {id(entry.command): entry.seq for entry in decided.entries}
    return [fact for w in batch if (seq := seqs.pop(id(w.command), None)) is not None for fact in w.facts(seq)]
