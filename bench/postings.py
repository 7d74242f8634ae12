"""Postings: payments through the ledger's writer, in process, against one row and its commit.

A payment is one debit and 1–3 credits among 1,000 tranches' holds and 20,000 households (the mix of handbook
ledger-and-audit.md), with its entry composed and hashed, its link in the chain, its ref and its event in the outbox. All that is timed.
"""

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar
from uuid import UUID

import uvloop

from bench.env import Env
from bench.floors import pgbench, sqlite
from bench.harness import Case
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.ledger.postgres import PostgresWriter
from services.funds.ledger.sqlite import SqliteWriter
from services.funds.ledger.writer import Writer
from services.serving import GC_THRESHOLDS
from shared import migrate
from shared.db import Database
from shared.events.base import Envelope
from shared.events.funds import TranchePaid
from shared.ids import new_id
from shared.outbox import Fact

T = TypeVar("T")

SECONDS = 4.0
HOLDS, HOUSEHOLDS, FUND = 1_000, 20_000, "F01"
HELD_FEN = 10**12
DRAWN = 20_000
AT, DAY = datetime(2016, 11, 1, 1, tzinfo=UTC), date(2016, 11, 1)
PROJECT = UUID(int=1)


class Book:
    """One county's book: its accounts and the payments between them."""

    def __init__(self, county: str) -> None:
        self.county, self.division = county, county.ljust(12, "0")
        self.source = AccountKey("source", FUND, FUND)
        self.holds = [AccountKey("hold", f"T{n:05}", FUND) for n in range(HOLDS)]
        self.households = [AccountKey("household", f"{county}{n:010}", FUND) for n in range(HOUSEHOLDS)]
        self.villages = [f"{county}1{n % 10:02}2{n // 10:02}" for n in range(100)]
        self.drawn = self.draw(random.Random(county))

    def fill(self) -> list[Command]:
        """What puts money into the holds and makes an account of every household."""
        given = [Posting(hold, HELD_FEN, self.division) for hold in self.holds]
        paid = [Posting(home, 1, self.division) for home in self.households]
        halves = paid[: len(paid) // 2], paid[len(paid) // 2 :]
        return [self._command(f"fill-{n}", self.source, one) for n, one in enumerate((given, *halves))]

    def draw(self, rng: random.Random) -> list[tuple[str, list[tuple[str, int, str]]]]:
        """Payments to come: whose hold pays how much to which households of which villages."""
        return [
            (
                rng.choice(self.holds).owner,
                [
                    (home.owner, rng.randrange(1, 100_000), self.villages[int(home.owner) % 100])
                    for home in rng.sample(self.households, rng.randrange(1, 4))
                ],
            )
            for _ in range(DRAWN)
        ]

    def payment(self, n: int, *, hot: bool) -> Command:
        hold, shares = self.drawn[n % DRAWN]
        lines = [Posting(AccountKey("household", home, FUND), fen, village) for home, fen, village in shares]
        return self._command(f"p{n}", AccountKey("hold", self.holds[0].owner if hot else hold, FUND), lines)

    def _command(self, ref: str, payer: AccountKey, lines: Sequence[Posting]) -> Command:
        debit = Posting(payer, -sum(line.amount_fen for line in lines), self.division)
        return Command(
            book=self.county, kind="paid", ref=f"finance-1:{ref}", actor="finance-1", effective_on=DAY, recorded_at=AT,
            division=self.division, postings=(debit, *lines), memo="补助", idempotency_key=ref, request_hash=b"r" * 32,
        )  # fmt: skip

    def event(self, seq: int) -> list[Fact]:
        paid = TranchePaid(
            project_id=PROJECT,
            project_no="P01",
            tranche_id=PROJECT,
            division=self.division,
            amount_fen=1,
            households=1,
            paid_on=DAY,
            entry_seq=seq,
        )
        return [
            Fact(
                paid,
                Envelope(new_id(), paid.type_name, "/daohu/funds", str(PROJECT), AT, self.division, "finance-1", seq),
            )
        ]


class Ledger:
    """A filled ledger and its writer, in a loop of its own."""

    def __init__(self, env: Env, url: str, counties: int = 1) -> None:
        gc.set_threshold(*GC_THRESHOLDS)
        self.database = Database(url, service="funds")
        self.books = [Book(str(610926 + n)) for n in range(counties)]
        self.numbers = itertools.count()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.writer: Writer = self.run(self._open())
        env.stack.callback(self._close)
        self.run(self._filled())
        gc.freeze()

    def run(self, work: Coroutine[object, object, T]) -> T:
        return self._runner.run(work)

    def rate(self, callers: int, *, hot: bool = False, seconds: float = SECONDS) -> float:
        """Payments a second; each caller has one under way. `hot`: all from one hold."""
        return self.run(self._rate(callers, hot, seconds))

    async def _open(self) -> Writer:
        await migrate.upgrade(self.database)
        sqlite = self.database.sqlite
        writer: Writer = SqliteWriter(self.database) if sqlite else PostgresWriter(self.database.url)
        await writer.start()
        return writer

    async def _filled(self) -> None:
        for book in self.books:
            await asyncio.gather(*(self.writer.post(command) for command in book.fill()))
        await self._rate(64, False, 2.0)  # prepared, cached, warm

    async def _rate(self, callers: int, hot: bool, seconds: float) -> float:
        done = 0
        end = time.perf_counter() + seconds

        async def caller() -> None:
            nonlocal done
            while time.perf_counter() < end:
                n = next(self.numbers)
                book = self.books[n % len(self.books)]
                await self.writer.post(book.payment(n, hot=hot), book.event)
                done += 1

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return done / (time.perf_counter() - started)

    def _close(self) -> None:
        self.run(self.writer.stop())
        self.run(self.database.close())
        self._runner.close()


def cases(env: Env) -> list[Case]:
    database, room = env.postgres.take(), env.room("postings")
    ledger = Ledger(env, env.postgres.url(database))
    env.postgres.execute("vacuum analyze", database=database)
    room.chmod(0o755)
    floor_path = env.room("floor") / "floor.db"
    embedded = Ledger(env, f"sqlite:///{room / 'funds.db'}")

    def floor(clients: int) -> Callable[[], float]:
        return pgbench.one_row(env.postgres, database, room, clients=clients, seconds=SECONDS)

    one, many = "pgbench, one row and its commit, 1 client", "the same, 32 clients"
    return [
        Case("postings, 32 callers", "/s", "at least", 2.0, lambda: ledger.rate(32), floor(1), 5, one),
        Case("postings, 32 callers, one hot account", "/s", "at least", 2.0, lambda: ledger.rate(32, hot=True), floor(1), 5, one),
        Case("postings, one hot account ÷ spread", "/s", "at least", 0.95, lambda: ledger.rate(32, hot=True), lambda: ledger.rate(32), 5, "the same, spread over 1,000 accounts"),
        Case("postings, 256 callers", "/s", "at least", 0.75, lambda: ledger.rate(256), floor(32), 5, many),
        Case("postings on SQLite, 32 callers", "/s", "at least", 1.0, lambda: embedded.rate(32), sqlite.one_row(floor_path, seconds=SECONDS), 5, "one row and its commit, WAL, FULL"),
    ]  # fmt: skip
