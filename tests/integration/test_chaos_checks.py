"""Each check of chaos finds the fault that it is for: planted in a copy of a month in which nothing is wrong."""

import shutil
import signal
import sqlite3
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from demo.month import STARTS_AT
from demo.server import Server
from services.catalogue import NAMES, part
from tests.chaos import checks, report
from tests.chaos.months import Month, Witness
from tests.chaos.plan import LEAST_AT_POINT, Named, draw
from tests.chaos.run import Outcome
from tests.integration.cluster import BASE, SECRETS, Process
from tests.integration.composed import COMPOSE, parts
from tests.integration.conftest import Lived
from tests.servers import until

PLANTED = {
    "nothing is paid twice": ("funds", "insert into ledger_posting select book, seq, line + 1000, account_id, division, amount_fen from ledger_posting where amount_fen > 0 and seq = (select max(seq) from ledger_entry where kind = 'paid') limit 1"),
    "each household received what its lists say": ("funds", "update ledger_posting set amount_fen = amount_fen + 1 where (seq, line) in (select seq, max(line) from ledger_posting where seq = (select seq from ledger_entry where kind = 'paid'))"),
    "balances are the sums of their postings": ("funds", "update ledger_account set balance_fen = balance_fen + 1 where kind = 'fund'"),
    "acknowledged money stands in the ledger once": ("funds", "delete from ledger_entry where kind = 'paid'"),
    "nobody is prompted twice": ("notify", "insert into console_message (message_id, phone_index, phone_masked, text, parts, received_at) select 'again', phone_index, phone_masked, text, parts, received_at from console_message limit 1"),
    "every prompt arrived": ("notify", "update prompt set state = 'sending' where id = (select min(id) from prompt)"),
    "no dead letters": ("assessment", "insert into dead_letter (\"group\", topic, partition, offset, key, headers, body, state, error, tries, at) values ('daohu.assessment', 't', 0, 0, 'k', '{}', '', 'discarded', 'planted', 1, '2016-11-01')"),
    "outboxes are empty": ("registry", "update outbox set published_at = null where id = 1"),
}  # fmt: skip
"""Check → the service whose database gets the statement, with its triggers taken away."""


def urls_of(home: Path) -> dict[str, str]:
    return {name: part(name).settings.of(home=home).url for name in NAMES}


@pytest.fixture
def home(undisturbed: Lived, tmp_path: Path) -> Path:
    shutil.copytree(undisturbed.home, tmp_path / "home")
    return tmp_path / "home"


def plant(home: Path, service: str, statement: str) -> None:
    with sqlite3.connect(home / f"{service}.db") as database:
        for (trigger,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f"drop trigger {trigger}")
        assert database.execute(statement).rowcount > 0


def test_a_month_in_which_nothing_is_wrong_passes(undisturbed: Lived) -> None:
    found = checks.of_databases(urls_of(undisturbed.home), undisturbed.acknowledged)
    assert found.keys() >= PLANTED.keys()
    assert not any(found.values()), found
    assert not checks.not_kept(urls_of(undisturbed.home), undisturbed.acknowledged)


@pytest.mark.parametrize("check", PLANTED)
def test_the_fault_is_found(check: str, home: Path, undisturbed: Lived) -> None:
    plant(home, *PLANTED[check])
    assert checks.of_databases(urls_of(home), undisturbed.acknowledged)[check]


ANSWERS_LOST = {
    "sms": ("notify", "delete from idempotency where key = (select max(key) from idempotency where key like 'month:sms:%')"),
    "visits": ("registry", "update idempotency set body = cast(body || ' ' as blob) where key = (select max(key) from idempotency where key like 'month:visits:%')"),
}  # fmt: skip
"""Acts that do the same when they are done twice: only the answer itself shows that it was lost, or is another."""


@pytest.mark.parametrize("act", ANSWERS_LOST)
def test_an_answer_that_is_not_kept_as_it_was_is_found(act: str, home: Path, undisturbed: Lived) -> None:
    plant(home, *ANSWERS_LOST[act])
    [found] = checks.not_kept(urls_of(home), undisturbed.acknowledged)
    assert found.startswith(f"{act}:")


