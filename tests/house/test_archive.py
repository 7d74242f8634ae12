"""The file of a backup: opened with its own key alone, and refused when a single byte of it is not as it was written."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.backup import archive
from services.backup.archive import CHUNK, TAG, ArchiveRefused
from services.backup.manifest import Manifest, fingerprint
from shared.ids import new_id
from shared.keyfiles import KeyFileExposed

KEY = bytes(range(32))
AT = datetime(2016, 11, 4, 9, tzinfo=UTC)
CONTENT = {"funds.db": secrets.token_bytes(3 * CHUNK + 17), "clock": b"2016-11-04", "keys/issuer.pub": b"public\n"}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """An archive of several chunks, as `pack` wrote it."""
    return pack(tmp_path, CONTENT)


def pack(folder: Path, content: dict[str, bytes], *, said: dict[str, bytes] | None = None) -> Path:
    """`said`: what the manifest says of the files, if not the truth."""
    sources = {}
    for name, data in content.items():
        sources[name] = folder / "source" / name
        sources[name].parent.mkdir(parents=True, exist_ok=True)
        sources[name].write_bytes(data)
    files = {name: fingerprint(path) for name, path in sources.items()}
    for name, data in (said or {}).items():
        other = folder / "other"
        other.write_bytes(data)
        files[name] = fingerprint(other)
    manifest = Manifest(
        id=new_id(), taken_at=AT, clock=AT, mode="embedded", release="0", canary="", files=files, stores={}, books={}
    )
    archive.pack(folder / "a.backup", KEY, manifest, sources)
    return folder / "a.backup"


def unpack(source: Path, key: bytes = KEY) -> dict[str, bytes]:
    folder = source.parent / "unpacked"
    folder.mkdir()
    archive.unpack(source, key, folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_packed_comes_out(packed: Path) -> None:
    assert unpack(packed) == CONTENT


def test_it_is_readable_by_its_owner_alone_and_nothing_lies_beside_it(packed: Path) -> None:
    assert packed.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in packed.parent.iterdir()) == ["a.backup", "source"]


def test_nothing_in_it_can_be_read_without_the_key(packed: Path) -> None:
    sealed = packed.read_bytes().partition(b"\n")[2]
    assert [name for name, data in CONTENT.items() if name.encode() in sealed or data[:16] in sealed] == []
    with pytest.raises(ArchiveRefused, match="another backup key"):
        unpack(packed, bytes(32))


def test_a_changed_byte_is_refused_wherever_it_is(packed: Path, tmp_path: Path) -> None:
    """Each byte of the first line, and as many places of what is sealed."""
    data = packed.read_bytes()
    head = data.index(b"\n") + 1
    places = [*range(head), *range(head, len(data), len(data) // head)]
    passed = []
    for at in places:
        packed.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        (tmp_path / str(at)).mkdir()
        try:
            archive.unpack(packed, KEY, tmp_path / str(at))
        except ArchiveRefused:
            continue
        passed.append(at)
    assert passed == []


@pytest.mark.parametrize("line", [b'{"id": 5}', b"5", b"[" * 2000, b'{"kind": "daohu backup", "id": "x"}', b""])
def test_another_first_line_is_no_backup(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.backup").write_bytes(line + b"\n")
    with pytest.raises(ArchiveRefused, match="no backup"):
        unpack(tmp_path / "a.backup")


def test_two_at_once_to_one_name_are_refused_and_the_first_stays(tmp_path: Path) -> None:
    """Two homes are backed up into one folder in the same second."""
    (tmp_path / ".a.backup.part").write_bytes(b"half")
    with pytest.raises(ArchiveRefused, match="another backup is being written"):
        pack(tmp_path, CONTENT)
    (tmp_path / ".a.backup.part").unlink()
    (tmp_path / "a.backup").write_bytes(b"the first")
    with pytest.raises(ArchiveRefused, match="never written over another"):
        pack(tmp_path, CONTENT)
    assert (tmp_path / "a.backup").read_bytes() == b"the first"
    assert not (tmp_path / ".a.backup.part").exists()


def chunks_of(packed: Path) -> tuple[bytes, list[bytes]]:
    head, newline, sealed = packed.read_bytes().partition(b"\n")
    size = CHUNK + TAG
    return head + newline, [sealed[start : start + size] for start in range(0, len(sealed), size)]


def test_chunks_that_are_missing_moved_or_added_are_refused(packed: Path) -> None:
    head, chunks = chunks_of(packed)
    assert len(chunks) > 3
    wrong = {
        "the last is missing": chunks[:-1],
        "the first is missing": chunks[1:],
        "all are missing": [],
        "two changed places": [chunks[1], chunks[0], *chunks[2:]],
        "one is there twice": [*chunks, chunks[-1]],
        "cut in the middle of one": [*chunks[:-1], chunks[-1][:-1]],
    }
    passed = []
    for name, kept in wrong.items():
        other = packed.parent / name / "b.backup"
        other.parent.mkdir()
        other.write_bytes(head + b"".join(kept))
        try:
            unpack(other)
        except ArchiveRefused:
            continue
        passed.append(name)
    assert passed == []


def test_the_first_line_of_another_backup_is_refused(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    other = pack(tmp_path / "second", CONTENT)
    head, _ = chunks_of(other)
    _, chunks = chunks_of(packed)
    packed.write_bytes(head + b"".join(chunks))
    with pytest.raises(ArchiveRefused):
        unpack(packed)


def test_a_file_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="clock is not what the manifest says"):
        unpack(pack(tmp_path, CONTENT, said={"clock": b"2016-11-05"}))


def test_a_file_that_would_leave_its_folder_is_refused(tmp_path: Path) -> None:
    packed = pack(tmp_path, {"../escaped": b"1"})
    (tmp_path / "escaped").unlink()  # where it was packed from
    with pytest.raises(ArchiveRefused, match="does not name"):
        unpack(packed)
    assert not (tmp_path / "escaped").exists()


def test_another_kind_of_file_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + os.urandom(100))
    with pytest.raises(ArchiveRefused, match="no backup"):
        unpack(tmp_path / "a.zip")


def test_the_key_is_made_once_and_read_from_file_or_environment(tmp_path: Path) -> None:
    path = tmp_path / "backup.key"
    with pytest.raises(ArchiveRefused, match="no backup key"):
        archive.key_at(path, make=False, environ={})
    made = archive.key_at(path, make=True, environ={})
    assert archive.key_at(path, make=False, environ={}) == made
    assert archive.key_at(tmp_path / "none", make=False, environ={"DAOHU_BACKUP_KEY": path.read_text()}) == made
    with pytest.raises(ArchiveRefused, match="32 bytes"):
        archive.key_at(path, make=False, environ={"DAOHU_BACKUP_KEY": "c2hvcnQ="})
    path.chmod(0o644)
    with pytest.raises(KeyFileExposed):
        archive.key_at(path, make=False, environ={})
