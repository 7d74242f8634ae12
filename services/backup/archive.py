"""The file of a backup: a line that says which it is, then a gzipped tar in chunks sealed with AES-256-GCM.

Each archive has a key of its own, wrapped (RFC 3394) under the deployment's backup key. A chunk's nonce is its number and whether it
is the last (the STREAM construction, as in age), its associated data the first line: nothing can be changed, cut, moved or added.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import secrets
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from pydantic import ValidationError

from services.backup.manifest import Manifest
from shared import keyfiles

KIND, FORMAT = "daohu backup", 1
CHUNK, TAG = 64 << 10, 16
KEY_BYTES = 32
MAX_HEAD = 4 << 10
MAX_MANIFEST = 4 << 20
SQUEEZE = 1
"""Of gzip: sealed values and PostgreSQL's dumps do not get smaller, and a backup should not take a core for long."""

MANIFEST = "manifest.json"
NAME = re.compile(r"(keys/)?[a-z0-9][a-z0-9._-]{0,80}", re.ASCII)
"""Of a file in an archive; `unpack` takes no other."""

KEY_VARIABLE = "DAOHU_BACKUP_KEY"


class ArchiveRefused(Exception):
    """It is no backup, it was cut or changed, or another key sealed it. The text says which."""


def key_at(path: Path, *, make: bool, environ: Mapping[str, str] = os.environ) -> bytes:
    """The backup key (32 bytes): from DAOHU_BACKUP_KEY, else from a file (base64, 0600), which `make` makes on first use.

    Raises ArchiveRefused when there is none or it is not one, KeyFileExposed when others may read the file.
    """
    text = environ.get(KEY_VARIABLE, "")
    if not text:
        if not make and not path.exists():
            raise ArchiveRefused(f"There is no backup key at {path}. Give it with --key, or in {KEY_VARIABLE}.")
        text = keyfiles.secret(path, lambda: base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n").decode()
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ArchiveRefused("The backup key is not 32 bytes of base64.")
    return key


def pack(target: Path, key: bytes, manifest: Manifest, members: Mapping[str, Path]) -> int:
    """Writes the archive beside `target` and renames it when it is whole and on the disk; answers its size in bytes.

    Raises ArchiveRefused when the target is there by then, or is being written.
    """
    file_key = secrets.token_bytes(KEY_BYTES)
    wrapped = base64.b64encode(aes_key_wrap(key, file_key)).decode()
    said = {"kind": KIND, "format": FORMAT, "id": str(manifest.id), "taken_at": manifest.taken_at.isoformat()}
    head = json.dumps({**said, "key": wrapped}).encode() + b"\n"
    fresh = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ArchiveRefused(
            f"{fresh} is there: another backup is being written to that name. If that one was killed, delete it."
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(head)
            sealing = _Sealing(file, AESGCM(file_key), head)
            with (
                gzip.GzipFile(fileobj=sealing, mode="wb", compresslevel=SQUEEZE, mtime=0) as squeezed,
                tarfile.open(fileobj=squeezed, mode="w|") as tar,
            ):
                _add(tar, MANIFEST, manifest.model_dump_json(indent=1).encode())
                for name, path in members.items():
                    tar.add(path, arcname=name, recursive=False, filter=_plain)
            sealing.finish()
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            raise ArchiveRefused(f"{target} is there by now; a backup is never written over another.")
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return target.stat().st_size


def head_of(source: Path) -> dict[str, Any]:
    """What the first line says, not yet proven: which backup, of when. Raises ArchiveRefused."""
    with source.open("rb") as file:
        return _read_head(file)[0]


def unpack(source: Path, key: bytes, folder: Path) -> Manifest:
    """Puts every file of an archive into a folder and answers its manifest, after all of it was checked to the last byte.

    Raises ArchiveRefused; the folder then holds parts of it, to be thrown away.
    """
    with source.open("rb") as file:
        said, head = _read_head(file)
        try:
            file_key = aes_key_unwrap(key, base64.b64decode(said["key"], validate=True))
        except (InvalidUnwrap, ValueError):
            raise ArchiveRefused(f"{source}: another backup key sealed it, or its first line was changed.") from None
        opening = _Opening(file, AESGCM(file_key), head)
        try:
            with gzip.GzipFile(fileobj=opening, mode="rb") as squeezed:  # type: ignore[call-overload]
                with tarfile.open(fileobj=squeezed, mode="r|") as tar:
                    manifest = _extract(tar, folder)
                while squeezed.read(CHUNK):
                    pass
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValidationError) as error:
            raise ArchiveRefused(f"{source}: it cannot be read ({type(error).__name__}).") from None
    if str(manifest.id) != said["id"]:
        raise ArchiveRefused(f"{source}: its first line is another backup's.")
    return manifest


def _extract(tar: tarfile.TarFile, folder: Path) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST:
        raise ArchiveRefused("It does not begin with its manifest.")
    manifest = Manifest.model_validate_json(_content(tar, first).read())
    found: set[str] = set()
    while (member := tar.next()) is not None:
        wanted = manifest.files.get(member.name)
        if wanted is None or not NAME.fullmatch(member.name) or member.name in found or not member.isreg():
            raise ArchiveRefused(f"It holds a file that its manifest does not name: {member.name[:80]!r}.")
        path = folder / member.name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        sum256 = hashlib.sha256()
        content = _content(tar, member)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            while data := content.read(CHUNK):
                sum256.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if (member.size, sum256.hexdigest()) != (wanted.size, wanted.sha256):
            raise ArchiveRefused(f"{member.name} is not what the manifest says.")
        found.add(member.name)
    if missing := manifest.files.keys() - found:
        raise ArchiveRefused(f"{', '.join(sorted(missing))} is missing in it.")
    return manifest


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise ArchiveRefused(f"{member.name[:80]!r} is no file.")
    return content


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the names and numbers of the machine's users."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _read_head(file: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    head = file.readline(MAX_HEAD)
    try:
        said = json.loads(head)
        UUID(said["id"])
        known = said["kind"] == KIND and isinstance(said["key"], str) and "format" in said
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = False
    if not known or not head.endswith(b"\n"):
        raise ArchiveRefused("This is no backup of Daohu.")
    if said["format"] != FORMAT:
        raise ArchiveRefused(f"It is of format {said['format']}; this release reads {FORMAT}.")
    return said, head


class _Sealing:
    """A file to write to; what arrives is sealed chunk by chunk. `finish` seals the last one."""

    def __init__(self, file: IO[bytes], cipher: AESGCM, head: bytes) -> None:
        self._file, self._cipher, self._head = file, cipher, head
        self._rest, self._number = bytearray(), 0

    def write(self, data: bytes) -> int:
        self._rest += data
        while len(self._rest) > CHUNK:  # the last chunk is known as such, so a full one waits for more
            self._seal(bytes(self._rest[:CHUNK]), last=False)
            del self._rest[:CHUNK]
        return len(data)

    def flush(self) -> None:
        """A chunk is written when it is full."""

    def finish(self) -> None:
        self._seal(bytes(self._rest), last=True)

    def _seal(self, data: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), data, self._head))
        self._number += 1


class _Opening:
    """A file to read from. Raises ArchiveRefused at the first chunk that is not as it was sealed; none is given out unchecked."""

    def __init__(self, file: IO[bytes], cipher: AESGCM, head: bytes) -> None:
        self._file, self._cipher, self._head = file, cipher, head
        self._next, self._number = file.read(CHUNK + TAG), 0
        self._open, self._ended = b"", False

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._open) < size):
            self._open += self._chunk()
        given = self._open if size < 0 else self._open[:size]
        self._open = self._open[len(given) :]
        return given

    def _chunk(self) -> bytes:
        sealed, self._next = self._next, self._file.read(CHUNK + TAG)
        self._ended = not self._next
        try:
            opened = self._cipher.decrypt(_nonce(self._number, self._ended), sealed, self._head)
        except InvalidTag:
            raise ArchiveRefused(f"It was cut or changed, at byte {self._number * (CHUNK + TAG)} or behind.") from None
        self._number += 1
        return opened


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
