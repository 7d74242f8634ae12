"""What a restore refuses, and that nothing of the house is written, or served half, when it does."""

import asyncio
import base64
import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from services import prepare
from services.backup import archive, cut
from services.backup.archive import ArchiveRefused
from services.backup.manifest import fingerprint
from services.backup.restore import Asked, RestoreRefused, Wrong, restore
from services.backup.take import BackupRefused, take
from services.backup.target import PLACING, NotEmpty
from services.embedded import RESTORING, HomeInUse, lock
from shared.local_bus import LocalBus
from shared.topics import all_topics

KEY = bytes(range(32))
DATABASES = ("registry", "funds", "assessment", "notify", "bus")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `daohu up` leaves it, with a fact in it."""
    home = tmp_path_factory.mktemp("first") / "house"
    home.mkdir()
    asyncio.run(_made(home))
    prepare.all_keys(home)
    note(home, "before")
    return home


async def _made(home: Path) -> None:
    await prepare.tables(home=home)
    bus = LocalBus(home / "bus.db")
    await bus.start()
    await bus.create_topics(all_topics())
    await bus.stop()


@pytest.fixture
def house(first: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(first, tmp_path / "house"))


@pytest.fixture
async def backup(house: Path) -> Path:
    return (await take(house, house.parent / "a.backup", KEY)).path


@pytest.fixture
def home(house: Path, tmp_path: Path) -> Path:
    """Where it is restored to: nothing but the keys."""
    shutil.copytree(house / "keys", tmp_path / "home" / "keys")
    return tmp_path / "home"


def note(home: Path, reason: str) -> None:
    with closing(sqlite3.connect(home / "registry.db")) as opened, opened:
        row = ("2016-11-04T09:00:00.000000+00:00", "clerk", "noted", "x", reason, "{}")
        opened.execute("insert into audit (at, actor, action, subject, reason, facts) values (?, ?, ?, ?, ?, ?)", row)


def noted(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "registry.db")) as opened:
        return [reason for (reason,) in opened.execute("select reason from audit order by id")]


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and path.name != "lock"}


async def test_what_was_backed_up_comes_back(house: Path, backup: Path, home: Path) -> None:
    note(house, "after")
    done = await restore(home, backup, KEY, Asked())
    assert noted(home) == ["before"]
    assert {f"{name}.db" for name in DATABASES} <= files(home)
    assert done.manifest.stores["registry"].rows["audit"] == 1
    lock(home).close()


@pytest.mark.parametrize("name", ["registry.db", "bus.db", "clock"])
async def test_a_place_where_something_is_stays_as_it_is(backup: Path, home: Path, name: str) -> None:
    (home / name).write_bytes(b"2016-11-04T09:00:00+00:00" if name == "clock" else b"mine")
    before = {path: (home / path).read_bytes() for path in files(home)}
    if name == "clock":  # the home's own clock is kept, as its keys are
        await restore(home, backup, KEY, Asked())
    else:
        with pytest.raises(NotEmpty, match="never goes over a house"):
            await restore(home, backup, KEY, Asked())
        assert files(home) == before.keys()
    assert {path: (home / path).read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda data: data[:-9] + b"x" * 9]
)
async def test_a_cut_or_changed_archive_leaves_no_trace(
    backup: Path, home: Path, harm: Callable[[bytes], bytes]
) -> None:
    before = files(home)
    backup.write_bytes(harm(backup.read_bytes()))
    with pytest.raises(ArchiveRefused, match="cut or changed"):
        await restore(home, backup, KEY, Asked())
    assert files(home) == before
    lock(home).close()


async def test_without_the_keys_it_is_refused_unless_that_is_said(backup: Path, home: Path) -> None:
    shutil.rmtree(home / "keys")
    with pytest.raises(RestoreRefused, match="Put the keys of the deployment there"):
        await restore(home, backup, KEY, Asked())
    assert files(home) == set()
    await restore(home, backup, KEY, Asked(without_keys=True))
    assert noted(home) == ["before"]


@pytest.mark.parametrize("lost", ["vault.json", "master.key"])
async def test_other_keys_are_refused(backup: Path, home: Path, tmp_path: Path, lost: str) -> None:
    prepare.all_keys(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "keys" / lost, home / "keys" / lost)
    before = files(home)
    with pytest.raises(RestoreRefused, match="not those of this backup"):
        await restore(home, backup, KEY, Asked())
    assert files(home) == before


async def test_an_archive_with_keys_needs_the_master_key_alone(house: Path, home: Path) -> None:
    made = await take(house, house.parent / "b.backup", KEY, with_keys=True)
    assert not {"keys/master.key", "keys/backup.key"} & made.manifest.files.keys()
    for path in (home / "keys").iterdir():
        if path.name != "master.key":
            path.unlink()
    await restore(home, made.path, KEY, Asked())
    assert files(home / "keys") == files(house / "keys")
    exposed = [path.name for path in (home / "keys").iterdir() if path.suffix != ".pub" and path.stat().st_mode & 0o077]
    assert exposed == []


async def test_no_private_key_is_in_an_archive_unless_asked_for(house: Path) -> None:
    (house / "keys" / "backup.key").write_bytes(base64.b64encode(KEY))
    made = await take(house, house.parent / "b.backup", KEY)
    assert {name for name in made.manifest.files if name.startswith("keys/")} == {
        "keys/issuer.pub",
        "keys/funds-log.pub",
    }


async def test_every_backup_with_keys_can_be_restored_whatever_lies_beside_them(house: Path, home: Path) -> None:
    (house / "keys" / ".issuer.pem.99").write_bytes(b"half written")
    (house / "keys" / "witnesses.vkey").write_bytes(b"public")
    made = await take(house, house.parent / "b.backup", KEY, with_keys=True)
    await restore(home, made.path, KEY, Asked())
    assert not (home / "keys" / ".issuer.pem.99").exists()
    assert (home / "keys" / "witnesses.vkey").stat().st_mode & 0o777 == 0o644
    (house / "keys" / "Ausweise.txt").touch()
    with pytest.raises(BackupRefused, match=r"Ausweise.txt cannot be in a backup"):
        await take(house, house.parent / "c.backup", KEY, with_keys=True)


async def test_files_that_change_while_a_backup_is_made_are_in_it_as_they_were(
    house: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demonstration's clock goes on, somebody is revoked: what the manifest says and what is packed stay the same."""
    (house / "clock").write_bytes(b"2016-11-04T09:00:00+00:00")
    at_the_cut(monkeypatch, lambda: (house / "clock").write_bytes(b"2016-11-04T09:00:01+00:00"))
    made = await take(house, house.parent / "b.backup", KEY)
    await restore(home, made.path, KEY, Asked())
    assert (home / "clock").read_bytes() == b"2016-11-04T09:00:00+00:00"


