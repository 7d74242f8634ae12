"""Files that hold a secret: made on first use, readable by their owner only, the same for all processes that start at once.

Beside a private key may lie its public half, for processes that have no business with the private one.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECRET, PUBLIC = 0o600, 0o644


class KeyFileExposed(Exception):
    """Others may read a file that holds a secret."""


class KeyFileBroken(Exception):
    """A file does not hold what it should. The text says which, and what to do."""


def secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a secret file; when it is not there, `make()` is written to it first (mode 0600).

    Raises KeyFileExposed when group or others have any right on it.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET)
    with os.fdopen(descriptor, "wb") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)  # fails when another process was first: its secret is the one that counts
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    _settle(path.parent)
    return _read(path)


def own(path: str) -> None:
    """Before SQLite makes a database it is made here, empty, as its owner's alone: `-wal` and `-shm` become what it is.

    One that is there is left as it is; to open and close it would take the locks away that this process has on it.
    """
    if path != ":memory:" and not os.path.exists(path):
        with suppress(OSError):  # SQLite says what is wrong
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET))


def public(path: Path, content: bytes) -> None:
    """Writes the public half of a secret beside it, for processes that only check; everybody may read it."""
    replace(path, content, mode=PUBLIC)


def replace(path: Path, content: bytes, *, mode: int = SECRET) -> None:
    """Writes a file anew, a secret one by default: whoever reads meanwhile reads the old content or the new one, whole.

    When it returns, the new content outlasts a power failure. Whoever writes a secret one is `alone`.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    if mode == SECRET:
        for left in path.parent.glob(f".{path.name}.*"):  # by somebody who was killed: a secret that is to be gone
            left.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask takes away
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    _settle(path.parent)


def rewrite(path: Path, content: bytes) -> None:
    """Writes a private key anew into the same file. Raises OSError. Whoever does so is `alone`.

    Where /dev/null lies over it for other containers (docker-compose.yml), the kernel would take that away with a rename,
    and show each of them the new key. The content is less than a sector: it reaches the disk whole or not at all.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))  # afterwards: what is longer ends in lines that were there before
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Whoever reads a file of this folder to write it anew does so alone; others wait."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mark(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file was replaced; None when it is not there. Asking costs a hundredth of reading."""
    try:
        file = os.stat(path)
    except OSError:
        return None
    return file.st_mtime_ns, file.st_ino


def _settle(folder: Path) -> None:
    """Names in a folder reach the disk: of two files on two disks the later one must not be there without the earlier."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise KeyFileExposed(f"{path} may be read by others; run: chmod 600 {path}")
    return content
