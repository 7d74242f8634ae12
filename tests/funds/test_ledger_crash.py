"""kill -9 of writers, backends and the server under load: what was answered is there once, with its number, and all adds up."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest
from ledger_desk import consistent, fact_about, key, ledger, move, receive
from sqlalchemy import select

from services.funds.ledger import pipe, statements, store
from services.funds.ledger import writer as writers
from services.funds.ledger.writer import NotWritten, Writer
from shared import tables
from shared.db import Database
from tests.servers import until
from tests.servers.postgres import Postgres

WORKER = Path(__file__).with_name("ledger_worker.py")
SOON_S = 60.0
LOAD = 400
"""Answers of each worker before a strike, and again after it."""

OF_WRITERS = "from pg_stat_activity where application_name = 'daohu-ledger' and datname = current_database()"


@pytest.fixture
def url(own_postgres: Postgres):
    name = own_postgres.take()
    yield own_postgres.url(name)
    own_postgres.give_back(name)


class Workers:
    """Processes with a writer each, over one database."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self.url, self._folder, self._stack = url, folder, stack
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, tag: str, **environment: str) -> None:
        line = [sys.executable, str(WORKER), self.url, tag, str(self.file(tag))]
        self.running[tag] = process = subprocess.Popen(line, env={**os.environ, **environment})
        self._stack.callback(lambda: (process.kill(), process.wait()))

    def file(self, tag: str) -> Path:
        return self._folder / f"answers-{tag}"

    def answers(self, tag: str) -> list[tuple[str, int]]:
        """Whole lines: a killed process may leave half of one, which nobody was told."""
        text = self.file(tag).read_text() if self.file(tag).exists() else ""
        return [
            (ref, int(seq))
            for ref, seq in (line.split() for line in text.splitlines(keepends=True) if line.endswith("\n"))
        ]

    def work_on(self) -> None:
        """Until each of those that run has been answered so many times more."""
        goal = {tag: len(self.answers(tag)) + LOAD for tag in self.running}
        until(lambda: all(len(self.answers(tag)) >= n for tag, n in goal.items()), SOON_S, "answers of every worker")

    def kill(self, tag: str) -> None:
        process = self.running.pop(tag)
        process.kill()
        process.wait()


def kill_a_writer(workers: Workers, server: Postgres) -> None:
    workers.kill("a")
    workers.work_on()
    workers.start("a2")


def freeze_a_writer(workers: Workers, server: Postgres) -> None:
    """It may hold the turn: the other waits for it no longer than LOCK_S, and gets it after HELD_IDLE_S."""
    frozen = workers.running.pop("a")
    frozen.send_signal(signal.SIGSTOP)
    workers.work_on()
    frozen.send_signal(signal.SIGCONT)
    workers.running["a"] = frozen


def kill_a_backend(workers: Workers, server: Postgres) -> None:
    with psycopg.connect(workers.url) as connection:
        [(pid,)] = connection.execute(f"select pid {OF_WRITERS} limit 1").fetchall()
    os.kill(pid, signal.SIGKILL)  # the server ends all others too, and recovers


def end_the_connections(workers: Workers, server: Postgres) -> None:
    with psycopg.connect(workers.url) as connection:
        connection.execute(f"select pg_terminate_backend(pid) {OF_WRITERS}")


def kill_the_server(workers: Workers, server: Postgres) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "strike", [kill_a_writer, freeze_a_writer, kill_a_backend, end_the_connections, kill_the_server]
)
async def test_what_was_answered_is_there_once_with_its_number(
    strike: Callable[[Workers, Postgres], None], own_postgres: Postgres, url: str, tmp_path: Path
):
    async with ledger(url):
        pass  # makes the tables
    with ExitStack() as stack:
        workers = Workers(url, tmp_path, stack)
        for tag in "ab":
            workers.start(tag)
        workers.work_on()
        strike(workers, own_postgres)
        workers.work_on()
        for tag in list(workers.running):
            workers.kill(tag)
    await everything_stands(workers)


@pytest.mark.parametrize("point", ["ledger_before_commit", "ledger_after_commit"])
async def test_a_writer_killed_inside_a_batch_holds_nobody_up(point: str, url: str, tmp_path: Path):
    async with ledger(url):
        pass
    reached = tmp_path / "reached"
    with ExitStack() as stack:
        workers = Workers(url, tmp_path, stack)
        workers.start("b")
        workers.start("a", DAOHU_FAULT=f"funds.{point}:9", DAOHU_FAULT_FILE=str(reached))
        until(reached.exists, SOON_S, point)
        workers.kill("a")
        workers.work_on()
        workers.kill("b")
    await everything_stands(workers)


async def everything_stands(workers: Workers) -> None:
    """Each answer with its number, one event an entry, and the invariants."""
    database = Database(workers.url, service="funds")
    async with database.read() as tx:
        of_money = select(store.entry.c.ref, store.entry.c.seq).where(store.entry.c.kind == "moved")
        posted = {row.ref: row.seq for row in await tx.execute(of_money)}
        told = (await tx.execute(select(tables.outbox.c.key))).scalars().all()
    for tag in ("a", "b", "a2"):
        assert [(ref, seq) for ref, seq in workers.answers(tag) if posted.get(ref) != seq] == []
    assert sorted(map(int, told)) == sorted(posted.values())
    await consistent(database)
    await database.close()


