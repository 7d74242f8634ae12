"""Making a backup (备份) of a running house: the instant, the copies, the archive, and a line that says when it was made."""

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from services.backup import archive, counts, cut, postgres
from services.backup.manifest import Book, Manifest, Store, fingerprint
from services.catalogue import NAMES, part
from shared import keys
from shared.clock import MovableClock, SystemClock
from shared.ids import new_id
from shared.keyring import RingFile
from shared.settings import Settings

BUS = "bus"
CLOCK = "clock"
LAST = "last-backup.json"
"""Under the home: when the last backup was made and where it went. `daohu doctor` reads it."""

STAGING = "backing-up"
LOCK = "backup.lock"
NEVER = frozenset({"backup.key", "master.key"})
"""Keys that no archive holds, also with `keys`: the one that opens it, and the one that opens the keyring."""

PUBLIC = frozenset({".pub", ".vkey"})
"""Of files beside the keys that everybody may read: public keys, and those of witnesses."""

RING = "vault.json"
CANARY_COLUMN = "backup.canary"


class BackupRefused(Exception):
    """There is nothing to back up here, or it is not possible now. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made; `size` in bytes."""

    path: Path
    size: int
    manifest: Manifest
    seconds: float


def urls_of(home: Path) -> dict[str, str]:
    """Service → the address of its database. Raises BackupRefused when some lie in files and some on servers."""
    urls = {name: part(name).settings.of(home=home).url for name in NAMES}
    if len({url.startswith("sqlite") for url in urls.values()}) != 1:
        raise BackupRefused(
            "Some services have a DAOHU_…_DATABASE_URL and some do not. Give those of all four, or none."
        )
    return urls


def is_embedded(urls: Mapping[str, str]) -> bool:
    return next(iter(urls.values())).startswith("sqlite")


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def take(home: Path, to: Path, key: bytes, *, with_keys: bool = False) -> Made:
    """Writes a backup to a file, or under a name of its own into a folder. The house may run; nothing of it is changed.

    Raises BackupRefused, NoMoment, OSError and the drivers' errors.
    """
    began = time.monotonic()
    urls = urls_of(home)
    taken_at = SystemClock().now()  # the machine's own time, whatever clock the house has
    target = _target(to, taken_at)
    with _alone(home), _staging(home) as staging:
        settings = Settings(home=home)
        if missing := keys.missing(settings):
            raise BackupRefused(f"There is no {', '.join(missing)}: is this the home of the deployment?")
        id = new_id()
        members = _own_files(home, staging, with_keys=with_keys)
        given = {
            "id": id,
            "taken_at": taken_at,
            "clock": MovableClock(home / CLOCK).now() if (home / CLOCK).exists() else taken_at,
            "release": version("daohu"),
            "canary": keys.vault(settings).seal(str(id), column=CANARY_COLUMN, row=id),
        }
        if is_embedded(urls):
            stores, books, files = await _from_files(home, urls, staging)
            mode, server = "embedded", ""
        else:
            stores, books, files, server = await _from_servers(home, urls, staging)
            mode = "cluster"
        members |= files
        manifest = Manifest(
            **given, mode=mode, postgres=server, stores=stores, books=books,
            files={name: fingerprint(path) for name, path in members.items()},
        )  # fmt: skip
        size = archive.pack(target, key, manifest, members)
        made = Made(target, size, manifest, time.monotonic() - began)
        _note(home, made)
    return made


def _target(to: Path, taken_at: datetime) -> Path:
    target = to / f"daohu-{taken_at:%Y%m%dT%H%M%SZ}.backup" if to.is_dir() else to
    if target.exists():
        raise BackupRefused(f"{target} is there already; a backup is never written over another.")
    if not target.parent.is_dir():
        raise BackupRefused(f"There is no folder {target.parent}.")
    return target


