"""The writer on both databases: one commit for many, each refused alone, nothing lost, nothing twice."""

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError

from services.funds.ledger import domain, store
from services.funds.ledger import writer as writers
from services.funds.ledger.domain import (
    AccountKey,
    AlreadyDone,
    Command,
    IdempotencyKeyReused,
    InsufficientFunds,
    Posting,
)
from services.funds.ledger.postgres import PostgresWriter
from services.funds.ledger.sqlite import SqliteWriter
from services.funds.ledger.writer import Busy, NotWritten, Stopped, Writer
from services.funds.tables import metadata
from shared import tables
from shared.db import Database
from shared.events.base import Envelope
from shared.events.funds import FundReceived
from shared.ids import new_id
from shared.outbox import Fact
from shared.scope import EVERYWHERE, Area

COUNTY, OTHER_COUNTY = "610926000000", "610924000000"
AT = datetime(2016, 11, 1, 1, tzinfo=UTC)


def key(kind: str, owner: str = "1", earmark: str = "F1") -> AccountKey:
    return AccountKey(kind, owner, earmark)


def move(ref: str, fen: int, payer: AccountKey, payee: AccountKey, *, county: str = COUNTY, **given) -> Command:
    return Command(
        **{
            "book": county[:6], "kind": "moved", "ref": ref, "actor": "a", "effective_on": date(2016, 11, 1), "recorded_at": AT,
            "division": county, "postings": (Posting(payer, -fen, county), Posting(payee, fen, county)), **given,
        }
    )  # fmt: skip


def receive(ref: str, fen: int, **given) -> Command:
    return move(ref, fen, key("source", "F1"), key("fund", "F1"), **given)


def fact(seq: int) -> Fact:
    fund = UUID(int=seq)
    event = FundReceived(
        fund_id=fund,
        fund_no="F1",
        level="county",
        division=COUNTY,
        amount_fen=1,
        received_on=date(2016, 11, 1),
        entry_seq=seq,
    )
    return Fact(event, Envelope(new_id(), event.type_name, "/daohu/funds", str(fund), AT, COUNTY, "a", 1))


def writer_of(database: Database) -> Writer:
    return SqliteWriter(database) if database.sqlite else PostgresWriter(database.url)


@asynccontextmanager
async def ledger(url: str):
    database = Database(url, service="funds")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
    writer = writer_of(database)
    await writer.start()
    try:
        yield database, writer
    finally:
        await writer.stop()
        await database.close()


async def whole(database: Database) -> dict[str, object]:
    """Everything the ledger holds, for comparing before and after."""
    async with database.read() as tx:
        state = {
            table.name: [tuple(row) for row in await tx.execute(select(table).order_by(*table.primary_key.columns))]
            for table in (store.account, store.entry, store.posting)
        }
        state["heads"] = [tuple(row) for row in await tx.execute(select(store.book).order_by(store.book.c.book))]
        state["facts"] = (await tx.execute(select(func.count()).select_from(tables.outbox))).scalar_one()
        return state


async def head_of(tx, code: str) -> domain.Head:
    row = (await tx.execute(select(store.book).where(store.book.c.book == code))).one_or_none()
    return domain.Head(row.seq, bytes(row.link)) if row else domain.genesis(code)


async def fen_in(tx, *keys: AccountKey) -> list[int]:
    found = await store.balances(tx, "610926", keys)
    return [found[key][1] for key in keys]


async def consistent(database: Database) -> None:
    """The invariants of the ledger, each read from the tables alone."""
    async with database.read() as tx:
        for code in ("610926", "610924"):
            head = domain.genesis(code)
            for row in await store.linked(tx, code, after=0, limit=100_000):
                assert row.seq == head.seq + 1
                assert bytes(row.link) == domain.link(head.link, row.seq, domain.digest_of(bytes(row.body)))
                head = domain.Head(row.seq, bytes(row.link))
            assert await head_of(tx, code) == head
        posted = select(store.posting.c.account_id, func.sum(store.posting.c.amount_fen)).group_by(
            store.posting.c.account_id
        )
        sums = {id: int(fen) for id, fen in await tx.execute(posted)}
        balances = {row.id: row.balance_fen for row in await tx.execute(select(store.account))}
        assert balances == sums
        by_earmark = select(func.sum(store.account.c.balance_fen)).group_by(
            store.account.c.book, store.account.c.earmark
        )
        assert all(int(fen) == 0 for (fen,) in await tx.execute(by_earmark))


