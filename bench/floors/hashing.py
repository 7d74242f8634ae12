"""The machine's rate of SHA-256 over 65 bytes, one core: by C where there is a compiler, else by hashlib (and it is said)."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SOURCE = Path(__file__).with_name("hash.c")


def rate(folder: Path) -> tuple[Callable[[], float], str]:
    """(the floor in hashes a second, what it is)."""
    program = folder / "hash"
    compiler = shutil.which("cc")
    line = [compiler or "cc", "-O2", "-w", str(SOURCE), "-o", str(program), "-lcrypto"]
    if compiler and subprocess.run(line, check=False, capture_output=True).returncode == 0:
        return lambda: float(
            subprocess.run([program], check=True, capture_output=True).stdout
        ), "C SHA256(), 65 bytes, one core"
    return _hashlib, "hashlib.sha256, 65 bytes, one core (no C compiler with OpenSSL here)"


def _hashlib(times: int = 1_000_000) -> float:
    message, sha256 = b"\x07" * 65, hashlib.sha256
    started = time.perf_counter()
    for _ in range(times):
        sha256(message).digest()
    return times / (time.perf_counter() - started)
