"""The writer on both databases: one commit for many, each refused alone, nothing lost, nothing twice."""

import asyncio
import random
from datetime import UTC, date, datetime

import pytest
from ledger_desk import (
    AT,
    COUNTY,
    OTHER_COUNTY,
    consistent,
    fact,
    fen_in,
    head_of,
    key,
    ledger,
    move,
    receive,
    whole,
    writer_of,
)
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from services.funds.ledger import store, sums
from services.funds.ledger import writer as writers
from services.funds.ledger.domain import (
    AccountKey,
    AlreadyDone,
    Command,
    IdempotencyKeyReused,
    InsufficientFunds,
    Posting,
)
from services.funds.ledger.writer import Busy, NotWritten, Stopped
from shared.db import Database
from shared.scope import EVERYWHERE, Area


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
            assert await sums.sums(tx, Area.of(["610926100000"]), ["F1"]) == {("F1", "household"): 6_000}
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


async def test_a_ref_the_writer_does_not_remember_is_answered_from_the_table_and_its_neighbours_are_written(
    database_url,
):
    async with ledger(database_url) as (database, first):
        posted = await first.post(receive("old", 100, once="act"))
        await first.stop()
        second = writer_of(database)
        await second.start()
        posts = [
            receive("a", 1),
            receive("old", 100, once="act"),
            receive("b", 1),
            receive("old", 7),
            receive("c", 1, once="act"),
        ]
        answers = await asyncio.gather(*(second.post(c) for c in posts), return_exceptions=True)
        assert [answers[0].seq, answers[2].seq] == [2, 3]
        assert (answers[1].seq, answers[1].link, answers[1].replayed) == (1, posted.link, True)
        assert isinstance(answers[3], IdempotencyKeyReused)
        assert isinstance(answers[4], AlreadyDone)
        await second.stop()
        await consistent(database)


async def test_commands_of_several_counties_share_one_commit(database_url):
    async with ledger(database_url) as (database, writer):
        counties = [f"6109{n}000000" for n in range(21, 31)]
        await asyncio.gather(*(writer.post(receive("r", 10, county=county)) for county in counties))
        before = writer.batches
        answers = await asyncio.gather(*(writer.post(receive("s", 10, county=county)) for county in counties))
        assert [a.seq for a in answers] == [2] * 10
        assert writer.batches - before == 1
        await consistent(database)