async def test_while_the_server_is_away_callers_are_told_and_the_loop_goes_on(
    own_postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writers, "BACKOFF_S", 0.02)
    async with ledger(url) as (database, writer):
        await writer.post(receive("before", 10))
        own_postgres.stop()
        turns = 0

        async def turn_round() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        beside = asyncio.create_task(turn_round())
        answers = await asyncio.gather(
            *(writer.post(receive(f"away{n}", 10)) for n in range(300)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {NotWritten}
        assert turns > 20
        beside.cancel()
        own_postgres.start()
        assert (await writer.post(receive("after", 10))).seq == 2
        await consistent(database)


async def test_a_server_that_hangs_is_given_up_and_its_last_batch_stands_once(
    own_postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipe, "ANSWER_S", 0.4)
    monkeypatch.setattr(pipe, "CONNECT_S", 2)
    async with ledger(url) as (database, writer):
        await writer.post(receive("before", 10))
        own_postgres.pause()
        post = asyncio.create_task(writer.post(receive("hanging", 10)))
        await asyncio.sleep(1.0)  # longer than ANSWER_S
        own_postgres.resume()
        posted = await post
        again = await writer.post(receive("hanging", 10))
        assert (again.seq, again.replayed, posted.seq) == (2, True, 2)
        await consistent(database)


async def test_batches_in_flight_that_are_lost_are_looked_up_and_written_once(url: str):
    async with ledger(url) as (database, writer):
        await writer.post(receive("first", 10))
        with psycopg.connect(url) as other:
            other.execute("select from ledger_book for update")
            posts = [asyncio.create_task(writer.post(receive(f"r{n}", 10))) for n in range(150)]
            async with asyncio.timeout(10):
                while writer.in_flight < 2:
                    await asyncio.sleep(0.005)
            other.execute(f"select pg_terminate_backend(pid) {OF_WRITERS}")
        assert sorted([(await post).seq for post in posts]) == list(range(2, 152))
        assert writer.redone == 1
        await consistent(database)


async def test_a_command_the_server_cannot_take_is_refused_alone(url: str):
    async with ledger(url) as (database, writer):
        await writer.post(receive("first", 10))
        wrong = [fact_about(receive("x", 10), 1, key="k" * 65)]
        posts = [writer.post(receive(f"r{n}", 10), lambda seq, n=n: wrong if n == 50 else []) for n in range(150)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert [str(a) for a in answers if isinstance(a, Exception)] == ["22001"]
        assert isinstance(answers[50], pipe.Failed)
        await consistent(database)


async def test_a_turn_that_nobody_gives_back_is_not_waited_for(url: str):
    async with ledger(url) as (database, writer):
        with psycopg.connect(url) as hanging:
            hanging.execute("select pg_advisory_lock(7301, 610926)")
            posts = [writer.post(receive(f"r{n}", 10)) for n in range(20)]
            assert len({(await post).seq for post in [asyncio.ensure_future(p) for p in posts]}) == 20
        await consistent(database)


async def test_writers_that_went_on_without_a_turn_take_turns_again_when_it_is_free(url: str):
    async with ledger(url) as (database, first), ledger(url) as (_, second):
        answered = {first: 0, second: 0}

        async def caller(writer: Writer, tag: str) -> None:
            for n in count():
                await writer.post(receive(f"{tag}-{n}", 10))
                answered[writer] += 1

        with psycopg.connect(url) as hanging:
            hanging.execute("select pg_advisory_lock(7301, 610926)")
            async with asyncio.TaskGroup() as group, asyncio.timeout(SOON_S):
                load = [group.create_task(caller(w, f"{k}{n}")) for k, w in enumerate(answered) for n in range(24)]
                while not any(answered.values()):
                    await asyncio.sleep(0.01)
                hanging.rollback()
                hanging.execute("select pg_advisory_unlock_all()")
                goal = {writer: n + LOAD for writer, n in answered.items()}
                while any(answered[writer] < n for writer, n in goal.items()):
                    await asyncio.sleep(0.01)
                for task in load:
                    task.cancel()
        await consistent(database)


async def test_a_writer_that_stands_still_loses_its_turn_and_knows_it(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statements, "HELD_IDLE_S", 0.5)
    async with ledger(url) as (_, writer):
        frozen = await pipe.Pipe.open(url, statements.STATEMENTS)
        await frozen.send(b"turn", *statements.turn_params(["610926"]))
        await writer.post(receive("r", 10))
        async with asyncio.timeout(SOON_S):
            while not frozen.closed:
                await asyncio.sleep(0.01)


async def test_a_writer_without_work_keeps_no_turn(url: str):
    async with ledger(url) as (_, writer):
        await writer.post(move("r", 10, key("source", "F1"), key("fund", "F1")))
        with psycopg.connect(url, autocommit=True) as other:
            async with asyncio.timeout(10):
                while other.execute("select count(*) from pg_locks where classid = 7301").fetchone() != (0,):
                    await asyncio.sleep(0.005)
