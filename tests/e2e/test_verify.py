"""`daohu verify` as an auditor uses it: the files, the key, no network, no environment, and no reason to believe us."""

import re
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from conftest import DAOHU, House, daohu, running_house

from demo.cast import COUNTY, FINANCE
from services.funds.ledger import domain
from services.funds.proofs import merkle
from services.funds.proofs.bundle import pack

ENTRIES = 6
"""Receipts in the book of these tests."""

ASKED = (2, 3, 5)
"""The entries of the bundle: some neighbours, one by itself, and not the whole book."""

FLIPS = 7
"""Places of each file of a bundle at which a byte is flipped: the first, the last and some between."""

EVERY_BYTE = 37
"""A prime: over the whole zip it meets every kind of byte in it."""

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Kept:
    """What the auditor has in his folder."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle.zip"

    @property
    def key(self) -> Path:
        return self.folder / "funds.vkey"

    @property
    def witnessed(self) -> Path:
        return self.folder / "witnessed.txt"

    @property
    def witnessed_bundle(self) -> Path:
        return self.folder / "witnessed.zip"

    @property
    def witness(self) -> Path:
        """The witness's folder; in life it lies on another machine."""
        return self.folder / "witness"

    @property
    def database(self) -> Path:
        return self.folder / "funds.db"


@dataclass(frozen=True, slots=True)
class Verdict:
    exit_code: int
    out: str
    err: str


def verify(*words: str | Path, wrapped_in: Sequence[str] = ()) -> Verdict:
    """`daohu verify …` by its absolute path in an empty environment."""
    run = subprocess.run(
        [*wrapped_in, str(DAOHU), "verify", *map(str, words)],
        capture_output=True,
        text=True,
        env={},
        timeout=SECONDS,
        check=False,
    )
    return Verdict(run.returncode, run.stdout, run.stderr)


def receive_money(house: House) -> None:
    """ENTRIES receipts of a central and a county fund."""
    hands = house.driver
    funds = [
        hands.post(FINANCE, "/funds/v1/sources", f"register-{number}", {
            "fund_no": number, "name": name, "level": level, "year": 2016, "division": COUNTY, "document_no": f"文-{number}",
        })
        for number, name, level in (("C-1", "中央财政专项扶贫资金", "central"), ("X-1", "县级配套资金", "county"))
    ]  # fmt: skip
    for turn in range(ENTRIES):
        fund = funds[turn % len(funds)]
        receipt = {"amount_fen": 1_000_003 + turn, "received_on": "2016-11-01", "voucher_no": f"V-{turn}"}
        hands.post(FINANCE, f"/funds/v1/sources/{fund['id']}/receipts", f"receive-{turn}", receipt)
    house.pass_days(1)


