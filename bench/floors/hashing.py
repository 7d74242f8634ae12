"""The machine's rate of SHA-256, one core: by C where there is a compiler, else by hashlib (and it is said)."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("hash.c")
NODE = 65
"""Bytes of a Merkle node's message."""


def rate(folder: Path, sizes: Sequence[int] = (NODE,)) -> tuple[Callable[[], float], str]:
    """(the floor: how often a second messages of these bytes are hashed, each once; what it is)."""
    program = folder / "hash"
    compiler = shutil.which("cc")
    line = [compiler or "cc", "-O2", "-w", str(SOURCE), "-o", str(program), "-lcrypto"]
    what = f"SHA-256 of {', '.join(map(str, sizes))} bytes, one core"
    if compiler and subprocess.run(line, check=False, capture_output=True).returncode == 0:
        hashed = [str(program), *map(str, sizes)]
        return lambda: float(subprocess.run(hashed, check=True, capture_output=True).stdout), f"C: {what}"
    return lambda: _hashlib(sizes), f"hashlib: {what} (no C compiler with OpenSSL here)"


def _hashlib(sizes: Sequence[int], times: int = 200_000) -> float:
    messages, sha256 = [b"\x07" * size for size in sizes], hashlib.sha256
    started = time.perf_counter()
    for _ in range(times):
        for message in messages:
            sha256(message).digest()
    return times / (time.perf_counter() - started)
