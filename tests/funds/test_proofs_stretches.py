"""A book of several pages, verified in stretches: the same findings as in one go, and a right page is never taken apart."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from services.funds.api import ROUTERS
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.ledger.service import open_ledger
from services.funds.proofs import sequencer, stretch
from services.funds.proofs import store as log_store
from services.funds.proofs.audit import verify_database
from services.funds.proofs.stretch import MAX_PROBLEMS, PAGE
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared.testing import COUNTY, TOWN, running, settings_for

ENTRIES = 2 * PAGE + 100
FUND, PROJECT = AccountKey("fund", "F1", "F1"), AccountKey("project", "P1", "F1")
FREED = [
    f"drop trigger {table}_no_{act}"
    for table in ("ledger_entry", "ledger_posting", "log_checkpoint")
    for act in ("update", "delete")
]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The database of a sealed book, and its latest checkpoint."""
    home = tmp_path_factory.mktemp("book")

    return home / "funds.db", asyncio.run(sealed(home, lambda now: [entry(now, n) for n in range(ENTRIES)]))


async def sealed(home: Path, commands: Callable[[datetime], list[Command]]) -> str:
    settings = settings_for(Settings, home)
    async with running(settings, metadata, ROUTERS, resources={"ledger": open_ledger}) as live:
        await asyncio.gather(*(live.app.state.ledger.post(command) for command in commands(live.clock.now())))
        await sequencer.seal(live.service)
        async with live.service.database.read() as tx:
            return (await log_store.latest(tx, "610926"))[1]


def entry(now, n: int) -> Command:
    there, here = (AccountKey("source", "F1", "F1"), FUND) if n % 2 == 0 else (FUND, PROJECT)
    return Command(
        book="610926", kind="received", ref=f"r{n}", actor="finance-1", effective_on=now.date(), recorded_at=now,
        division=COUNTY, postings=(Posting(there, -100, COUNTY), Posting(here, 100, TOWN if here is PROJECT else COUNTY)),
    )  # fmt: skip


@pytest.fixture
def copy(book, tmp_path) -> Path:
    """The database, free to be changed."""
    path = tmp_path / "funds.db"
    with closing(sqlite3.connect(book[0])) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        for statement in FREED:
            target.execute(statement)
        target.commit()
    return path


def edited(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as sql:
        for statement in statements:
            sql.execute(statement)
        sql.commit()
    return path


async def found(path: Path, note: str, *, stretches: bool, log_only: bool = False):
    report = await verify_database(str(path), note, (), log_only=log_only, stretch=1 if stretches else ENTRIES)
    return report.exit_code, [problem.entry for problem in report.problems], len(report.entries)


@pytest.mark.parametrize("stretches", [False, True])
async def test_a_right_book_is_right(book, stretches):
    assert await found(*book, stretches=stretches) == (0, [], ENTRIES)


async def test_a_right_page_is_checked_at_once(book, monkeypatch):
    def never(*_: object) -> bytes:
        raise AssertionError("an entry of a right page was looked at by itself")

    monkeypatch.setattr(stretch._Reader, "_entry", never)
    assert await found(*book, stretches=False) == (0, [], ENTRIES)


WRONG = {
    "a body in each page": (
        [f"update ledger_entry set body = body || ' ' where seq in (7, {PAGE + 7}, {2 * PAGE + 7})"],
        [7, PAGE + 7, 2 * PAGE + 7],
    ),
    "the last entry of a page": ([f"update ledger_entry set memo = 'x' where seq = {PAGE}"], [PAGE]),
    "the first of the next": ([f"update ledger_posting set amount_fen = 1 where seq = {PAGE + 1} and line = 1"], [PAGE + 1, None]),
    "the last entry of a page taken out": ([f"delete from ledger_entry where seq = {PAGE}"], [PAGE, PAGE + 1]),
    "a signed root": ([f"update log_checkpoint set root = zeroblob(32) where size = {ENTRIES}"], [None]),
}  # fmt: skip


@pytest.mark.parametrize("edit", WRONG)
async def test_an_edit_is_named_in_one_go_and_in_stretches(book, copy, edit):
    statements, entries = WRONG[edit]
    edited(copy, *statements)
    for stretches in (False, True):
        code, named, _ = await found(copy, book[1], stretches=stretches)
        assert (code, named[: len(entries)]) == (1, entries)


async def test_an_account_that_is_there_twice_is_named(book, copy):
    """A posting moved to its double reads as before."""
    edited(
        copy,
        "create table free as select * from ledger_account",
        "drop table ledger_account",
        "insert into free select id + 1000, book, name, kind, owner, earmark, division, may_overdraw, -100 from free where kind = 'source'",
        "update free set balance_fen = balance_fen + 100 where kind = 'source' and id < 1000",
        "update ledger_posting set account_id = account_id + 1000 where seq = 1 and line = 0",
        "alter table free rename to ledger_account",
    )
    report = await verify_database(str(copy), book[1], ())
    assert [str(problem) for problem in report.problems] == ["account source/F1/F1 is there twice"]


async def test_entries_that_look_like_the_frame_of_their_postings_are_right_and_their_edits_named(tmp_path):
    said = [
        {"ref": '],"recorded_at":"}'},
        {"ref": "r2", "memo": ',"postings":['},
        {"ref": "r3", "details": {"postings": [1], "recorded_at": "x"}},
    ]
    note = await sealed(tmp_path, lambda now: [replace(entry(now, 0), request_hash=b"", **special) for special in said])
    path = tmp_path / "funds.db"
    assert await found(path, note, stretches=False) == (0, [], 3)
    edited(path, *FREED, "update ledger_posting set division = '610926199000' where seq = 3 and line = 1")
    assert await found(path, note, stretches=False) == (1, [3, None, None], 3)  # and the sums of two divisions


async def test_pages_taken_out_are_missing_and_the_check_ends_early(book, copy):
    edited(copy, f"delete from ledger_entry where seq between 100 and {PAGE + 100}")
    code, named, _ = await found(copy, book[1], stretches=True)
    assert (code, named[:MAX_PROBLEMS]) == (1, list(range(100, 100 + MAX_PROBLEMS)))


async def test_the_log_alone_is_checked_without_columns_and_postings(book, copy):
    edited(
        copy,
        "update ledger_entry set memo = 'x' where seq = 9",
        "update ledger_posting set amount_fen = 1 where seq = 9",
    )
    assert await found(copy, book[1], stretches=True, log_only=True) == (0, [], ENTRIES)
    edited(copy, "update ledger_entry set body = body || ' ' where seq = 9")
    assert (await found(copy, book[1], stretches=True, log_only=True))[:2] == (1, [9])