def let_a_witness_look(house: House, files: Kept) -> None:
    """The commands of docs/witness.md, as the audit bureau and the county type them."""
    made = daohu("witness", "init", files.witness, "--name", "audit.test/daohu")
    assert made.returncode == 0, made.stderr
    (house.home / "keys" / "witnesses.vkey").write_text(made.stdout)
    account = ("witness", "--role", "backend", "--division", COUNTY, "--home", house.home)
    secret = files.folder / "secret"
    secret.write_text(daohu("accounts", "add", *account).stdout)
    asked_with = ("--url", house.server.url, "--key", files.key, "--account", "witness", "--secret-file", secret)
    for said in ("signed", "known"):
        looked = daohu("witness", "run", files.witness, *asked_with, "--once")
        assert (looked.returncode, looked.stdout.split()[:1]) == (0, [said]), looked


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A bundle, the key, a checkpoint and the database of a house that is shut."""
    folder = tmp_path_factory.mktemp("auditor")
    files = Kept(folder)
    with running_house(folder / "home") as house:
        receive_money(house)
        query = "&".join(f"seq={seq}" for seq in ASKED)
        for path, name in (
            (f"/funds/v1/bundles?{query}", files.bundle),
            ("/funds/v1/log-key", files.key),
            ("/funds/v1/checkpoints/latest", files.witnessed),
        ):
            name.write_bytes(house.driver.ask(FINANCE, "GET", path).content)
        let_a_witness_look(house, files)
        path = f"/funds/v1/bundles?{query}&witnessed=true"
        files.witnessed_bundle.write_bytes(house.driver.ask(FINANCE, "GET", path).content)
    source = sqlite3.connect(folder / "home" / "funds.db")
    with sqlite3.connect(files.database) as target:
        source.backup(target)
    source.close()
    return files


def test_a_bundle_checks_offline_in_an_empty_environment(kept: Kept) -> None:
    """Acceptance point 4: no variables, no network, the absolute path; it prints size, index and root."""
    wrapped = ["/usr/bin/unshare", "-rn"]
    if subprocess.run([*wrapped, "/bin/true"], check=False, capture_output=True).returncode:
        pytest.fail("this machine forbids `unshare -rn`: that the check needs no network was not shown here")
    verdict = verify(kept.bundle, "--key", kept.key, wrapped_in=wrapped)
    assert verdict.exit_code == 0, verdict
    said = dict(line.split(maxsplit=1) for line in verdict.out.splitlines())
    assert said["size"] == str(ENTRIES)
    assert said["index"] == "1-2 4"
    assert re.fullmatch(r"[0-9a-f]{64}", said["root"])


def test_a_bundle_under_another_key_is_wrong(kept: Kept, tmp_path: Path) -> None:
    """Whoever signs a log of his own does not pass with it."""
    name, key_id, key = kept.key.read_text().split("+", 2)
    other = tmp_path / "other.vkey"
    other.write_text(f"{name}+{key_id}+{key[:10]}{'A' if key[10] != 'A' else 'B'}{key[11:]}")
    assert verify(kept.bundle, "--key", other).exit_code == 1


def places(length: int) -> list[int]:
    return sorted({round(step * (length - 1) / (FLIPS - 1)) for step in range(FLIPS)})


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]


MEMBERS = ["MANIFEST.json", "checkpoint", *(f"{kind.format(seq)}" for seq in ASKED for kind in ("records/{:012d}.json", "proofs/{:012d}.tlog-proof"))]  # fmt: skip


def verdict_here(bundle: bytes, kept: Kept, folder: Path) -> tuple[int, str]:
    """The verifier's verdict on these bytes, by the command's own code in this process: a process each would take minutes."""
    from typer.testing import CliRunner

    from services.cli import app

    file = folder / "changed.zip"
    file.write_bytes(bundle)
    run = CliRunner().invoke(app, ["verify", str(file), "--key", str(kept.key)])
    return run.exit_code, run.output


@pytest.mark.parametrize("member", MEMBERS)
def test_a_flipped_byte_of_a_file_in_the_bundle_names_the_entry(kept: Kept, tmp_path: Path, member: str) -> None:
    """The zip itself is made anew around the changed file, so that only our own check can see it."""
    with zipfile.ZipFile(kept.bundle) as zip:
        members = {name: zip.read(name) for name in zip.namelist()}
    assert sorted(members) == sorted(MEMBERS)
    own = re.search(r"\d{12}", member)
    for at in places(len(members[member])):
        code, said = verdict_here(pack({**members, member: flipped(members[member], at)}), kept, tmp_path)
        assert code == 1, f"{member} byte {at}: {said}"
        if own:
            assert f"entry {int(own[0])}:" in said, f"{member} byte {at}: {said}"
        else:
            assert "WRONG" in said
            assert "entry" in said or "checkpoint" in said or "manifest" in said, f"{member} byte {at}: {said}"


def test_any_flipped_byte_of_the_zip_is_noticed(kept: Kept, tmp_path: Path) -> None:
    """Every EVERY_BYTE-th byte of the file as it lies there, frames and directories included."""
    data = kept.bundle.read_bytes()
    for at in range(0, len(data), EVERY_BYTE):
        code, said = verdict_here(flipped(data, at), kept, tmp_path)
        assert code == 1, f"byte {at}: {said}"
        assert "WRONG" in said


def test_a_flipped_record_names_its_entry_from_the_command_line(kept: Kept, tmp_path: Path) -> None:
    """The same through the installed command: exit 1 and the entry on standard error."""
    with zipfile.ZipFile(kept.bundle) as zip:
        members = {name: zip.read(name) for name in zip.namelist()}
    name = MEMBERS[4]
    amount = members[name].index(b"amount_fen") + 14
    file = tmp_path / "changed.zip"
    file.write_bytes(pack({**members, name: flipped(members[name], amount)}))
    verdict = verify(file, "--key", kept.key)
    assert verdict.exit_code == 1
    assert f"entry {ASKED[1]}:" in verdict.err


def test_the_untouched_database_agrees_with_the_checkpoint(kept: Kept) -> None:
    """The same checkpoint, kept outside, against the database itself."""
    verdict = verify("--database", kept.database, "--checkpoint", kept.witnessed, "--key", kept.key)
    assert verdict.exit_code == 0, verdict


def without_guards(path: Path) -> sqlite3.Connection:
    """The database as an insider with all rights holds it: the triggers that forbid changes are dropped first."""
    insider = sqlite3.connect(path)
    for (name,) in insider.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        insider.execute(f'drop trigger "{name}"')
    return insider


def test_the_database_itself_refuses_to_forget_entries(kept: Kept, tmp_path: Path) -> None:
    """Who only has SQL and not the schema meets the triggers."""
    copy = tmp_path / "funds.db"
    shutil.copy(kept.database, copy)
    with sqlite3.connect(copy) as hand, pytest.raises(sqlite3.Error, match="append-only"):
        hand.execute("delete from ledger_entry where seq > 3")
    hand.close()


def test_three_deleted_tail_rows_are_noticed_with_both_sizes(kept: Kept, tmp_path: Path) -> None:
    """Acceptance point 4: the insider cuts the tail of every table consistently; the checkpoint outside remembers."""
    copy = tmp_path / "funds.db"
    shutil.copy(kept.database, copy)
    left = ENTRIES - 3
    insider = without_guards(copy)
    insider.execute("pragma foreign_keys=off")
    insider.execute("delete from ledger_posting where seq > ?", [left])
    insider.execute("delete from ledger_entry where seq > ?", [left])
    insider.commit()
    insider.close()
    verdict = verify("--database", copy, "--checkpoint", kept.witnessed)
    assert verdict.exit_code == 2, verdict
    assert re.search(rf"\b{ENTRIES}\b.*\b{left}\b", verdict.err), verdict


def test_an_edited_amount_in_the_database_names_its_entry(kept: Kept, tmp_path: Path) -> None:
    """Somebody with all rights makes a receipt larger."""
    copy = tmp_path / "funds.db"
    shutil.copy(kept.database, copy)
    insider = without_guards(copy)
    insider.execute("update ledger_posting set amount_fen = amount_fen + 100 where seq = 4 and amount_fen > 0")
    insider.commit()
    insider.close()
    verdict = verify("--database", copy, "--checkpoint", kept.witnessed)
    assert verdict.exit_code == 1
    assert "entry 4:" in verdict.err, verdict


BOOK = COUNTY[:6]


def test_what_the_witness_kept_stands_for_the_database_and_a_bundle(kept: Kept) -> None:
    by = ("--key", kept.key, "--witness", kept.witness / "witness.vkey")
    verdict = verify("--database", kept.database, "--checkpoint", kept.witness / BOOK, *by)
    assert verdict.exit_code == 0, verdict
    bundle = verify(kept.witnessed_bundle, *by)
    assert bundle.exit_code == 0, bundle
    nobody = verify(kept.bundle, *by)
    assert nobody.exit_code == 1, "this bundle was made before a witness had looked"
    assert "no witness stands for this checkpoint" in nobody.err


def test_a_history_written_anew_is_named_to_the_entry_by_what_the_witness_kept(kept: Kept, tmp_path: Path) -> None:
    """The insider makes every hash, link and node fit; tests/funds/test_proofs_insider.py has what else he may do."""
    copy = tmp_path / "funds.db"
    shutil.copy(kept.database, copy)
    insider = without_guards(copy)
    write_anew(insider, 3)
    insider.close()
    verdict = verify("--database", copy, "--checkpoint", kept.witness / BOOK, "--key", kept.key)
    assert verdict.exit_code == 1
    assert "entry 3: it is not the one that was witnessed" in verdict.err, verdict


def write_anew(insider: sqlite3.Connection, changed: int) -> None:
    link, hashed = domain.genesis(BOOK).link, []
    for seq, body in insider.execute("select seq, body from ledger_entry order by seq").fetchall():
        if seq == changed:
            body = domain.canonical(orjson.loads(body) | {"memo": "x"})
            insider.execute("update ledger_entry set memo = 'x', body = ? where seq = ?", (body, seq))
        digest = domain.digest_of(body)
        prev, link = link, domain.link(link, seq, digest)
        insider.execute("update ledger_entry set digest = ?, link = ? where seq = ?", (digest, link, seq))
        hashed.append(merkle.leaf_hash(domain.record(seq, prev, link, body)))
    insider.execute("update ledger_book set link = ?", (link,))
    for (level, place), hash in merkle.grow([], 0, hashed):
        insider.execute("update log_node set hash = ? where level = ? and place = ?", (hash, level, place))
    insider.commit()
