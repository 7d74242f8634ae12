"""Files that hold a secret: made on first use, readable by their owner only, the same for all processes that start at once.

Beside a private key may lie its public half, for processes that have no business with the private one.
"""

import os
from collections.abc import Callable
from pathlib import Path


class KeyFileExposed(Exception):
    """Others may read a file that holds a secret."""


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
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
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
    return _read(path)


def public(path: Path, content: bytes) -> None:
    """Writes the public half of a secret beside it, for processes that only check; everybody may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.chmod(0o644)
    fresh.replace(path)


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise KeyFileExposed(f"{path} may be read by others; run: chmod 600 {path}")
    return content
