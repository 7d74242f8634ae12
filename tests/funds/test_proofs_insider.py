"""Whatever an insider with all rights on the database does, `daohu verify` finds it and names the first bad entry."""

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proofs_insider import (
    ACTS,
    BOOK,
    HELD,
    LAST,
    LEDGER,
    LISTS,
    PAID,
    SEALED,
    Desk,
    Evidence,
    forge,
    live_a_while,
    sign_anew,
    write_anew,
)

from services.funds.ledger.domain import AccountKey, Posting
from services.funds.proofs.notes import BadNote
from services.funds.proofs.verify import OK, TRUNCATED, WRONG
from services.funds.tables import metadata
from shared.testing import COUNTY

PLACES = {"first": 1, "in the middle": PAID, "last sealed": SEALED, "not yet sealed": SEALED + 2}
OTHER = "(select digest from ledger_entry where seq = 2)"
MOVED_BY = 100
"""What an insider adds to a number while he lets two entries change places."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def evidence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    home, url = tmp_path_factory.mktemp("county"), ""
    if request.param == "sqlite":
        yield asyncio.run(live_a_while(url, home))
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.take()
    yield asyncio.run(live_a_while(postgres.url(name), home))
    postgres.give_back(name)


@pytest.fixture
def desk(evidence: Evidence, tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(evidence.url, tmp_path / "copy.db")
    yield opened
    opened.close()


async def test_the_untouched_copy_is_right_and_the_span_not_covered_is_named(evidence, desk):
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems, len(report.entries)) == (OK, [], LAST)
    assert report.notes == [
        f"entries {SEALED + 1} to {LAST} are newer than the checkpoint kept outside and not covered by it: "
        "only their chain was checked"
    ]


EDITS = {
    "a posting's amount": "update ledger_posting set amount_fen = amount_fen + 1 where seq = ? and line = 0",
    "a posting's household": "update ledger_posting set account_id = account_id + 1 where seq = ? and line = 1",
    "a posting's place": "update ledger_posting set division = '610926199000' where seq = ? and line = 1",
    "a posting's line": "update ledger_posting set line = 99 where seq = ? and line = 1",
    "the entry's bytes": f"update ledger_entry set body = {OTHER} where seq = ?",
    "its hash": f"update ledger_entry set digest = {OTHER} where seq = ?",
    "its link": f"update ledger_entry set link = {OTHER} where seq = ?",
    "what people read of it": "update ledger_entry set memo = 'x' where seq = ?",
    "who did it": "update ledger_entry set actor = 'another' where seq = ?",
    "a posting taken away": "delete from ledger_posting where seq = ? and line = 1",
    "a posting put in": "insert into ledger_posting select book, seq, 99, account_id, division, 5 from ledger_posting where seq = ? and line = 0",
    "its postings taken away": "delete from ledger_posting where seq = ?",
    "the entry deleted": "delete from ledger_entry where seq = ?",
    "a second entry of its number": "insert into ledger_entry select * from ledger_entry where seq = ?",
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_is_found_wherever_it_is(evidence, desk, edit):
    for where, seq in PLACES.items():
        desk.execute("begin")
        kept = {
            table: desk.rows(f"select * from {table} where seq = ?", seq)
            for table in ("ledger_entry", "ledger_posting")
        }
        desk.execute(EDITS[edit], seq)
        desk.execute("commit")
        report = await evidence.verify(desk)
        assert (report.exit_code, report.problems[0].entry) == (WRONG, seq), (where, report.problems)
        for table, rows in kept.items():
            desk.execute(f"delete from {table} where seq = ?", seq)
            for row in rows:
                desk.execute(f"insert into {table} values ({', '.join('?' * len(row))})", *row)
    assert (await evidence.verify(desk)).exit_code == OK


@pytest.mark.parametrize("where", PLACES)
async def test_a_deleted_entry_with_all_that_came_of_it_is_named(evidence, desk, where):
    seq = PLACES[where]
    moved = desk.rows("select account_id, amount_fen from ledger_posting where seq = ?", seq)
    for account, fen in moved:
        desk.execute("update ledger_account set balance_fen = balance_fen - ? where id = ?", fen, account)
    desk.execute("delete from ledger_posting where seq = ?", seq)
    desk.execute("delete from ledger_entry where seq = ?", seq)
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, seq), report.problems


@pytest.mark.parametrize("where", PLACES)
async def test_an_entry_put_in_between_is_named(evidence, desk, where):
    """All after it move up by one."""
    seq = PLACES[where]
    for table in ("ledger_entry", "ledger_posting"):
        columns = ", ".join(column.name for column in metadata.tables[table].columns if column.name != "seq")
        desk.execute(f"update {table} set seq = seq + 1 where seq > ?", seq)
        desk.execute(f"insert into {table} (seq, {columns}) select seq + 1, {columns} from {table} where seq = ?", seq)
    desk.execute("update ledger_book set seq = seq + 1")
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, seq + 1), report.problems


@pytest.mark.parametrize("where", PLACES)
async def test_two_entries_in_another_order_are_named(evidence, desk, where):
    seq = PLACES[where]
    for table in ("ledger_entry", "ledger_posting"):
        desk.execute(f"update {table} set seq = seq + {MOVED_BY} where seq in (?, ?)", seq, seq + 1)
        desk.execute(f"update {table} set seq = seq - {MOVED_BY - 1} where seq = {MOVED_BY} + ?", seq)
        desk.execute(f"update {table} set seq = seq - {MOVED_BY + 1} where seq = {MOVED_BY} + ?", seq + 1)
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, seq), report.problems


async def test_a_cut_tail_is_found_even_with_everything_made_to_fit(evidence, desk):
    for cut in (LAST - 1, SEALED - 1, PAID):
        for table in ("ledger_entry", "ledger_posting"):
            desk.execute(f"delete from {table} where seq > ?", cut)
        desk.execute(
            "update ledger_account set balance_fen = "
            "(select coalesce(sum(amount_fen), 0) from ledger_posting where account_id = ledger_account.id)"
        )
        desk.execute("delete from ledger_account where id not in (select account_id from ledger_posting)")
        desk.execute("update ledger_book set seq = ?, link = (select link from ledger_entry where seq = ?)", cut, cut)
        report = await evidence.verify(desk)
        if cut >= SEALED:  # what nobody outside had seen: the report has said that nothing covers it
            assert (report.exit_code, len(report.entries)) == (OK, cut)
        else:
            assert (report.exit_code, report.truncated_at) == (TRUNCATED, cut)


async def test_an_old_copy_put_back_is_found(evidence):
    report = await evidence.verify(evidence.earlier)
    assert (report.exit_code, report.truncated_at) == (TRUNCATED, PAID)


async def test_checkpoints_taken_back_while_the_entries_stay_are_found(evidence, desk):
    """A copy of half a second before the last seal has all entries; its log is shorter."""
    desk.execute("delete from log_checkpoint where size > ?", PAID)
    desk.execute("delete from log_node where (place + 1) * (1 << level) > ?", PAID)
    report = await evidence.verify(desk)
    assert report.exit_code == WRONG
    assert f"ends with entry {PAID}" in report.problems[0].what


@pytest.mark.parametrize(
    "row",
    [
        "update ledger_account set balance_fen = balance_fen + 1 where kind = 'household'",
        "update ledger_sum set fen = fen + 1 where kind = 'household'",
        "insert into ledger_sum select * from ledger_sum where kind = 'household'",
        "update ledger_summed set seq = 1",
    ],
)
async def test_a_balance_that_no_entry_made_is_found(evidence, desk, row):
    desk.execute(row)
    report = await evidence.verify(desk)
    assert report.exit_code == WRONG
    assert "holds" in str(report.problems[0]) or "sum" in str(report.problems[0])


DECISION = "select id from decision where subject like 'tranche:%' and act = 'approve'"
APPROVALS = {
    "who": f"update decision set decider = 'another' where id in ({DECISION})",
    "why": f"update decision set reason = 'x' where id in ({DECISION})",
    "verdict": f"update decision set verdict = 'reject' where id in ({DECISION})",
    "when": "update decision set decided_on = '2016-10-01' where subject like 'tranche:%' and act = 'approve'",
    "of what": f"update decision set subject = 'tranche:x' where id in ({DECISION})",
    "taken away": f"delete from decision where id in ({DECISION})",
    "twice": f"insert into decision select * from decision where id in ({DECISION})",
}  # fmt: skip


@pytest.mark.parametrize("change", APPROVALS)
async def test_a_changed_approval_names_the_entry_that_it_let_through(evidence, desk, change):
    desk.execute(APPROVALS[change])
    report = await evidence.verify(desk)
    assert report.exit_code == WRONG
    assert report.problems[0].entry == (None if change == "twice" else HELD), report.problems


async def test_an_approval_put_in_afterwards_names_the_payment(evidence, desk):
    if desk.sqlite:
        desk.execute("update decision set id = id")
    columns = "subject, division, place, verdict, decider, reason, decided_on, decided_at"
    new = "'0190a000-0000-7000-8000-000000000000'" + ("" if desk.sqlite else "::uuid")
    desk.execute(
        f"insert into decision (id, act, {columns}) select {new}, 'second', {columns} from decision where id in ({DECISION})"
    )
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, PAID), report.problems


async def test_a_decision_that_no_entry_binds_yet_is_said_not_to_be_covered(evidence, desk):
    desk.execute(f"update decision set id = {OTHER_ID[desk.sqlite]}, subject = 'tranche:y' where id in ({DECISION})")
    report = await evidence.verify(desk)
    assert "1 decisions and notices are bound by no entry yet: nothing covers them" in report.notes


OTHER_ID = {True: "'0190a00000007000800000000000000a'", False: "'0190a000-0000-7000-8000-00000000000a'::uuid"}


@pytest.mark.parametrize(
    "row",
    [
        "update notice set posted_on = '2016-10-01' where subject like 'tranche:%'",
        "update notice set days = 1 where subject like 'tranche:%'",
        "update notice set place = 'x' where subject like 'tranche:%'",
        "delete from notice where subject like 'tranche:%'",
        "update objection set finding = 'upheld'",
        "update objection set answered_by = raised_by",
        "delete from objection",
    ],
)
async def test_a_changed_notice_or_objection_names_the_payment(evidence, desk, row):
    desk.execute(row)
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, PAID), report.problems


OF_TRANCHE = "(select id from tranche where tranche_no = 'T-1')"
LISTED = {
    "who is on the list": ("update tranche_line set household_no = '6109261002019999' where line = 1", HELD),
    "share": ("update tranche_line set amount_fen = amount_fen + 1 where line = 1", HELD),
    "a line taken away": ("delete from tranche_line where line = 3", HELD),
    "a line put in": (f"insert into tranche_line select tranche_id, 4, household_no, division, head_name_masked, people, weight, "
    f"amount_fen, shares from tranche_line where line = 3 and tranche_id = {OF_TRANCHE}", HELD),
    "how much it pays": ("update tranche set amount_fen = 1", HELD),
    "who applied for it": ("update tranche set created_by = 'another'", HELD),
    "the tranche taken away": ("delete from tranche", HELD),
    "what the project is": ("update project set description = 'x'", 2),
    "the project taken away": ("delete from project", 2),
    "the account that was paid": ("update payee set card_last4 = '0000'", PAID),
}  # fmt: skip


@pytest.mark.parametrize("edit", LISTED)
async def test_a_changed_list_project_or_account_names_the_entry_that_binds_it(evidence, desk, edit):
    statement, entry = LISTED[edit]
    desk.execute(statement)
    report = await evidence.verify(desk)
    assert (report.exit_code, [problem.entry for problem in report.problems][:1]) == (WRONG, [entry])


async def test_a_list_that_was_swapped_whole_and_fits_itself_is_named_by_the_entry_that_held_its_money(evidence, desk):
    """The clerk's list pays another household; its digest, the tranche's and the notice's are made to fit."""
    desk.execute("update tranche_line set household_no = '6109261002019999' where line = 1")
    forged = "update {} set digest = '" + "0" * 64 + "'"
    desk.execute(forged.format("tranche"))
    desk.execute(forged.format("notice"))
    report = await evidence.verify(desk)
    assert report.exit_code == WRONG
    assert [problem.entry for problem in report.problems] == [HELD, PAID, PAID], report.problems


