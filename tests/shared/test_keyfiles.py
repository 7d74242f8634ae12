"""shared.keyfiles: a secret that was written is there after a power failure and after kill -9, and its copies are not."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from services import prepare
from services.funds.proofs import logkeys
from shared import issuer, keyfiles
from shared.clock import SystemClock
from shared.db import Database
from shared.keyring import RingFile
from shared.local_bus import LocalBus


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What stood in a folder each time its names were brought to the disk."""
    found: list[set[str]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            found.append({f"{path.name} {path.read_text()}" for path in Path(f"/proc/self/fd/{descriptor}").iterdir()})

    monkeypatch.setattr(os, "fsync", watched)
    return found


def test_a_new_secret_and_one_written_anew_are_on_the_disk_by_name(tmp_path: Path, settled: list[set[str]]) -> None:
    path = tmp_path / "a.key"
    keyfiles.secret(path, lambda: b"one")
    assert settled == [{"a.key one"}]
    keyfiles.replace(path, b"two")
    assert settled[1:] == [{"a.key two"}]


def test_what_somebody_left_who_was_killed_while_writing_is_gone_with_the_next_writing(tmp_path: Path) -> None:
    path, left = tmp_path / "a.key", tmp_path / ".a.key.4194305"
    left.write_text("a key that is to be gone")
    keyfiles.replace(path, b"new")
    assert {file.name for file in tmp_path.iterdir()} == {"a.key"}


class Killed(Exception):
    """Stands for kill -9: nothing after it is done."""


def _killed_at(number: int) -> Callable[..., None]:
    """`keyfiles.replace`, of which the first so many calls are done."""
    replace, left = keyfiles.replace, [number]

    def done(*args: object, **kwargs: object) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        replace(*args, **kwargs)  # type: ignore[arg-type]

    return done


@pytest.mark.parametrize("number", range(3))
def test_a_new_master_key_opens_the_same_keys_wherever_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = RingFile(tmp_path / "keys" / "vault.json", {"DAOHU_MASTER_KEY_FILE": str(tmp_path / "apart" / "master")})
    before = file.read()
    with monkeypatch.context() as patched:
        patched.setattr(keyfiles, "replace", _killed_at(number))
        with pytest.raises(Killed):
            file.follow_master()
    after = file.read()
    assert (after.data, after.blind) == (before.data, before.blind)
    file.follow_master()
    assert (file.read().data, len(file.master_path.read_text().split())) == (before.data, 1)


@pytest.mark.parametrize("name", ["issuer.pem", "funds-log.key"])
def test_a_rotation_writes_into_the_same_private_key(tmp_path: Path, name: str) -> None:
    """What docker-compose.yml lays over it in other containers would go with a rename, and they would see the key."""
    file = prepare.all_keys(tmp_path) / name
    before, content = file.stat(), file.read_bytes()
    issuer.rotate(file.parent, SystemClock().now(), life=issuer.MAX_LIFE)
    logkeys.rotate_log_key(tmp_path)
    assert file.read_bytes() != content
    assert (file.stat().st_ino, file.stat().st_mode) == (before.st_ino, before.st_mode)
    assert logkeys.hand_over(tmp_path, logkeys.signers(tmp_path))
    assert file.stat().st_ino == before.st_ino


def test_a_private_key_written_anew_may_be_shorter(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    keyfiles.secret(path, lambda: b"one\ntwo\n")
    keyfiles.rewrite(path, b"six\n")
    assert path.read_bytes() == b"six\n"


async def test_the_files_of_a_house_are_their_owners_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    """Names, health and incomes stand in them in the open."""
    before = os.umask(0o000)
    try:
        database, bus = (
            Database(f"sqlite:///{tmp_path / 'registry.db'}", service="registry"),
            LocalBus(tmp_path / "bus.db"),
        )
        await bus.start()
        async with database.write() as tx:
            await tx.execute(text("create table t (a)"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await bus.stop()
        await database.close()
    finally:
        os.umask(before)
    assert {"registry.db", "registry.db-wal", "bus.db"} <= set(modes)
    assert set(modes.values()) == {0o600}
