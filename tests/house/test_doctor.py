"""`daohu doctor`: a whole house is well; each fault that is planted is found, by its own check and no other."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, insert, text
from typer.testing import CliRunner

from services import prepare
from services.backup.take import LAST
from services.catalogue import NAMES, part
from services.cli import app
from services.doctor.checks import room
from services.doctor.examination import CHECKS, examine
from services.doctor.findings import Finding, State
from services.funds.ledger import store as ledger
from services.funds.proofs import store as log
from services.funds.proofs.notes import Checkpoint, Signer
from shared import keyfiles, revocation, tables
from shared.bus import Message
from shared.clock import MovableClock
from shared.db import Database
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.keyring import RingFile
from shared.local_bus import LocalBus
from shared.topics import all_topics
from tests.servers import free_port
from tests.servers.oidc import AUDIENCE, OpenIdProvider

BOOK = "610926"
NOW = datetime(2016, 11, 4, 9, tzinfo=UTC)
DAY = timedelta(days=1)


class Machine:
    """A machine whose clock stands still."""

    def now(self) -> datetime:
        return NOW


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `daohu up` and `daohu backup` leave it."""
    home = tmp_path_factory.mktemp("well") / "home"
    home.mkdir()
    asyncio.run(_made(home))
    prepare.all_keys(home)
    backed_up(home, NOW - timedelta(hours=2))
    return home


async def _made(home: Path) -> None:
    await prepare.tables(home=home)
    async with bus_of(home) as bus:
        await bus.create_topics(all_topics())


@pytest.fixture
def home(well: Path, tmp_path: Path) -> Path:
    """A copy of it, to be harmed."""
    return Path(shutil.copytree(well, tmp_path / "home"))


def backed_up(home: Path, at: datetime) -> None:
    path = home.parent / "there.backup"
    path.touch()
    (home / LAST).write_text(json.dumps({"path": str(path), "taken_at": at.isoformat()}))


@asynccontextmanager
async def bus_of(home: Path) -> AsyncIterator[LocalBus]:
    bus = LocalBus(home / "bus.db")
    await bus.start()
    yield bus
    await bus.stop()


async def add(home: Path, service: str, table: Table, *rows: dict[str, object]) -> None:
    database = Database(part(service).settings.of(home=home).url, service=service)
    async with database.write() as tx:
        await tx.execute(insert(table), list(rows))
    await database.close()


async def change(home: Path, service: str, *statements: str) -> None:
    database = Database(part(service).settings.of(home=home).url, service=service)
    async with database.write() as tx:
        for statement in statements:
            await tx.execute(text(statement))
    await database.close()


def fact(at: datetime, published: datetime | None = None) -> dict[str, object]:
    return {
        "event_id": new_id(), "topic": "t", "key": "k", "type": "x", "headers": {}, "body": b"", "division": "6" * 12,
        "recorded_at": at, "published_at": published, "position": None,
    }  # fmt: skip


async def faults(home: Path) -> list[tuple[str, str, State]]:
    found = await examine(home, Machine())
    assert all(finding.do for finding in found if finding.state != State.OK)
    assert not any(finding.do for finding in found if finding.state == State.OK)
    return [(finding.check, finding.of, finding.state) for finding in found if finding.state != State.OK]


async def test_a_house_that_is_well_has_every_check_and_no_fault(well: Path) -> None:
    found = await examine(well, Machine())
    assert [str(finding) for finding in found if finding.state != State.OK and finding.check != "disk"] == []
    assert {finding.check for finding in found} == set(CHECKS)


async def test_a_clock_that_went_back(home: Path) -> None:
    await add(home, "notify", tables.outbox, fact(NOW + timedelta(minutes=5), NOW))
    assert await faults(home) == [("clock", "notify", State.FAIL)]


async def test_a_clock_that_is_moved_by_hand(home: Path) -> None:
    MovableClock(home / "clock", NOW)
    assert await faults(home) == [("clock", "", State.WARN)]


