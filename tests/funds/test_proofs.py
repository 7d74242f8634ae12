"""From a posted entry to a proof that checks offline; and everything that must not pass."""

import asyncio
import contextlib
import io
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer
from proofs_log import FUND, Log, filled, log
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from services.funds.ledger.domain import AccountKey, InsufficientFunds, Posting
from services.funds.proofs import bundle, merkle, sequencer
from services.funds.proofs import service as proofs_service
from services.funds.proofs import store as log_store
from services.funds.proofs.audit import verify_database
from services.funds.proofs.command import verify
from services.funds.proofs.notes import Checkpoint, Proof, Signer, open_checkpoint, read_keys, strict_base64
from services.funds.proofs.verify import verify_bundle
from shared.roles import Role
from shared.testing import OTHER_TOWN, TOWN, VILLAGE

NOBODY = 65534
"""A user's number that owns nothing."""


async def files(log: Log, tmp_path: Path, seqs) -> tuple[Path, Path]:
    answer = await log.get("/bundles", seq=list(seqs))
    assert answer.status_code == 200, answer.text
    zip, key = tmp_path / "bundle.zip", tmp_path / "funds.vkey"
    zip.write_bytes(answer.content)
    key.write_text((await log.get("/log-key")).text)
    return zip, key


async def test_an_entry_is_posted_at_once_and_sealed_afterwards(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        seq = await it.post("r")
        assert (await it.get(f"/entries/{seq}")).json()["sealed"] is None
        assert (await it.get(f"/proofs/{seq}")).json()["code"] == "not_sealed_yet"
        assert (await it.get("/checkpoints/latest")).json()["retryable"] is True
        await it.seal()
        shown = (await it.get(f"/entries/{seq}")).json()
        assert shown["sealed"] == {"index": 0, "size": 1, "proof": "/funds/v1/proofs/1?book=610926"}
        assert (shown["amount_fen"], shown["amount_yuan"], shown["memo"]) == (100, "1.00", "到账")
        assert [(p["kind"], p["amount_fen"]) for p in shown["postings"]] == [("source", -100), ("fund", 100)]


async def test_every_proof_leads_from_its_record_to_the_signed_root(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 11)
        keys = read_keys((await it.get("/log-key")).text)
        note = (await it.get("/checkpoints/latest")).text
        checkpoint = open_checkpoint(note, keys)
        assert (checkpoint.origin, checkpoint.size) == ("daohu.local/funds/610926", 11)
        members = zipfile.ZipFile(io.BytesIO((await it.get("/bundles", seq=list(range(1, 12)))).content))
        for seq in range(1, 12):
            proof = Proof.read((await it.get(f"/proofs/{seq}")).text)
            leaf = merkle.leaf_hash(members.read(bundle.record_name(seq)))
            assert merkle.verify_inclusion(proof.index, 11, leaf, proof.path, checkpoint.root)
            assert proof.checkpoint == note


async def test_sealing_in_any_portions_gives_one_log_that_only_grows(tmp_path, database_url, monkeypatch):
    monkeypatch.setattr(sequencer, "SEAL_ENTRIES", 3)
    async with log(tmp_path, database_url) as it:
        held = []
        for i in range(12):
            await it.post(f"r{i}")
            if i in (0, 1, 4, 11):
                await it.seal()
                await it.seal()
                held.append(Checkpoint.read((await it.get("/checkpoints/latest")).text.rpartition("\n\n")[0] + "\n"))
        assert [c.size for c in held] == [1, 2, 5, 12]
        for old in held:
            for new in held:
                if old.size <= new.size:
                    proof = (await it.get("/consistency", **{"from": old.size, "to": new.size})).json()
                    hashes = [strict_base64(h) for h in proof["hashes"]]
                    assert strict_base64(proof["old_root"]) == old.root
                    assert merkle.verify_consistency(old.size, new.size, hashes, old.root, new.root)
        assert (await it.get("/consistency", **{"from": 3, "to": 13})).status_code == 422


async def test_a_changed_book_is_not_signed_any_more(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 4)
        await it.post("new")
        await it.sql(
            "update ledger_entry set memo = 'x', body = cast(replace(body, '到账', '到帐') as blob) where seq = 5"
        )
        with pytest.raises(sequencer.DoesNotFollow, match="entry 5"):
            await it.seal()
        assert (await it.get("/entries/4")).json()["sealed"]["size"] == 4


async def test_a_book_whose_tail_was_cut_is_not_signed_any_more(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 4)
        await it.sql("delete from ledger_entry where seq = 4", "update ledger_book set seq = 3")
        with pytest.raises(sequencer.DoesNotFollow):
            await it.seal()


async def test_a_changed_book_does_not_keep_other_counties_from_being_sealed(tmp_path):
    other = "610927000000"
    async with log(tmp_path) as it:
        await filled(it, 4)
        await it.sql("delete from ledger_entry where seq = 4")
        lines = tuple(Posting(key, fen, other) for key, fen in ((AccountKey("source", "F1", "F1"), -5), (FUND, 5)))
        await it.post("other", book="610927", division=other, postings=lines)
        with pytest.raises(sequencer.DoesNotFollow, match="610926"):
            await it.seal()
        async with it.live.service.database.read() as tx:
            assert await log_store.sealed_size(tx, "610927") == 1


async def test_a_bundle_has_a_limit_in_bytes(tmp_path, monkeypatch):
    async with log(tmp_path) as it:
        await filled(it, 3)
        one = zipfile.ZipFile(io.BytesIO((await it.get("/bundles", seq=[1])).content))
        size = one.getinfo(bundle.record_name(1)).file_size
        monkeypatch.setattr(proofs_service, "MAX_BODY_BYTES", size)
        assert (await it.get("/bundles", seq=[1])).status_code == 200
        answer = await it.get("/bundles", seq=[1, 2, 3])
        assert (answer.status_code, answer.json()["limit"]) == (413, size)


async def test_two_sequencers_sign_the_same_once(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        for i in range(5):
            await it.post(f"r{i}")
        await asyncio.gather(it.seal(), it.seal(), it.seal())
        assert (await it.get("/entries/5")).json()["sealed"]["size"] == 5


async def test_what_was_signed_cannot_be_changed_in_the_database(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        for statement in ("delete from log_node", "update log_checkpoint set note = ''"):
            with pytest.raises(DBAPIError, match="append-only"):
                async with it.live.service.database.write() as tx:
                    await tx.execute(text(statement))


async def test_only_those_who_check_and_only_in_their_area(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 3)
        await it.post("town", division=TOWN)
        await it.seal()
        paths = (
            "/entries",
            "/entries/1",
            "/proofs/1",
            "/checkpoints/latest",
            "/log-key",
            "/bundles?seq=1",
            "/consistency?from=1&to=2",
            "/leaves?after=1&to=2",
        )
        for path in paths:
            assert (await it.live.as_(Role.TOWN_CHIEF).get(f"/funds/v1{path}")).status_code == 403, path
        for division, shown in ((TOWN, [4]), (OTHER_TOWN, []), (VILLAGE, [])):
            client = it.live.as_(Role.AUDITOR, division=division)
            listed = await client.get("/funds/v1/entries")
            assert [e["seq"] for e in listed.json().get("items", [])] == shown
            for path in ("/entries/1", "/proofs/1", "/bundles?seq=1", "/bundles?seq=1&seq=4"):
                assert (await client.get(f"/funds/v1{path}")).status_code == 404, path


async def test_entries_come_in_pages_in_order(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 7)
        seen, after = [], None
        for _ in range(4):
            page = (await it.get("/entries", limit=2, **({"after": after} if after else {}))).json()
            seen += [e["seq"] for e in page["items"]]
            after = page["next"]
        assert (seen, after) == ([1, 2, 3, 4, 5, 6, 7], None)
        allocated = (await it.get("/entries", account="project/P1/F1")).json()["items"]
        assert [e["seq"] for e in allocated] == [7]
        assert [e["seq"] for e in (await it.get("/entries", kind="allocated")).json()["items"]] == [7]


async def test_a_refused_overdraft_is_sealed_too(tmp_path):
    async with log(tmp_path) as it:
        await it.post("r", 10)
        with pytest.raises(InsufficientFunds):
            await it.pay("p", 11)
        await it.seal()
        refused = (await it.get("/entries/2")).json()
        assert (refused["kind"], refused["details"]["code"], refused["amount_fen"]) == (
            "refused",
            "insufficient_funds",
            0,
        )
        assert refused["sealed"]["size"] == 2


async def test_a_bundle_is_the_same_file_each_time_and_checks(tmp_path):
    async with log(tmp_path) as it:
        await filled(it)
        zip, key = await files(it, tmp_path, (2, 3, 7, 3))
        assert (await it.get("/bundles", seq=[7, 3, 2])).content == zip.read_bytes()
        report = verify_bundle(zip, read_keys(key.read_text()))
        assert (report.exit_code, report.entries, report.problems, report.notes) == (0, [2, 3, 7], [], [])


async def test_no_byte_of_a_bundle_can_change_unseen(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        zip, key = await files(it, tmp_path, (2, 4))
        keys, data, draw = read_keys(key.read_text()), zip.read_bytes(), random.Random(7)
        for at in range(len(data)):
            zip.write_bytes(data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :])
            report = verify_bundle(zip, keys)
            assert report.exit_code == 1, f"byte {at}"
            assert {problem.entry for problem in report.problems} & {2, 4}, f"byte {at}: {report.problems}"


@pytest.mark.parametrize("member", ["records/000000000004.json", "proofs/000000000004.tlog-proof"])
async def test_a_byte_changed_and_the_zip_packed_anew_names_the_entry(tmp_path, member):
    async with log(tmp_path) as it:
        await filled(it, 5)
        zip, key = await files(it, tmp_path, (2, 4))
        keys = read_keys(key.read_text())
        members = {i.filename: zipfile.ZipFile(zip).read(i) for i in zipfile.ZipFile(zip).infolist()}
        for at in range(0, len(members[member]), 7):
            changed = bytearray(members[member])
            changed[at] ^= 1
            with zipfile.ZipFile(zip, "w", zipfile.ZIP_DEFLATED) as anew:
                for name, data in members.items():
                    anew.writestr(name, bytes(changed) if name == member else data)
            report = verify_bundle(zip, keys)
            assert (report.exit_code, report.problems[0].entry) == (1, 4), at


async def test_a_bundle_packed_anew_with_the_same_contents_still_checks(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        zip, key = await files(it, tmp_path, (2, 4))
        members = {i.filename: zipfile.ZipFile(zip).read(i) for i in zipfile.ZipFile(zip).infolist()}
        for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            with zipfile.ZipFile(zip, "w", packing) as anew:
                for name, data in members.items():
                    anew.writestr(name, data)
            report = verify_bundle(zip, read_keys(key.read_text()))
            assert (report.exit_code, report.notes) == (0, ["the zip was packed anew; its contents are unchanged"])


async def test_a_bundle_signed_by_another_key_or_with_a_foreign_file_does_not_pass(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        zip, key = await files(it, tmp_path, (2, 4))
        stranger = Signer.at(tmp_path / "other.key").verifier("daohu.local/funds/610926")
        assert verify_bundle(zip, [stranger]).exit_code == 1
        with zipfile.ZipFile(zip, "a") as more:
            more.writestr("records/000000000003.txt", "x")
        assert verify_bundle(zip, read_keys(key.read_text())).exit_code == 1


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_not_a_bundle_is_wrong_and_not_a_crash(tmp_path, data):
    (tmp_path / "b.zip").write_bytes(data)
    assert verify_bundle(tmp_path / "b.zip", []).exit_code == 1


async def test_a_bundle_without_entries_proves_nothing(tmp_path):
    async with log(tmp_path) as it:
        await filled(it, 5)
        note, keys = (await it.get("/checkpoints/latest")).text, read_keys((await it.get("/log-key")).text)
        (tmp_path / "b.zip").write_bytes(bundle.compose(open_checkpoint(note, keys), note, {}, {}))
        assert verify_bundle(tmp_path / "b.zip", keys).exit_code == 1


async def check(it: Log, note: str, keys=()):
    return await verify_database(it.url, note, keys)


async def test_an_untouched_database_checks_against_an_old_checkpoint_too(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 6)
        note, keys = (await it.get("/checkpoints/latest")).text, read_keys((await it.get("/log-key")).text)
        assert (await check(it, note, keys)).exit_code == 0
        await it.post("later")
        await it.post("later still")
        report = await check(it, note, keys)
        assert (report.exit_code, len(report.entries)) == (0, 8)
        assert report.notes == [
            "entries 7 to 8 are newer than the checkpoint kept outside and not covered by it: only their chain was checked"
        ]
        await it.seal()
        assert (await check(it, note, keys)).exit_code == 0


async def test_a_database_where_nothing_can_be_written_is_checked(tmp_path):
    """A disc, or another user's folder: SQLite wants to put a log beside a house's file, also to read it."""
    async with log(tmp_path) as it:
        await filled(it, 5)
        note = (await it.get("/checkpoints/latest")).text
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copy(tmp_path / "home" / "funds.db", folder))
        copy.chmod(0o444)
        Path(folder).chmod(0o555)
        root = os.geteuid() == 0
        if root:  # who may write everywhere
            os.seteuid(NOBODY)
        try:
            report = await verify_database(str(copy), note, ())
        finally:
            if root:
                os.seteuid(0)
        assert (report.exit_code, report.problems, os.listdir(folder)) == (0, [], ["funds.db"])


async def test_a_cut_tail_says_both_sizes(tmp_path, database_url):
    async with log(tmp_path, database_url) as it:
        await filled(it, 8)
        note = (await it.get("/checkpoints/latest")).text
        await it.sql("delete from ledger_entry where seq > 5")
        report = await check(it, note)
        assert (report.exit_code, report.checkpoint.size, report.truncated_at) == (2, 8, 5)
        await it.sql("delete from ledger_posting where seq > 5", "delete from log_checkpoint", "delete from log_node")
        assert (await check(it, note)).exit_code == 2
        await it.sql(
            "delete from ledger_posting",
            "delete from ledger_entry",
            "delete from ledger_account",
            "delete from ledger_book",
        )
        assert (await check(it, note)).truncated_at == 0


EDITS = {
    "its body": ("update ledger_entry set body = cast(replace(body, '到账', '到帐') as blob) where seq = 4", 4),
    "its hash too": ("update ledger_entry set digest = link where seq = 4", 4),
    "its link": ("update ledger_entry set link = digest where seq = 4", 4),
    "a column": ("update ledger_entry set memo = 'x' where seq = 4", 4),
    "its day": ("update ledger_entry set effective_on = '2016-12-01' where seq = 4", 4),
    "its actor": ("update ledger_entry set actor = 'other' where seq = 4", 4),
    "a posting": ("update ledger_posting set amount_fen = amount_fen + 1 where seq = 4 and line = 1", 4),
    "a posting's division": ("update ledger_posting set division = '610926101000' where seq = 4 and line = 1", 4),
    "a posting's account": ("update ledger_posting set account_id = 3 where seq = 4 and line = 1", 4),
    "a posting taken away": ("delete from ledger_posting where seq = 4 and line = 1", 4),
    "an entry taken out": ("delete from ledger_entry where seq = 4", 4),
    "a sealed leaf": ("update log_node set hash = (select digest from ledger_entry where seq = 1) where level = 0 and place = 3", 4),
    "a signed root": ("update log_checkpoint set root = (select digest from ledger_entry where seq = 1)", None),
    "a balance": ("update ledger_account set balance_fen = balance_fen + 1 where kind = 'fund'", None),
    "an entry before the first": (
        "insert into ledger_entry select book, 0, kind, 'x', once, request_hash, actor, effective_on, recorded_at, division, "
        "memo, body, digest, link from ledger_entry where seq = 1", 0),
    "an account taken away": ("delete from ledger_account where kind = 'project'", 8),
    "an account renamed": ("update ledger_account set owner = 'F2' where kind = 'fund'", 1),
    "an account's place": ("update ledger_account set division = '610926101000' where kind = 'project'", None),
    "an account made up": (
        "insert into ledger_account (id, book, name, kind, owner, earmark, division, may_overdraw, balance_fen) "
        "values (99, '610926', 'fund/x/F1', 'fund', 'x', 'F1', '610926000000', false, 5)", None),
    "a sum": ("update ledger_sum set fen = fen + 1 where kind = 'project'", None),
    "the head": ("update ledger_book set link = (select digest from ledger_entry where seq = 1)", None),
    "postings made up": ("insert into ledger_posting (book, seq, line, account_id, division, amount_fen) values ('610926', 99, 0, 1, '610926000000', 5)", None),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_is_found_and_the_entry_named(tmp_path, edit):
    statement, entry = EDITS[edit]
    async with log(tmp_path) as it:
        await filled(it, 8)
        note = (await it.get("/checkpoints/latest")).text
        await it.sql(statement)
        report = await check(it, note)
        assert (report.exit_code, report.problems[0].entry) == (1, entry), report.problems


async def test_an_edit_is_found_on_postgresql_too(tmp_path, postgres_url):
    async with log(tmp_path, postgres_url) as it:
        await filled(it, 8)
        note = (await it.get("/checkpoints/latest")).text
        assert (await check(it, note)).exit_code == 0
        await it.sql(
            "update ledger_entry set memo = 'x' where seq = 4",
            "update ledger_account set balance_fen = 5 where kind = 'fund'",
        )
        report = await check(it, note)
        assert [p.entry for p in report.problems] == [4, None]


async def test_a_history_written_anew_does_not_have_the_witnessed_root(tmp_path):
    async with log(tmp_path / "a") as it:
        await filled(it, 8)
        note = (await it.get("/checkpoints/latest")).text
    async with log(tmp_path / "b") as forged:
        for i in range(8):
            await forged.post(f"r{i}", 200)
        await forged.seal()
        report = await check(forged, note)
        assert (report.exit_code, len(report.problems)) == (1, 1)
        assert report.problems[0].entry == 1
        assert "it, or one after it up to entry 8, is not the one under the signed root" in report.problems[0].what


def test_the_command_prints_size_index_and_root_and_exits_honestly(tmp_path):
    async def prepare() -> tuple[Path, Path, Path]:
        async with log(tmp_path) as it:
            await filled(it, 8)
            note = tmp_path / "witnessed.txt"
            note.write_text((await it.get("/checkpoints/latest")).text)
            return *(await files(it, tmp_path, (2, 3, 7))), note

    def run(*args) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(a) for a in args])
        return result.exit_code, result.output

    app = typer.Typer()
    app.command()(verify)
    zip, key, note = asyncio.run(prepare())
    root = open_checkpoint(note.read_text(), read_keys(key.read_text())).root.hex()
    code, said = run(zip, "--key", key)
    assert code == 0
    assert "size   8\nindex  1-2 6\n" in said
    assert f"root   {root}" in said

    database = tmp_path / "home" / "funds.db"
    assert run("--database", database, "--checkpoint", note, "--key", key)[0] == 0
    zip.write_bytes(zip.read_bytes().replace(b"received", b"recieved", 1))
    code, said = run(zip, "--key", key)
    assert code == 1
    assert "entry 2" in said

    with contextlib.closing(sqlite3.connect(database)) as sql:
        sql.execute("drop trigger ledger_entry_no_delete")
        sql.execute("delete from ledger_entry where seq > 5")
        sql.commit()
    code, said = run("--database", database, "--checkpoint", note)
    assert code == 2
    assert "the checkpoint has 8 entries, the database 5" in said
    assert run(zip)[0] == 2
    assert run()[0] == 2
    assert run("--database", tmp_path / "none.db", "--checkpoint", note)[0] == 1


def test_the_command_needs_neither_server_nor_framework():
    """What it imports: an auditor's machine has Python, typer, orjson and cryptography."""
    seen = "import sys; import services.funds.proofs.command, services.funds.proofs.audit; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "fastapi", "pydantic", "asyncpg", "httpx"} & set(done.stdout.split())