def paid_home(desk: Desk) -> Posting:
    """One fen more for a household that was paid."""
    ((kind, owner, earmark, division),) = desk.rows(
        "select kind, owner, earmark, division from ledger_account where kind = 'household' and earmark = 'F-1' order by owner limit 1"
    )
    return Posting(AccountKey(kind, owner, earmark), 1, division)


async def test_a_payment_that_nobody_let_through_is_named_though_all_of_it_fits(evidence, desk):
    seq = forge(desk, [Posting(AccountKey("fund", "F-1", "F-1"), -1, COUNTY), paid_home(desk)])
    report = await evidence.verify(desk)
    assert (report.exit_code, [problem.entry for problem in report.problems]) == (WRONG, [seq]), report.problems


async def test_a_list_paid_a_second_time_with_the_same_approvals_is_found(evidence, desk):
    ((body,),) = desk.rows("select body from ledger_entry where seq = ?", PAID)
    said = orjson.loads(body)
    lines = [
        Posting(AccountKey(p["kind"], p["owner"], p["earmark"]), p["amount_fen"], p["division"])
        for p in said["postings"]
    ]
    forge(desk, lines, approvals=tuple(said["approvals"]), notice=said["notice"], details=said["details"])
    report = await evidence.verify(desk)
    assert report.exit_code == WRONG
    assert {problem.what.partition(" gave ")[0] for problem in report.problems} == {
        "account hold/T-1/F-1",
        "account hold/T-1/F-2",
    }


