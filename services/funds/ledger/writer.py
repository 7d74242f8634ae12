"""The writer (记账员): groups the commands waiting in this process into one transaction, and answers after its commit.

What every writer is; `sqlite.py` and `postgres.py` say how the two databases take a batch (docs/decisions/0013).
Several processes may each have one: a batch moves its books' heads by compare-and-set (handbook: architecture.md 2).
Never await `post` inside a write transaction of one's own: on SQLite that transaction holds the only writing connection.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from services.funds.ledger.domain import Command, Decided, InsufficientFunds, Posted, refusal_of
from shared.errors import Refusal, StorageFull, Unavailable
from shared.failures import storage_full
from shared.metrics import LEDGER_BATCH_COMMANDS, LEDGER_IN_FLIGHT, LEDGER_REDONE, LEDGER_WAITING
from shared.outbox import Fact

BATCH_COMMANDS = 200
"""Commands of one commit, at most."""

BATCH_POSTINGS = 40_000
"""Postings of one commit; a command with more of them than are left goes into the next."""

BATCH_BOOKS = 64
"""Books of one commit, at most."""

QUEUE_COMMANDS = 10_000
"""Commands that may wait; above, the caller is told to come again."""

TRIES = 5
BACKOFF_S = 0.1
"""A batch that meets a database that does not answer is tried so often, with a pause that doubles."""

log = structlog.get_logger()

_BATCHES = LEDGER_BATCH_COMMANDS.labels("funds")
_REDONE = LEDGER_REDONE.labels("funds")


class Stopped(Unavailable):
    code = "ledger_stopped"


class Busy(Unavailable):
    code = "ledger_busy"


class NotWritten(Unavailable):
    """The database did not answer. The entry may or may not stand; the same key tells."""

    code = "ledger_unavailable"


def no_facts(seq: int) -> Sequence[Fact]:
    """Of an entry that tells nobody anything."""
    return ()


class Waiting:
    """A command, the events to record with it, and the caller's answer to come.

    `looked_up`: the epoch (`assumed.py`) in which the writer last asked the table what its ref and once stand for.
    """

    __slots__ = ("command", "facts", "looked_up", "reply")

    def __init__(self, command: Command, facts: Callable[[int], Sequence[Fact]]) -> None:
        self.command, self.facts = command, facts
        self.looked_up = -1
        self.reply: asyncio.Future[Posted] = asyncio.get_running_loop().create_future()

    def answer(self, outcome: Posted | BaseException) -> None:
        if self.reply.done():
            return  # its caller has gone
        if isinstance(outcome, BaseException):
            self.reply.set_exception(outcome)
        else:
            self.reply.set_result(outcome)


class Writer(ABC):
    """`on_commit` is called after each commit (the relay's wake). Counters since the start, for metrics:

    `batches` committed, `commands` answered with them, `redone` (batches that had to be written again); `waiting` commands
    and `in_flight` batches are what there is now.
    """

    def __init__(self, *, on_commit: Callable[[], None] = lambda: None) -> None:
        self._on_commit = on_commit
        self._queue: deque[Waiting] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.batches = self.commands = self.redone = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        return 0

    async def start(self) -> None:
        """Neither waits for the database nor fails without it."""
        self._task = asyncio.create_task(self._live(), name="ledger-writer")
        LEDGER_WAITING.labels("funds").set_function(lambda: self.waiting)
        LEDGER_IN_FLIGHT.labels("funds").set_function(lambda: self.in_flight)

    async def stop(self) -> None:
        """Takes no more commands, writes those that wait, ends."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def post(self, command: Command, facts: Callable[[int], Sequence[Fact]] = no_facts) -> Posted:
        """Posts a command; returns once it is committed. `facts` gives the events to record with it, knowing its number;
        it is called again when the batch is written again.

        Raises InsufficientFunds (which itself is put on record), AlreadyDone, IdempotencyKeyReused, BalanceTooLarge (409);
        Busy, Stopped, NotWritten, StorageFull (503: repeat with the same ref).
        """
        try:
            return await self._submit(Waiting(command, facts))
        except InsufficientFunds as refusal:
            await self.refuse(command, refusal)
            raise

    async def refuse(self, command: Command, refusal: Refusal) -> Posted:
        """Puts on record that a command was refused, by a gate before the ledger or by the ledger itself."""
        return await self._submit(Waiting(refusal_of(command, refusal), no_facts))

    def _submit(self, waiting: Waiting) -> asyncio.Future[Posted]:
        if self._stopping or self._task is None or self._task.done():
            raise Stopped("The ledger is stopping. Repeat with the same Idempotency-Key.")
        if len(self._queue) >= QUEUE_COMMANDS:
            raise Busy("Too many postings wait. Repeat with the same Idempotency-Key.")
        self._queue.append(waiting)
        self._wake.set()
        return waiting.reply

    def _again(self) -> None:
        """Counts a batch that has to be written again."""
        self.redone += 1
        _REDONE.inc()

    async def _live(self) -> None:
        try:
            await self._run()
        finally:  # nobody waits for a writer that has gone
            for waiting in self._left():
                waiting.answer(Stopped("The ledger has stopped. Repeat with the same Idempotency-Key."))

    @abstractmethod
    async def _run(self) -> None:
        """Writes batch after batch until it is told to stop and nothing waits."""

    def _left(self) -> Iterable[Waiting]:
        """Commands that nobody will write any more."""
        return list(self._queue)

    def _share(self) -> int:
        """How many commands the next batch takes, at most."""
        return BATCH_COMMANDS

    def _take(self) -> list[Waiting]:
        """The next batch: waiting commands in order, within the limits of a batch."""
        most = self._share()
        batch: list[Waiting] = []
        books: set[str] = set()
        postings = 0
        while self._queue and len(batch) < most:
            waiting = self._queue[0]
            command = waiting.command
            if waiting.reply.done():
                self._queue.popleft()  # its caller has gone
                continue
            postings += len(command.postings)
            books.add(command.book)
            if batch and (postings > BATCH_POSTINGS or len(books) > BATCH_BOOKS):
                break
            batch.append(self._queue.popleft())
        return batch

    def _committed(self, commands: int) -> None:
        self.batches += 1
        self.commands += commands
        _BATCHES.observe(commands)
        self._on_commit()


def by_book(batch: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    """The commands of each book, in order; the books sorted, so that locks of two writers never cross."""
    books: dict[str, list[Waiting]] = {}
    for waiting in batch:
        books.setdefault(waiting.command.book, []).append(waiting)
    return {code: books[code] for code in sorted(books)}


def facts_of(batch: Sequence[Waiting], decided: Decided) -> list[Fact]:
    """The events of the accepted commands of one book, in order. A command that waits twice was accepted once."""
    seqs = {id(entry.command): entry.seq for entry in decided.entries}
    return [fact for w in batch if (seq := seqs.pop(id(w.command), None)) is not None for fact in w.facts(seq)]


async def pause(tries: int) -> None:
    """Between one try and the next; `tries` from 1."""
    await asyncio.sleep(BACKOFF_S * 2 ** (tries - 1))


def not_written(error: Exception) -> Unavailable:
    """What the callers are told of a batch that failed so."""
    if storage_full(error):
        return StorageFull()
    return NotWritten(
        "The database did not answer. Repeat with the same Idempotency-Key: the answer will say what happened."
    )