async def test_a_keyring_that_changes_at_the_instant_is_in_no_backup(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sealed under a new key could not be opened with the ring of before, nor the old with one that retired it."""
    ring = house / "keys" / "vault.json"
    at_the_cut(monkeypatch, lambda: ring.write_bytes(ring.read_bytes() + b" "))
    with pytest.raises(BackupRefused, match="keys were changed"):
        await take(house, house.parent / "b.backup", KEY, with_keys=True)
    assert os.listdir(house.parent) == ["house"]


def at_the_cut(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Something happens just before the instant of the backup."""
    together = cut._together

    def and_act(*connections: Sequence[sqlite3.Connection]) -> bool:
        act()
        return together(*connections)

    monkeypatch.setattr(cut, "_together", and_act)


async def test_a_house_runs_on_no_half_restore_and_the_next_one_begins_anew(backup: Path, home: Path) -> None:
    """As a kill -9 leaves it, between the first file in its place and the last."""
    (home / RESTORING).mkdir()
    (home / RESTORING / PLACING).touch()
    shutil.copy(backup, home / RESTORING / "notify.db")
    (home / "registry.db").write_bytes(b"half")
    with pytest.raises(HomeInUse, match="did not end"):
        lock(home)
    await restore(home, backup, KEY, Asked())
    assert noted(home) == ["before"]
    lock(home).close()


async def test_a_folder_of_that_name_makes_no_house_a_half_one(backup: Path, house: Path) -> None:
    (house / RESTORING).mkdir()
    with pytest.raises(NotEmpty):
        await restore(house, backup, KEY, Asked())
    assert noted(house) == ["before"]


async def test_rows_that_are_not_those_of_the_manifest_are_not_served(backup: Path, home: Path) -> None:
    """Whoever has the key packs other rows under an old manifest."""
    inside = home.parent / "inside"
    inside.mkdir()
    manifest = archive.unpack(backup, KEY, inside)
    note(inside, "slipped in")
    files_now = {name: inside / name for name in manifest.files}
    other = manifest.model_copy(update={"files": {name: fingerprint(path) for name, path in files_now.items()}})
    backup.unlink()
    archive.pack(backup, KEY, other, files_now)
    before = files(home)
    with pytest.raises(Wrong, match="registry: the rows are not those of the backup"):
        await restore(home, backup, KEY, Asked())
    assert files(home) == before


async def test_a_backup_is_never_written_over_another(house: Path, backup: Path) -> None:
    before = backup.read_bytes()
    with pytest.raises(BackupRefused, match="never written over another"):
        await take(house, backup, KEY)
    assert backup.read_bytes() == before


@pytest.mark.parametrize(("lost", "why"), [("funds.db", "no house"), ("keys/vault.json", "is this the home")])
async def test_there_is_no_backup_of_half_a_house(house: Path, lost: str, why: str) -> None:
    (house / lost).unlink()
    with pytest.raises(BackupRefused, match=why):
        await take(house, house.parent / "b.backup", KEY)
    assert os.listdir(house.parent) == ["house"]
    assert not (house / lost).exists()


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[list[Path]]:
    """Two files that one writer changes together, one after the other: he holds the first until the second is changed."""
    paths = [tmp_path / f"{name}.db" for name in ("first", "second")]
    for path in paths:
        with closing(sqlite3.connect(path)) as opened:
            opened.execute("pragma journal_mode=wal")
            opened.execute("create table number (n integer)")
            opened.execute("insert into number values (0)")
            opened.commit()
    over = threading.Event()

    def write() -> None:
        first, second = (sqlite3.connect(path, isolation_level=None) for path in paths)
        while not over.wait(0.0005):
            first.execute("begin immediate")
            first.execute("update number set n = n + 1")
            second.execute("update number set n = n + 1")
            first.execute("commit")
        first.close()
        second.close()

    writer = threading.Thread(target=write)
    writer.start()
    yield paths
    over.set()
    writer.join()


def test_copies_of_several_files_are_of_one_instant(pairs: list[Path]) -> None:
    seen = []
    for _ in range(20):
        with cut.of_files(pairs) as readers:
            seen.append([reader.execute("select n from number").fetchone()[0] for reader in readers])
    assert [pair for pair in seen if pair[0] != pair[1]] == []
    assert len({first for first, _ in seen}) > 1  # they were written meanwhile


def test_a_writer_who_never_ends_is_not_waited_for_for_ever(pairs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "SQLITE_WITHIN_S", 0.05)
    with closing(sqlite3.connect(pairs[1].with_name("third.db"), isolation_level=None)) as other:
        other.execute("create table number (n integer)")
        other.execute("begin immediate")
        with pytest.raises(cut.NoMoment), cut.of_files([*pairs, pairs[1].with_name("third.db")]):
            pass


async def test_two_backups_at_once_are_one_too_many(house: Path) -> None:
    with (house / "backup.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BackupRefused, match="Another backup"):
            await take(house, house.parent / "b.backup", KEY)
    assert os.listdir(house.parent) == ["house"]