async def test_a_posted_command_is_there_with_its_balances_and_facts(database_url):
    async with ledger(database_url) as (database, writer):
        posted = await writer.post(receive("r", 100), lambda seq: [fact(seq)])
        assert (posted.seq, posted.replayed) == (1, False)
        async with database.read() as tx:
            assert await fen_in(tx, key("fund", "F1"), key("source", "F1")) == [100, -100]
            row = await store.find_entry(tx, "610926", 1, EVERYWHERE)
            assert row is not None
            assert bytes(row["body"]) == receive("r", 100).body
        assert (await whole(database))["facts"] == 1
        await consistent(database)


async def test_the_same_ref_and_request_gives_the_first_answer_and_does_nothing(database_url):
    async with ledger(database_url) as (database, writer):
        first = await writer.post(receive("r", 100), lambda seq: [fact(seq)])
        before = await whole(database)
        again = await writer.post(
            receive("r", 100, recorded_at=datetime(2016, 11, 9, tzinfo=UTC)), lambda seq: [fact(seq)]
        )
        assert (again.seq, again.link, again.recorded_at, again.replayed) == (1, first.link, AT, True)
        with pytest.raises(IdempotencyKeyReused):
            await writer.post(receive("r", 101))
        assert await whole(database) == before


async def test_a_money_route_finds_the_first_answer_before_its_gates(database_url):
    async with ledger(database_url) as (database, writer):
        command = receive("r", 100)
        await writer.post(command)
        async with database.read() as tx:
            found = await store.find_posted(tx, "610926", "r", command.request_hash)
            assert found is not None
            assert (found.seq, found.replayed) == (1, True)
            assert await store.find_posted(tx, "610926", "new", command.request_hash) is None
            with pytest.raises(IdempotencyKeyReused):
                await store.find_posted(tx, "610926", "r", b"other")


async def test_a_business_act_is_posted_once_under_any_key(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("a", 100, once="paid:T1"))
        before = await whole(database)
        with pytest.raises(AlreadyDone) as refused:
            await writer.post(receive("b", 100, once="paid:T1"))
        assert refused.value.facts == {"once": "paid:T1", "seq": 1}
        assert await whole(database) == before
        async with database.read() as tx:
            assert await store.known_onces(tx, "610926", ["paid:T1", "paid:T2"]) == {"paid:T1": 1}


async def test_an_overdraft_is_refused_and_put_on_record_once(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 100))
        before = await whole(database)
        for _ in range(2):
            with pytest.raises(InsufficientFunds) as refused:
                await writer.post(move("p", 101, key("fund", "F1"), key("project", "never:1")))
        assert refused.value.facts == {"account": "fund/F1/F1", "available_fen": 100, "needed_fen": 101}
        after = await whole(database)
        assert after["ledger_account"] == before["ledger_account"]
        assert after["ledger_posting"] == before["ledger_posting"]
        assert [row[2] for row in after["ledger_entry"]] == ["moved", "refused"]
        await consistent(database)


async def test_commands_waiting_together_share_one_commit_and_a_refused_one_is_refused_alone(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 1_000))
        before = writer.batches
        pays = [writer.post(move(f"p{i}", 100, key("fund", "F1"), key("project", str(i)))) for i in range(12)]
        answers = await asyncio.gather(*pays, return_exceptions=True)
        assert [isinstance(a, InsufficientFunds) for a in answers] == [False] * 10 + [True] * 2
        assert writer.batches - before == 2  # the payments, then the two refusals on record
        await consistent(database)