def test_another_answer_to_a_repeated_act_is_found(home: Path, undisturbed: Lived) -> None:
    """Of two acts the answer is gone: one is done once more, the other is refused by then. A third is answered as before."""
    again, refused, kept = "score:run", "exit:announcement", "identification:announcement"
    for service, act in (("assessment", again), ("registry", refused)):
        plant(home, service, f"delete from idempotency where key = 'month:{act}'")
    acts = {act.name: act for act in undisturbed.acknowledged}
    server = Server(home, STARTS_AT)
    server.start()
    try:
        with Witness(server.url, home) as driver:
            for name in (again, refused, kept):
                driver.acknowledge(acts[name])
            driver.repeat(all_of_them=True)
    finally:
        server.stop()
    assert [line.partition(": ")[0] for line in driver.changed] == [again, refused]


def test_a_process_that_ends_by_itself_is_found_with_what_it_said(tmp_path: Path) -> None:
    part_of_file = parts(COMPOSE, SECRETS)["registry-api"]
    argv = [sys.executable, "-c", "print('why'); raise SystemExit(3)"]
    process = Process(part_of_file, "registry-api-1", 0, argv, BASE, "", tmp_path / "registry-api-1.log")
    process.start()
    until(lambda: not process.runs, 30, "its end")
    process.look_after()
    killed = Process(part_of_file, "registry-api-2", 0, ["sleep", "60"], BASE, "", tmp_path / "registry-api-2.log")
    killed.start()
    killed.signal(signal.SIGKILL)
    until(lambda: not killed.runs, 30, "its end")
    killed.look_after()
    assert checks.ended_by_themselves([process, killed]) == ["registry-api-1: 3: why"]


def test_a_killed_process_takes_its_children_with_it(tmp_path: Path) -> None:
    """As a container does: the origin's own workers would keep its port."""
    log = tmp_path / "origin-1.log"
    origin = Process(
        parts(COMPOSE, SECRETS)["origin"], "origin-1", 0, ["sh", "-c", "sleep 60 & echo $!; wait"], BASE, "", log
    )
    origin.start()
    until(lambda: log.exists() and log.read_text().endswith("\n"), 30, "its child")
    child = Path("/proc", log.read_text().strip(), "stat")
    assert child.exists()
    origin.signal(signal.SIGKILL)
    until(lambda: not child.exists() or " Z " in child.read_text(), 30, "the end of both")


def test_a_row_that_is_lost_or_made_is_found(undisturbed: Lived) -> None:
    month = undisturbed.month
    row = next(iter(month.rows))
    for rows, word in ((month.rows - Counter([row]), "lost"), (month.rows + Counter([row]), "made")):
        [found] = checks.of_months(month, replace(month, rows=rows))["the canonical dump is the same"]
        assert found.startswith(f"{word} 1 ×")


def test_another_course_of_the_month_is_found(undisturbed: Lived) -> None:
    month = undisturbed.month
    other = Month({**month.came_of_it, "sms": {}}, month.acts[:-1], month.summary, month.rows)
    found = checks.of_months(month, other)
    assert found["the same acts were done"] == [f"{month.acts[-1]} ≠ None"]
    assert [line.partition(":")[0] for line in found["the same came of them"]] == ["sms"]


def outcome(**other: object) -> Outcome:
    enough = dict.fromkeys(Named, LEAST_AT_POINT)
    good = Outcome(1, {"funds-api anywhere": 100}, enough, 0, 1, 1, 1.0, {"check": []})
    return replace(good, **other)  # type: ignore[arg-type]


def test_a_run_holds_only_if_enough_was_killed_and_nothing_is_wrong() -> None:
    runs = (
        outcome(),
        outcome(by_place={"funds-api anywhere": 99}),
        outcome(by_name={**dict.fromkeys(Named, LEAST_AT_POINT), Named.REBALANCE: LEAST_AT_POINT - 1}),
        outcome(findings={"check": ["wrong"]}),
    )
    assert [report.holds(report.row(run, 100, LEAST_AT_POINT)) for run in runs] == [True, False, False, False]


def test_the_same_seed_draws_the_same_plan(undisturbed: Lived) -> None:
    acts = undisturbed.month.acts
    assert draw(acts, 1, 100) == draw(acts, 1, 100) != draw(acts, 2, 100)
    assert len(draw(acts, 1, 100)) >= 100
    assert len(draw(acts, 1, 10)) == 10


def test_the_last_long_run_held_and_the_document_shows_it() -> None:
    run = report.last()
    assert report.holds(run)
    assert run["kills"]["done"] >= 100
    assert {name for name, times in run["by_name"].items() if times >= LEAST_AT_POINT} == set(Named)
    assert report.documented() == report.text(run)
