"""Real servers that the tests, the cluster, chaos and bench start for themselves: PostgreSQL, Apache Kafka, Keycloak."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FIRST_PORT, LAST_PORT = 20000, 32000
"""Below the ephemeral ports (32768…), so that no client's own end of a connection takes one between stop and restart."""


class NotHere(Exception):
    """This machine cannot run the server; the text says what to install."""


def free_port() -> int:
    """A port that nobody listens on. Chosen at random: several runs on one machine look for theirs at once."""
    while True:
        port = random.randint(FIRST_PORT, LAST_PORT)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def family(pid: int) -> list[int]:
    """The process and its children, as PostgreSQL has one for each connection."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children += map(int, task.read_text().split())
    return [pid, *children]


def send_signal(number: signal.Signals, *pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises TimeoutError, naming `what`, when it is not so within so many seconds."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