async def _from_files(
    home: Path, urls: Mapping[str, str], staging: Path
) -> tuple[dict[str, Store], dict[str, Book], dict[str, Path]]:
    sources = {**{name: file_of(url) for name, url in urls.items()}, BUS: home / "bus.db"}
    if missing := [str(path) for path in sources.values() if not path.is_file()]:
        raise BackupRefused(f"There is no house at {home}: {missing[0]} is missing.")
    copies = {name: staging / f"{name}.db" for name in sources}
    with cut.of_files(list(sources.values())) as readers:
        _require_same_ring(home, staging)
        for reader, copy in zip(readers, copies.values(), strict=True):
            with closing(sqlite3.connect(copy)) as written:
                reader.backup(written)
    stores: dict[str, Store] = {}
    books: dict[str, Book] = {}
    for name, copy in copies.items():
        with closing(sqlite3.connect(copy)) as opened:
            # One file, without a log beside it: what is packed is all there is.
            opened.execute("PRAGMA journal_mode=DELETE")
            ask = counts.of_file(opened)
            stores[name] = await counts.store(ask, name, sqlite=True)
            if name == "funds":
                books = await counts.books(ask)
    return stores, books, {copy.name: copy for copy in copies.values()}


async def _from_servers(
    home: Path, urls: Mapping[str, str], staging: Path
) -> tuple[dict[str, Store], dict[str, Book], dict[str, Path], str]:
    stores: dict[str, Store] = {}
    books: dict[str, Book] = {}
    files: dict[str, Path] = {}
    async with cut.of_databases(urls) as instant:
        _require_same_ring(home, staging)
        for name, (snapshot, connection) in instant.items():
            server = postgres.version_of(connection)
            postgres.require_client("pg_dump", server)
            dump = staging / f"{name}.dump"
            await postgres.dump(urls[name], snapshot, dump)
            ask = counts.of_server(connection)
            stores[name] = await counts.store(ask, name, sqlite=False)
            if name == "funds":
                books = await counts.books(ask)
            files[dump.name] = dump
    return stores, books, files, server


def _own_files(home: Path, staging: Path, *, with_keys: bool) -> dict[str, Path]:
    """Copies of the home's clock and keys, of before the instant; hidden files are somebody's half-written ones.

    Raises BackupRefused for a file whose name no restore would take.
    """
    master = RingFile(home / "keys" / RING).master_path
    wanted = [
        path
        for path in sorted((home / "keys").iterdir())
        if path.is_file() and not path.name.startswith(".") and path.name not in NEVER and path != master
    ]
    (staging / "keys").mkdir(mode=0o700)
    found: dict[str, Path] = {}
    for path in [*home.glob(CLOCK), *(path for path in wanted if with_keys or path.suffix in PUBLIC)]:
        name = str(path.relative_to(home))
        if not archive.NAME.fullmatch(name):
            raise BackupRefused(
                f"{path} cannot be in a backup: its name has more than a-z, 0-9 and . _ -. Take it away."
            )
        found[name] = staging / name
        shutil.copyfile(path, found[name])
    return found


def _require_same_ring(home: Path, staging: Path) -> None:
    """Asked at the instant: what is sealed in the copies is sealed under keys of the ring that was copied before it."""
    copied = staging / "keys" / RING
    if copied.exists() and copied.read_bytes() != (home / "keys" / RING).read_bytes():
        raise BackupRefused("The keys were changed at this very moment (daohu keys). Repeat it.")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    if not home.is_dir():
        raise BackupRefused(f"There is no home at {home}.")
    with (home / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused("Another backup of this home is being made.") from None
        yield


@contextmanager
def _staging(home: Path) -> Iterator[Path]:
    """A folder for the copies, on the home's own disk; one that a killed backup left is emptied."""
    folder = home / STAGING
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _note(home: Path, made: Made) -> None:
    said = {
        "id": str(made.manifest.id),
        "taken_at": made.manifest.taken_at.isoformat(),
        "path": str(made.path.absolute()),
        "bytes": made.size,
    }
    fresh = home / f".{LAST}.{os.getpid()}"
    fresh.write_text(json.dumps(said) + "\n", encoding="utf-8")
    fresh.replace(home / LAST)