async def test_a_poison_command_is_refused_alone(database_url):
    async with ledger(database_url) as (database, writer):

        def poison(seq: int):
            raise ValueError("cannot be told")

        posts = [writer.post(receive(f"r{i}", 10), poison if i == 3 else (lambda seq: [fact(seq)])) for i in range(7)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert [isinstance(a, ValueError) for a in answers] == [i == 3 for i in range(7)]
        state = await whole(database)
        assert (len(state["ledger_entry"]), state["facts"]) == (6, 6)
        await consistent(database)


async def test_many_callers_on_one_hot_account_lose_nothing(database_url):
    async with ledger(database_url) as (database, writer):
        random.seed(1)
        await writer.post(receive("r", 200 * 7))
        posts = [writer.post(move(f"p{i}", 7, key("fund", "F1"), key("household", str(i % 50)))) for i in range(256)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert sum(isinstance(a, InsufficientFunds) for a in answers) == 56
        assert not [a for a in answers if isinstance(a, Exception) and not isinstance(a, InsufficientFunds)]
        assert sorted(a.seq for a in answers if not isinstance(a, Exception)) == list(range(2, 202))
        await consistent(database)


async def test_a_ring_of_transfers_never_locks_up(database_url):
    async with ledger(database_url) as (database, writer):
        ring = [key("project", str(i)) for i in range(8)]
        for i, place in enumerate(ring):
            await writer.post(move(f"s{i}", 100, key("source", "F1"), place))
        posts = [writer.post(move(f"m{i}", 10, ring[i % 8], ring[(i + 1) % 8])) for i in range(160)]
        await asyncio.wait_for(asyncio.gather(*posts), 30)
        await consistent(database)


async def test_two_writers_of_two_processes_share_a_book(database_url):
    async with ledger(database_url) as (database, first):
        elsewhere = Database(database_url, service="funds")
        second = writer_of(elsewhere)
        await second.start()
        for round in range(5):
            posts = [w.post(receive(f"r{round}-{i // 2}", 10)) for i in range(40) for w in (first, second)]
            answers = await asyncio.gather(*posts)
            assert len({a.seq for a in answers}) == 20
        await second.stop()
        await elsewhere.close()
        await consistent(database)
        assert len((await whole(database))["ledger_entry"]) == 100


async def test_each_county_has_a_book_and_a_chain_of_its_own(database_url):
    async with ledger(database_url) as (database, writer):
        posts = [
            writer.post(receive(f"r{i}", 10, county=county)) for i in range(5) for county in (COUNTY, OTHER_COUNTY)
        ]
        answers = await asyncio.gather(*posts)
        assert [a.seq for a in answers] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        async with database.read() as tx:
            assert await store.books(tx, EVERYWHERE) == ["610924", "610926"]
            assert await store.books(tx, Area.of([COUNTY])) == ["610926"]
            assert (await head_of(tx, "610924")).link != (await head_of(tx, "610926")).link
        await consistent(database)


async def test_a_stopping_writer_writes_what_waits_and_takes_no_more(database_url):
    async with ledger(database_url) as (database, writer):
        posts = [asyncio.ensure_future(writer.post(receive(f"r{i}", 10))) for i in range(30)]
        await asyncio.sleep(0)
        await writer.stop()
        assert len({p.result().seq for p in posts}) == 30
        with pytest.raises(Stopped):
            await writer.post(receive("late", 10))
        await consistent(database)


async def test_the_queue_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "QUEUE_COMMANDS", 3)
    async with ledger(f"sqlite:///{tmp_path / 'l.db'}") as (_, writer):
        answers = await asyncio.gather(*(writer.post(receive(f"r{i}", 10)) for i in range(5)), return_exceptions=True)
        assert [isinstance(a, Busy) for a in answers] == [False, False, False, True, True]


async def test_a_database_that_does_not_answer_is_said_to_all_who_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "BACKOFF_S", 0.001)
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'l.db'}", service="funds")
    writer = writer_of(database)
    await writer.start()
    answers = await asyncio.gather(*(writer.post(receive(f"r{i}", 10)) for i in range(5)), return_exceptions=True)
    assert {type(a) for a in answers} == {NotWritten}
    await writer.stop()
    await database.close()