async def test_a_payment_under_the_approvals_of_another_list_is_named(evidence, desk):
    ((body,),) = desk.rows("select body from ledger_entry where seq = ?", PAID)
    said = orjson.loads(body)
    lines = [Posting(AccountKey("fund", "F-1", "F-1"), -1, COUNTY), paid_home(desk)]
    seq = forge(desk, lines, approvals=tuple(said["approvals"]), notice=said["notice"], details=said["details"])
    report = await evidence.verify(desk)
    assert [str(problem) for problem in report.problems] == [
        f"entry {seq}: it does not move what the list of tranche T-1 says"
    ]


def without_digests(said: dict[str, Any]) -> None:
    for approval in said["approvals"]:
        del approval["digest"]


def in_the_old_way(said: dict[str, Any]) -> None:
    without_digests(said)
    said["version"] = 1


@pytest.mark.parametrize(("change", "what"), [(without_digests, "was changed"), (in_the_old_way, "the old way")])
async def test_an_entry_without_the_digests_of_its_decisions_is_none_of_the_old_ones(evidence, desk, change, what):
    write_anew(desk, PAID, change)
    report = await evidence.verify(desk)
    assert any(problem.entry == PAID and what in problem.what for problem in report.problems), report.problems


async def test_books_that_were_not_asked_for_are_named(evidence, desk):
    desk.execute(f"insert into ledger_book select '610924', seq, link from ledger_book where book = '{BOOK}'")
    report = await evidence.verify(desk)
    assert "not checked: books 610924; each has a log, and checkpoints, of its own" in report.notes