async def test_the_clock_of_the_database_is_another(
    home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAOHU_FUNDS_DATABASE_URL", postgres_url)
    await prepare.tables(["funds"], home=home)
    assert ("clock", "funds", State.FAIL) in await faults(home)  # the server lives in the present


async def test_a_key_that_is_missing(home: Path) -> None:
    (home / "keys" / "vault.json").unlink()
    assert await faults(home) == [("keys", "", State.FAIL)]


async def test_a_key_that_others_may_read(home: Path) -> None:
    (home / "keys" / "issuer.pem").chmod(0o640)
    assert await faults(home) == [("keys", "", State.FAIL)]


async def test_a_list_of_revoked_tokens_is_no_secret(home: Path) -> None:
    revocation.revoke_subject(home / "keys" / revocation.FILE, "li", now=NOW)
    assert await faults(home) == []


async def test_a_key_that_is_kept_from_this_process_is_no_fault(home: Path) -> None:
    (home / "keys" / "issuer.pem").unlink()
    (home / "keys" / "issuer.pem").symlink_to("/dev/null")  # as docker-compose.yml lays it over the file
    assert await faults(home) == []


async def test_the_keys_of_witnesses_are_for_everybody(home: Path) -> None:
    (home / "keys" / "witnesses.vkey").touch(mode=0o644)
    assert await faults(home) == []


async def test_a_master_key_that_is_another(home: Path) -> None:
    other = RingFile(home.parent / "other" / "vault.json")
    other.read()
    keyfiles.replace(home / "keys" / "master.key", other.master_path.read_bytes())
    assert await faults(home) == [("keys", "", State.FAIL)]


async def test_a_key_that_is_in_use_for_years(home: Path) -> None:
    RingFile(home / "keys" / "vault.json").follow("data", since=NOW - 500 * DAY)
    assert await faults(home) == [("keys", "", State.WARN)]


@pytest.fixture
def openid() -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider()
    yield provider
    provider.stop()


def trust(home: Path, monkeypatch: pytest.MonkeyPatch, *issuers: str, **changes: object) -> None:
    listed = [{"issuer": issuer, "audience": AUDIENCE, "subject_prefix": issuer, **changes} for issuer in issuers]
    (home / "issuers.yaml").write_text(json.dumps(listed))
    monkeypatch.setenv("DAOHU_OIDC_ISSUERS", str(home / "issuers.yaml"))


async def test_a_provider_that_does_not_answer(
    home: Path, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    openid.add("one", "EdDSA")
    away = f"http://127.0.0.1:{free_port()}"
    trust(home, monkeypatch, openid.url, away)
    assert await faults(home) == [("sign-in", away, State.FAIL)]


async def test_a_provider_whose_keys_are_all_of_another_algorithm(
    home: Path, openid: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    openid.add("one", "EdDSA")
    trust(home, monkeypatch, openid.url, algorithms=["RS256"])
    assert await faults(home) == [("sign-in", openid.url, State.FAIL)]


async def test_a_file_of_providers_that_no_service_would_start_with(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(home, monkeypatch, "http://sso.example")
    assert await faults(home) == [("sign-in", "", State.FAIL)]


async def test_a_house_in_which_nobodys_token_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAOHU_LOCAL_ISSUER", "false")
    assert await faults(home) == [("sign-in", "", State.FAIL)]


async def test_a_database_that_is_not_there(home: Path) -> None:
    (home / "assessment.db").unlink()
    assert await faults(home) == [("database", "assessment", State.FAIL)]
    assert not (home / "assessment.db").exists()


async def test_tables_of_another_release(home: Path) -> None:
    await change(home, "registry", "DELETE FROM registry_version")
    assert await faults(home) == [("database", "registry", State.FAIL)]


async def test_a_restore_that_did_not_end(home: Path) -> None:
    await change(home, "funds", "CREATE TABLE daohu_restoring (backup text)")
    assert await faults(home) == [("database", "funds", State.FAIL)]


async def test_a_restore_into_the_home_that_did_not_end(home: Path) -> None:
    (home / "restoring").mkdir()
    assert await faults(home) == [("database", "", State.FAIL)]


async def test_a_topic_that_is_missing(home: Path) -> None:
    async with bus_of(home) as bus:
        with bus.transaction() as sql:
            sql.execute("DELETE FROM topic WHERE name LIKE '%.dlq.daohu.notify'")
    assert await faults(home) == [("topics", "", State.FAIL)]


@pytest.mark.parametrize(("minutes", "state"), [(2, State.WARN), (20, State.FAIL)])
async def test_a_fact_that_waits_to_be_published(home: Path, minutes: int, state: State) -> None:
    await add(home, "registry", tables.outbox, fact(NOW - timedelta(minutes=minutes)))
    assert await faults(home) == [("outbox", "registry", state)]


async def test_a_service_that_is_behind(home: Path) -> None:
    async with bus_of(home) as bus:
        bus.append([Message(DivisionRecorded.topic, str(n), b"{}", {}) for n in range(1001)])
    behind = [("lag", name, State.WARN) for name in NAMES if name in DivisionRecorded.consumers]
    assert await faults(home) == behind


async def test_events_that_wait_for_a_person(home: Path) -> None:
    letter = {
        "group": "daohu.funds", "topic": "t", "partition": 0, "offset": 1, "key": "k", "headers": {}, "body": b"",
        "state": "dead", "error": "x", "tries": 3, "at": NOW,
    }  # fmt: skip
    await add(home, "funds", tables.dead_letter, letter)
    assert await faults(home) == [("dead letters", "funds", State.WARN)]


async def test_rows_that_should_be_gone(home: Path) -> None:
    seen = [{"group": "daohu.funds", "event_id": new_id(), "seen_at": NOW - days * DAY} for days in (93, 1)]
    await add(home, "funds", tables.inbox, *seen)
    assert await faults(home) == [("retention", "funds", State.WARN)]


async def test_the_last_published_fact_may_be_old(home: Path) -> None:
    await add(home, "funds", tables.outbox, fact(NOW - 200 * DAY, NOW - 200 * DAY))
    assert await faults(home) == []


@pytest.mark.parametrize(("age", "state"), [(timedelta(hours=27), State.WARN), (8 * DAY, State.FAIL)])
async def test_a_backup_that_is_old(home: Path, age: timedelta, state: State) -> None:
    backed_up(home, NOW - age)
    assert await faults(home) == [("backup", "", state)]


async def test_a_backup_of_tomorrow(home: Path) -> None:
    backed_up(home, NOW + DAY)
    assert await faults(home) == [("backup", "", State.WARN)]


async def test_no_backup(home: Path) -> None:
    (home / LAST).unlink()
    assert await faults(home) == [("backup", "", State.FAIL)]


async def test_a_backup_that_is_no_longer_there(home: Path) -> None:
    backed_up(home, NOW)
    (home.parent / "there.backup").unlink()
    assert await faults(home) == [("backup", "", State.WARN)]


async def test_a_log_whose_end_was_cut_off(home: Path) -> None:
    await change(home, "funds", f"INSERT INTO ledger_book (book, seq, link) VALUES ('610926', 3, x'{'00' * 32}')")
    assert await faults(home) == [("log", "610926", State.FAIL)]


async def test_a_checkpoint_that_does_not_fit_the_tree(home: Path) -> None:
    await posted(home, entries=1)
    await sealed(home, root=bytes(32))
    assert await faults(home) == []
    await change(home, "funds", "DROP TRIGGER log_node_no_update", f"UPDATE log_node SET hash = x'{'11' * 32}'")
    assert await faults(home) == [("log", BOOK, State.FAIL)]


async def test_a_checkpoint_that_no_key_of_this_log_signed(home: Path) -> None:
    await posted(home, entries=1)
    await sealed(home, root=bytes(32), signer=Signer.new())
    assert await faults(home) == [("log", BOOK, State.FAIL)]


@pytest.mark.parametrize(("minutes", "state"), [(2, State.WARN), (31, State.FAIL)])
async def test_entries_that_nobody_seals(home: Path, minutes: int, state: State) -> None:
    await posted(home, entries=2, at=NOW - timedelta(minutes=minutes))
    await sealed(home, root=bytes(32))
    assert await faults(home) == [("log", BOOK, state)]


async def posted(home: Path, *, entries: int, at: datetime = NOW) -> None:
    """Entries as the ledger has them, of whose content nothing is looked at here."""
    one = {
        "book": BOOK, "kind": "received", "request_hash": bytes(32), "actor": "clerk", "effective_on": at.date(),
        "recorded_at": at, "division": "610926000000", "memo": "", "body": b"{}", "digest": bytes(32), "link": bytes(32),
    }  # fmt: skip
    await add(home, "funds", ledger.entry, *({**one, "seq": seq, "ref": str(seq)} for seq in range(1, entries + 1)))
    await add(home, "funds", ledger.book, {"book": BOOK, "seq": entries, "link": bytes(32)})


async def sealed(home: Path, *, root: bytes, signer: Signer | None = None) -> None:
    """The first entry is under a checkpoint; a tree of one leaf has it for its root."""
    said = Checkpoint(f"daohu.local/funds/{BOOK}", 1, root)
    note = (signer or Signer.at(home / "keys" / "funds-log.key")).sign(said.text(), said.origin)
    await add(home, "funds", log.log_node, {"book": BOOK, "level": 0, "place": 0, "hash": root})
    await add(home, "funds", log.checkpoint, {"book": BOOK, "size": 1, "root": root, "note": note, "signed_at": NOW})


@pytest.mark.parametrize(("free", "state"), [(100, State.OK), (99, State.WARN), (30, State.WARN), (29, State.FAIL)])
def test_a_disk_that_fills_up(free: int, state: State) -> None:
    assert room(free << 30, 1000 << 30).state == state


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda home: None, 0),
        (lambda home: backed_up(home, datetime.now(UTC) - 2 * DAY), 1),
        (lambda home: (home / LAST).unlink(), 2),
    ],
    ids=["well", "soon", "now"],
)
def test_the_exit_code_and_the_json_say_the_worst(home: Path, harm: Callable[[Path], object], code: int) -> None:
    backed_up(home, datetime.now(UTC))
    harm(home)
    ended = CliRunner().invoke(app, ["doctor", "--json", "--home", str(home)])
    said = json.loads(ended.stdout)
    found = [Finding(**each) for each in said["findings"] if each["check"] != "disk"]
    assert max({"OK": 0, "WARN": 1, "FAIL": 2}[each.state] for each in found) == code
    assert ended.exit_code == {"OK": 0, "WARN": 1, "FAIL": 2}[said["state"]] >= code