async def test_a_caller_who_left_is_passed_over_and_the_others_are_served(tmp_path):
    async with ledger(f"sqlite:///{tmp_path / 'l.db'}") as (database, writer):
        posts = [asyncio.ensure_future(writer.post(receive(f"r{i}", 10))) for i in range(3)]
        await asyncio.sleep(0)
        posts[1].cancel()
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0].seq, answers[2].seq] == [1, 2]
        await consistent(database)


async def test_a_batch_has_limits_in_commands_and_in_postings(tmp_path, monkeypatch):
    async with ledger(f"sqlite:///{tmp_path / 'l.db'}") as (_, writer):
        monkeypatch.setattr(writers, "BATCH_COMMANDS", 4)
        await asyncio.gather(*(writer.post(receive(f"a{i}", 10)) for i in range(9)))
        assert writer.batches == 3
        monkeypatch.setattr(writers, "BATCH_POSTINGS", 4)
        await asyncio.gather(*(writer.post(receive(f"b{i}", 10)) for i in range(6)))
        assert writer.batches == 6


async def test_one_entry_pays_a_whole_county(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 6_000))
        paid = Command(
            book="610926", kind="paid", ref="p", actor="a", effective_on=date(2016, 11, 1), recorded_at=AT, division=COUNTY,
            postings=(Posting(key("fund", "F1"), -6_000, COUNTY),
                      *(Posting(key("household", f"H{i:05}"), 1, "610926100201") for i in range(6_000))),
        )  # fmt: skip
        await writer.post(paid)
        async with database.read() as tx:
            assert await store.sums(tx, Area.of(["610926100000"]), ["F1"]) == {("F1", "household"): 6_000}
            assert len(await store.balances(tx, "610926", [p.account for p in paid.postings])) == 6_001
        await consistent(database)


@pytest.mark.rule("FND-009")
async def test_one_project_pools_several_funds_and_each_stays_traceable(database_url):
    async with ledger(database_url) as (database, writer):
        for fund, fen in (("F1", 300), ("F2", 200)):
            await writer.post(move(f"r{fund}", fen, key("source", fund, fund), key("fund", fund, fund)))
            await writer.post(move(f"a{fund}", fen, key("fund", fund, fund), key("project", "P1", fund)))
        lines = [
            Posting(AccountKey(kind, owner, fund), fen, COUNTY)
            for fund, fen in (("F1", 30), ("F2", 20))
            for kind, owner, fen in (("project", "P1", -fen), ("household", "H1", fen))
        ]
        await writer.post(move("p", 1, key("fund"), key("project"), postings=tuple(lines)))
        async with database.read() as tx:
            accounts = [
                key(kind, owner, fund)
                for kind, owner in (("project", "P1"), ("household", "H1"))
                for fund in ("F1", "F2")
            ]
            assert await fen_in(tx, *accounts) == [270, 180, 30, 20]
        await consistent(database)


async def test_entries_are_listed_by_account_and_kept_to_the_area(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 100))
        await writer.post(move("p", 40, key("fund", "F1"), key("project", "P1")))
        await writer.post(receive("s", 100))
        async with database.read() as tx:
            of_project = await store.page_entries(
                tx, "610926", EVERYWHERE, after=0, limit=10, account_name="project/P1/F1"
            )
            assert [row["seq"] for row in of_project] == [2]
            page = await store.page_entries(tx, "610926", EVERYWHERE, after=1, limit=1)
            assert [row["seq"] for row in page] == [2]
            elsewhere = Area.of(["610926100000"])
            assert await store.page_entries(tx, "610926", elsewhere, after=0, limit=10) == []
            assert await store.find_entry(tx, "610926", 1, elsewhere) is None
            assert await store.records(tx, "610926", [1], elsewhere) == {}


