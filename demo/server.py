"""The house as a process of its own: started, waited for, stopped, as a person at a shell would do it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import IO

import httpx

PORTS = range(20_000, 32_000)
"""Below what the system hands out for outgoing connections, so that a restart finds its port free."""

START_SECONDS = 60.0
STOP_SECONDS = 15.0
PORT_TRIES = 50
_POLL_S = 0.05
_COMMAND = "from services.cli import main; main()"


class NotStarted(Exception):
    """The process ended or was not ready in time; its log says why."""


def free_port() -> int:
    """A port nobody listens on now."""
    rng = SystemRandom()
    for _ in range(PORT_TRIES):
        port = rng.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotStarted(f"no free port after {PORT_TRIES} tries between {PORTS.start} and {PORTS.stop}")


class Server:
    """`daohu up` on a home with a clock that stands still until it is moved, or with the machine's (`starts_at` None)."""

    def __init__(
        self,
        home: Path,
        starts_at: datetime | None,
        *,
        port: int = 0,
        env: Mapping[str, str] | None = None,
        log_level: str = "WARNING",
    ) -> None:
        self.home, self.port = home, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "daohu.log"
        self._starts_at = starts_at
        self._env, self._log_level = dict(env or {}), log_level
        self._process: subprocess.Popen[bytes] | None = None
        self._out: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "start it first"
        return self._process.pid

    def start(self) -> None:
        """Starts the process and waits until it is ready. Raises NotStarted."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        """Waits until the launched process is ready. Raises NotStarted."""
        given_up, said = time.monotonic() + START_SECONDS, ""
        with httpx.Client(base_url=self.url, trust_env=False) as http:
            while time.monotonic() < given_up:
                if not self.running():
                    break
                with contextlib.suppress(httpx.TransportError):
                    answer = http.get("/readyz")
                    if answer.is_success:
                        return
                    said = answer.text
                time.sleep(_POLL_S)
        self.stop()
        raise NotStarted(f"daohu was not ready {said}; its last lines are in {self.log}:\n{self.last_lines()}")

    def launch(self) -> None:
        """Starts the process without waiting for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        given = [
            "up",
            "--home",
            str(self.home),
            "--port",
            str(self.port),
            "--log-level",
            self._log_level,
        ]
        if self._starts_at is not None:
            given += ["--clock-start", self._starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")]
        self._out = self.log.open("ab")
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and our own words
            [sys.executable, "-c", _COMMAND, *given],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._out,
            env={**os.environ, **self._env},
            start_new_session=True,
        )

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Asks the process to end, and ends it when it does not."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def last_lines(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            if self.running():
                self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)
        if self._out is not None:
            self._out.close()
            self._out = None
