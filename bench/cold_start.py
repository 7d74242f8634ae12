"""From nothing to the first answer of the embedded house, against importing FastAPI and SQLAlchemy; and its memory at rest."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from bench.env import Env
from bench.harness import Case
from bench.memory import resident_mb
from tests.servers import free_port

READY_S, REST_S = 120.0, 5.0


class House:
    """`daohu up` on a home."""

    def __init__(self, env: Env, home: Path) -> None:
        self.home, self.port = home, free_port()
        command = "from services.cli import main; main()"
        line = [
            sys.executable,
            "-c",
            command,
            "up",
            "--home",
            str(home),
            "--port",
            str(self.port),
            "--log-level",
            "ERROR",
        ]
        self._started = time.perf_counter()
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        env.stack.callback(self.stop)

    def ready(self) -> float:
        """Seconds from the start of the process to its first 200 from /readyz."""
        while time.perf_counter() < self._started + READY_S:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=READY_S) as connection:
                    connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: daohu\r\nconnection: close\r\n\r\n")
                    if connection.recv(12) == b"HTTP/1.1 200":
                        return time.perf_counter() - self._started
            except OSError:
                pass
            assert self.process.poll() is None, "daohu up ended"
            time.sleep(0.005)
        raise TimeoutError(f"daohu up was not ready within {READY_S:.0f} s")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(READY_S)


def cases(env: Env) -> list[Case]:
    lived_in = env.room("home")
    _start(env, lived_in)

    def fresh() -> float:
        home = env.folder / "new-home"
        shutil.rmtree(home, ignore_errors=True)
        return _start(env, home)

    against = '`python -c "import fastapi, sqlalchemy"`'
    return [
        Case("embedded cold start, to the first answer", "s", "at most", 3, lambda: _start(env, lived_in), _imports, 5, against),
        Case("embedded, very first start: databases and keys are made", "s", "at most", 3, fresh, _imports, 5, against),
        Case(f"embedded, idle memory {REST_S:.0f} s after the start", "MB", "at most", 250, lambda: _at_rest(env, lived_in), rounds=3),
    ]  # fmt: skip


def _start(env: Env, home: Path) -> float:
    house = House(env, home)
    try:
        return house.ready()
    finally:
        house.stop()


def _at_rest(env: Env, home: Path) -> float:
    house = House(env, home)
    try:
        house.ready()
        assert httpx.get(f"http://127.0.0.1:{house.port}/openapi.json", timeout=READY_S).is_success
        time.sleep(REST_S)
        return resident_mb(house.process.pid)
    finally:
        house.stop()


def _imports() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import fastapi, sqlalchemy"], check=True)
    return time.perf_counter() - started