@pytest.mark.parametrize("table", ["entry", "posting", "account"])
async def test_what_was_posted_cannot_be_changed_or_deleted(database_url, table):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 100))
        before = await whole(database)
        rows = getattr(store, table)
        for statement in (delete(rows), update(rows).values(division=OTHER_COUNTY)):
            with pytest.raises(DBAPIError, match="append-only"):
                async with database.write() as tx:
                    await tx.execute(statement)
        assert await whole(database) == before


async def test_the_database_itself_refuses_an_overdraft(database_url):
    async with ledger(database_url) as (database, writer):
        await writer.post(receive("r", 100))
        with pytest.raises(DBAPIError):
            async with database.write() as tx:
                await tx.execute(update(store.account).where(store.account.c.kind == "fund").values(balance_fen=-1))


class AgainstAModel(RuleBasedStateMachine):
    """Random commands, posted alone or together, against a few dictionaries that say exactly what must be answered."""

    places = (
        key("source", "F1"),
        key("fund", "F1"),
        key("project", "1"),
        key("project", "2"),
        key("hold", "1"),
        key("household", "1"),
    )

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.manager = ledger(f"sqlite:///{self.folder.name}/l.db")
        self.database, self.writer = self.runner.run(self.manager.__aenter__())
        self.money: dict[AccountKey, int] = {}
        self.refs: dict[str, tuple[bytes, int]] = {}
        self.done: dict[str, int] = {}
        self.refused: set[str] = set()
        self.seq = 0

    def teardown(self) -> None:
        self.runner.run(self.manager.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()

    def expect(self, command: Command) -> tuple[str, int | None]:
        """(the answer's code, the entry's number) as the model has it; the model moves on."""
        if (known := self.refs.get(command.ref)) is not None:
            return ("again", known[1]) if known[0] == command.request_hash else ("idempotency_key_reused", known[1])
        if command.once in self.done:
            return "already_done", self.done[command.once]
        payer, payee = command.postings
        if payer.account.kind != "source" and self.money.get(payer.account, 0) < -payer.amount_fen:
            self.refused.add(domain.refusal_of(command, InsufficientFunds("")).ref)
            return "insufficient_funds", None
        for posting in (payer, payee):
            self.money[posting.account] = self.money.get(posting.account, 0) + posting.amount_fen
        self.seq += 1
        self.refs[command.ref] = command.request_hash, self.seq
        if command.once:
            self.done[command.once] = self.seq
        return "posted", self.seq

    commands = st.builds(
        lambda ref, fen, pair, once: move(f"r{ref}", fen, *pair, once=once and f"o{once}"),
        st.integers(0, 40),
        st.integers(1, 60),
        st.permutations(places).map(lambda p: p[:2]) | st.just(places[:2]),
        st.none() | st.integers(1, 9),
    )

    @rule(batch=st.lists(commands, min_size=1, max_size=8))
    def post(self, batch) -> None:
        async def run():
            return await asyncio.gather(*(self.writer.post(c) for c in batch), return_exceptions=True)

        expected = [self.expect(command) for command in batch]
        answers = self.runner.run(run())
        for (code, seq), answer in zip(expected, answers, strict=True):
            if code in ("posted", "again"):
                assert (answer.seq, answer.replayed) == (seq, code == "again")
            else:
                assert answer.code == code
                assert seq is None or answer.facts["seq"] == seq
        self.seq = self.runner.run(self.head())  # refusals put on record take numbers too

    async def head(self) -> int:
        async with self.database.read() as tx:
            return (await head_of(tx, "610926")).seq

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        async def check():
            async with self.database.read() as tx:
                found = await store.balances(tx, "610926", self.places)
                assert {k: fen for k, (_, fen) in found.items()} == self.money
                refusals = (
                    await tx.execute(select(store.entry.c.ref).where(store.entry.c.kind == "refused"))
                ).scalars()
                assert set(refusals) == self.refused
            await consistent(self.database)

        self.runner.run(check())


AgainstAModel.TestCase.settings = hypothesis_settings(max_examples=25, stateful_step_count=12, deadline=None)
TestAgainstAModel = AgainstAModel.TestCase