async def test_the_logs_own_nodes_and_checkpoints_cannot_be_changed(evidence, desk):
    """A root that is signed later would be made of them."""
    for edit, entry in (
        (f"update log_node set hash = {OTHER} where level = 0 and place = 3", 4),
        (f"update log_node set hash = {OTHER} where level = 2 and place = 1", 5),
        ("delete from log_node where level = 1 and place = 2", 5),
        ("insert into log_node select book, 0, 70, hash from log_node where level = 0 and place = 1", None),
        ("insert into log_node select book, 40, 1, hash from log_node where level = 0 and place = 1", None),
        (f"update log_checkpoint set root = {OTHER}", None),
        ("update log_checkpoint set note = replace(note, '=', '+')", None),
    ):
        kept = desk.rows("select * from log_node"), desk.rows("select * from log_checkpoint")
        desk.execute(edit)
        report = await evidence.verify(desk)
        assert report.exit_code == WRONG, edit
        assert entry is None or report.problems[0].entry == entry, (edit, report.problems)
        for table, rows in zip(("log_node", "log_checkpoint"), kept, strict=True):
            desk.execute(f"delete from {table}")
            for row in rows:
                desk.execute(f"insert into {table} values ({', '.join('?' * len(row))})", *row)


@pytest.mark.parametrize("seq", [1, HELD, PAID + 2, SEALED])
async def test_a_history_written_anew_is_laid_between_two_checkpoints_and_by_kept_leaves_to_the_entry(
    evidence, desk, seq
):
    """Chain, leaves, nodes, columns: all fits. What was kept outside does not."""
    write_anew(desk, seq, lambda said: said.update(memo="x"))
    desk.execute("update ledger_entry set memo = 'x' where seq = ?", seq)
    report = await evidence.verify(desk)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, 1 if seq <= PAID else PAID + 1)
    upto = PAID if seq <= PAID else SEALED
    assert f"up to entry {upto}," in report.problems[0].what
    report = await evidence.verify(desk, leaves=evidence.leaves)
    assert (report.exit_code, report.problems[0].entry) == (WRONG, seq)


async def test_with_the_logs_key_stolen_too_it_is_still_found(evidence, desk):
    write_anew(desk, HELD, lambda said: said.update(memo="x"))
    desk.execute("update ledger_entry set memo = 'x' where seq = ?", HELD)
    forged = sign_anew(desk, evidence.signer, evidence.keys[0].name)
    report = await evidence.verify(desk, leaves=evidence.leaves)
    assert (report.exit_code, [problem.entry for problem in report.problems]) == (WRONG, [HELD])
    with pytest.raises(BadNote, match="the log was forked"):
        await Evidence(evidence.url, "", (*evidence.notes, forged), evidence.keys, b"", evidence.signer).verify(desk)


TAKEN_OUT = "is not among the database's own"
"""Said, and not wrong: one checkpoint less of a log whose later ones contain it."""

MAY_CHANGE = {
    "log_checkpoint.signed_at": "the clock of the sequencer: no text carries it; a witness's signature has its own time",
    "objection.text_sealed": "sealed by a key outside the database, to its row and column: a change does not open",
    "objection.answer_sealed": "the same",
}
"""Columns that are allowed not to matter."""


def changed(value: object, by: int) -> object:
    """Another value of the same type."""
    if value is None:
        return "x"
    if isinstance(value, bool | int):
        return int(value) + by
    if isinstance(value, bytes):
        return bytes([value[0] ^ by % 255 + 1]) + value[1:]
    try:
        return (date.fromisoformat(str(value)) + timedelta(days=by)).isoformat()
    except ValueError:
        text = str(value)
        return text[:-1] + chr((ord(text[-1]) + by) % 64 + 33) if text else "x"


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Evidence, Desk]]:
    home = tmp_path_factory.mktemp("random")
    evidence = asyncio.run(live_a_while("", home))
    desk = Desk(evidence.url, home / "desk.db")
    yield evidence, desk
    desk.close()


CELLS = [(table, column.name) for table in (*LEDGER, *ACTS, *LISTS) for column in metadata.tables[table].columns]


def test_nothing_where_something_must_be_is_found(open_desk):
    evidence, desk = open_desk
    passed = []
    for table, column in CELLS:
        (row, value), *_ = desk.rows(f"select rowid, {column} from {table} order by rowid desc")
        if value is None or f"{table}.{column}" in MAY_CHANGE:
            continue
        desk.execute(f"update {table} set {column} = null where rowid = ?", row)
        report = asyncio.run(evidence.verify(desk))
        if report.exit_code == OK and not any(TAKEN_OUT in note for note in report.notes):
            passed.append(f"{table}.{column}")
        desk.execute(f"update {table} set {column} = ? where rowid = ?", value, row)
    assert passed == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(CELLS),
    st.integers(0, 10_000),
    st.sampled_from(["update", "delete", "double", "swap"]),
    st.integers(1, 60),
)
def test_no_random_edit_passes(open_desk, cell, at, act, by):
    (evidence, desk), (table, column) = open_desk, cell
    rows = desk.rows(f"select rowid, * from {table} order by rowid")
    names = ["rowid", *(info[1] for info in desk.rows(f"pragma table_info({table})"))]
    chosen, other = rows[at % len(rows)], rows[(at + by) % len(rows)]
    value = chosen[names.index(column)]
    new = other[names.index(column)] if act == "swap" else changed(value, by)
    if new == value and act in ("update", "swap"):
        return
    if act == "delete":
        desk.execute(f"delete from {table} where rowid = ?", chosen[0])
    elif act == "double":
        desk.execute(f"insert into {table} select * from {table} where rowid = ?", chosen[0])
    else:
        desk.execute(f"update {table} set {column} = ? where rowid = ?", new, chosen[0])
        if act == "swap":
            desk.execute(f"update {table} set {column} = ? where rowid = ?", value, other[0])
    report = asyncio.run(evidence.verify(desk))
    desk.execute(f"delete from {table}")
    for row in rows:
        desk.execute(f"insert into {table} (rowid, {', '.join(names[1:])}) values ({', '.join('?' * len(row))})", *row)
    if act in ("delete", "double") or f"{table}.{column}" not in MAY_CHANGE:
        found = report.exit_code != OK or any(TAKEN_OUT in note for note in report.notes)
        assert found, f"{act} {table}.{column} of {chosen}"
