"""The services of docker-compose.yml as plain processes: same commands, same environment, other addresses.

`python -m tests.integration.cluster` runs one until Ctrl-C and prints its address and tokens.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from demo import cast
from demo.cluster import ClusterClock
from demo.command import issuing
from demo.driver import Driver
from shared.clock import MovableClock, county_instant
from tests.integration import composed, origin
from tests.integration.composed import COMPOSE, ROOT, Part
from tests.servers import free_port, until
from tests.servers.kafka import Kafka
from tests.servers.postgres import Postgres, find_postgres

START_S = 90.0
STOP_S = 30.0
"""`stop_grace_period` of the file: after that a process is killed."""

LOOK_S = 0.05
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Before a process that ended by itself is started again; doubled each time it ended within STEADY_S."""
STEADY_S = 10.0

LAST_WORDS = 5
"""Lines of its log that are kept of each end of a process."""

PASSWORDS = ("POSTGRES", *(f"DAOHU_{name}_DB" for name in ("REGISTRY", "FUNDS", "ASSESSMENT", "NOTIFY")))
SECRETS = {f"{whose}_PASSWORD": f"{whose.lower()}-of-a-test" for whose in PASSWORDS}
"""What .env would hold. The test's PostgreSQL asks for no password."""

OF_ALL = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)

HOME_INSIDE = "/var/lib/daohu"


class Process:
    """One replica of a service of the file, running the code at `code`. `extra` is added to its environment from its next start on."""

    def __init__(
        self,
        part: Part,
        name: str,
        port: int,
        argv: Sequence[str],
        env: Mapping[str, str],
        health: str,
        log: Path,
        code: Path = ROOT,
    ) -> None:
        self.part, self.name, self.port, self.argv, self.health, self.log = part, name, port, list(argv), health, log
        self.code = code
        self.extra: dict[str, str] = {}
        self.exits: list[int] = []
        """Exit codes so far, of every time it ended; negative: the signal that killed it."""
        self.last_words: list[str] = []
        """The last lines it had logged at each of these ends."""
        self._env = dict(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.wanted = False
        self._since = self._due = 0.0
        self._pause = FIRST_PAUSE_S

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self._lock:
            self.wanted = True
            self._launch()

    def signal(self, number: signal.Signals) -> None:
        """To the process; what kills, freezes or thaws a container does so to all that runs in it (the origin's own workers)."""
        if self.runs:
            (os.killpg if number in OF_ALL else os.kill)(self.pid, number)

    def stop(self) -> int:
        """Asks it to end, kills it when it does not, and leaves it stopped. Answers its exit code."""
        with self._lock:
            self.wanted = False
            if not self.runs:
                return self.exits[-1] if self.exits else 0
            assert self._process is not None
            self.signal(signal.SIGCONT)
            self.signal(signal.Signals[self.part.stop_signal])
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
                self._process.wait()
            return self._note_end()

    def look_after(self) -> None:
        """What `restart: unless-stopped` does: starts it again when it ended although it was wanted."""
        with self._lock:
            if not self.wanted or self._process is None or self._process.poll() is None:
                return
            if not self._due:
                self._note_end()
                steady = time.monotonic() - self._since > STEADY_S
                self._pause = FIRST_PAUSE_S if steady else min(2 * self._pause, LONGEST_PAUSE_S)
                self._due = time.monotonic() + self._pause
            elif time.monotonic() >= self._due and self.part.restarts:
                self._launch()

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(self.health, timeout=5, trust_env=False).status_code == httpx.codes.OK
        return False

    def last_lines(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _launch(self) -> None:
        if self.runs:
            return
        self._since, self._due = time.monotonic(), 0.0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                env={**self._env, **self.extra},
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _note_end(self) -> int:
        assert self._process is not None
        assert self._process.returncode is not None
        self.exits.append(self._process.returncode)
        self.last_words.append(self.last_lines(LAST_WORDS))
        return self._process.returncode


class Cluster:
    """The whole file on this machine, in an empty folder that the user postgres may reach (tempfile, not tmp_path).

    `scale`: replicas of a service, otherwise one. `env`: added to the environment of every process of ours, over the file's.
    `starts_at`: a clock that stands still until it is moved (`<home>/clock`), for all of them. `postgres` and `kafka` may be
    killed, paused and started again by their own methods; processes by `kill`, `restart`, `pause`, `resume` here.
    `before`: the code of another release; the tables and the first replica of each are then of that one, and the other replicas
    stand ready to be started.
    Raises NotHere when the machine lacks a server, TimeoutError when something is not ready in time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file: Path = COMPOSE,
        scale: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        starts_at: datetime | None = None,
        durable: bool = False,
        brokers: int = 1,
        before: Path | None = None,
    ) -> None:
        self.folder, self.home = folder, folder / "home"
        self.parts = composed.parts(file, SECRETS)
        self._before = before or ROOT
        self.processes: dict[str, Process] = {}
        self._scale = {**dict.fromkeys(self.parts, 1), **(scale or {})}
        self._env = {**(env or {}), **({"DAOHU_CLOCK": "movable"} if starts_at else {})}
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self.home.mkdir(parents=True)
        folder.chmod(0o755)  # the user postgres goes through it to its own
        if starts_at is not None:
            MovableClock(self.home / "clock", starts_at)
        self._nginx = origin.find_nginx()
        self._servers = contextlib.ExitStack()
        with contextlib.ExitStack() as undone:
            undone.enter_context(self._servers)
            for name in ("postgres", "kafka"):
                (folder / name).mkdir()
            self.postgres = Postgres(
                folder / "postgres", durable=durable, settings=settings_of(self.parts["postgres"].command)
            )
            self._servers.callback(self.postgres.stop)
            self.kafka = Kafka(folder / "kafka", brokers=brokers)
            self._servers.callback(self.kafka.stop)
            undone.pop_all()
        self._here = {
            "postgres:5432": f"127.0.0.1:{self.postgres.port}",
            "kafka:9092": self.kafka.bootstrap_servers,
            HOME_INSIDE: str(self.home),
            "0.0.0.0": "127.0.0.1",
        }
        self._prepare()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The origin's address."""
        return f"http://127.0.0.1:{self.processes['origin-1'].port}"

    def start(self) -> None:
        """Starts everything in the file's order. Returns when all of it is ready."""
        try:
            self._first_script()
            self._migrate()
            for process in self.processes.values():
                if process.code == self._before or not process.part.is_ours:
                    process.start()
            self._supervisor.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, seconds: float = START_S) -> None:
        """Returns when every process that was started answers that it is ready. Raises TimeoutError, which names the first that is not."""
        deadline = time.monotonic() + seconds
        for process in [process for process in self.processes.values() if process.wanted]:
            try:
                until(process.ready, deadline - time.monotonic(), f"{process.name} is ready")
            except TimeoutError as late:
                raise TimeoutError(f"{late}; exits {process.exits}; its last lines:\n{process.last_lines()}") from None

    def stop(self) -> None:
        """Asks all to end, the origin first. Raises nothing; `exits` of the processes say how they went."""
        self._over.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        threads = [threading.Thread(target=process.stop) for process in reversed(self.processes.values())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._servers.close()

    def of(self, service: str) -> list[Process]:
        """The replicas of a service of the file: of("funds-api")."""
        return [process for process in self.processes.values() if process.part.name == service]

    def kill(self, name: str) -> None:
        """kill -9; it is started again by itself. `name`: of a replica, funds-api-1."""
        self.processes[name].signal(signal.SIGKILL)

    def pause(self, name: str) -> None:
        """It stands still, its connections stay open."""
        self.processes[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].signal(signal.SIGCONT)

    def restart(self, name: str) -> int:
        """As a rolling restart does: asks it to end, starts it again, waits until it is ready. Answers its exit code."""
        process = self.processes[name]
        code = process.stop()
        process.start()
        until(process.ready, START_S, f"{name} is ready again")
        return code

    def complaints(self) -> list[str]:
        """What the processes logged at level error or critical."""
        return [
            f"{process.name}: {line}"
            for process in self.processes.values()
            if process.log.exists()
            for line in process.log.read_text(encoding="utf-8", errors="replace").splitlines()
            if re.search(r'"level": "(error|critical)"', line)
        ]

    def environment(self, part: Part) -> dict[str, str]:
        """The file's environment of a process of ours, at this machine's addresses."""
        return {name: self._at_home(value) for name, value in part.environment.items()}

    def driver(self, key_prefix: str, **given: Any) -> Driver:
        """Hands at the origin, with tokens of the cluster's own issuer; `driver.clock` moves the cluster's clock."""
        return Driver(self.url, issuing(self.home), key_prefix=key_prefix, move_clock=self.clock(), **given)

    def clock(self, **given: Any) -> ClusterClock:
        """The clock that all processes share; it asks the workers whether all is done."""
        workers: dict[str, list[str]] = {}
        for each in self.processes.values():
            if each.part.name.endswith("-worker"):
                workers.setdefault(each.part.service, []).append(f"http://127.0.0.1:{each.port}")
        return ClusterClock(self.home / "clock", workers, lambda: issuing(self.home)(cast.ADMIN), **given)

    def database_urls(self) -> dict[str, str]:
        """`DAOHU_<SERVICE>_DATABASE_URL` of all four, for commands like `daohu dump`."""
        given = self.environment(self.parts["migrate"])
        return {name: value for name, value in given.items() if name.endswith("_DATABASE_URL")}

    def command(self, *words: str, code: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        """`daohu …` beside the cluster, with the environment of `migrate`: all four databases, the broker, the home."""
        return subprocess.run(
            [*program(code), *words],
            env={**base(code), **self.environment(self.parts["migrate"]), **self._env},
            cwd=code,
            capture_output=True,
            text=True,
            check=False,
        )

    def _prepare(self) -> None:
        """A process a replica, none started. The origin comes last: it needs to know where the others listen."""
        at_first = self.parts if self._before == ROOT else composed.parts(self._before / COMPOSE.name, SECRETS)
        for part in self.parts.values():
            if part.is_ours and part.service:
                self._add(at_first[part.name], 1, free_port(), self._before)
                for number in range(2, self._scale[part.name] + 1):
                    self._add(part, number, free_port(), ROOT)
        self._add_origin(self.parts["origin"])

    def _add(self, part: Part, number: int, port: int, code: Path) -> None:
        name = f"{part.name}-{number}"
        words = [self._at_home(word) for word in part.command]
        words[words.index("--port") + 1] = str(port)
        health = part.health_url.replace(f":{part.port}/", f":{port}/")
        env = {**base(code), **self.environment(part), **self._env}
        argv, log = [*program(code), *words], self.folder / f"{name}.log"
        self.processes[name] = Process(part, name, port, argv, env, health, log, code)

    def _add_origin(self, part: Part) -> None:
        inside, port, config = part.published.rpartition(":")[2], free_port(), self.folder / "nginx.conf"
        apis = {name: [each.port for each in self.of(name)] for name in self.parts if name.endswith("-api")}
        config.write_text(origin.configuration(part, port, apis, self.folder))
        argv = origin.command(part, self._nginx, config)
        health = part.health_url.replace(f":{inside}/", f":{port}/")
        self.processes["origin-1"] = Process(part, "origin-1", port, argv, BASE, health, self.folder / "origin-1.log")

    def _first_script(self) -> None:
        """The script that the image of PostgreSQL runs on an empty volume."""
        part = self.parts["postgres"]
        [script] = [
            outside for inside, outside in part.mounts.items() if inside.startswith("/docker-entrypoint-initdb.d/")
        ]
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port), "PGUSER": "postgres"}
        path = f"{find_postgres()}:{BASE['PATH']}"
        env = {
            **BASE,
            **part.environment,
            **where,
            "POSTGRES_USER": "postgres",
            "POSTGRES_DB": "postgres",
            "PATH": path,
        }
        subprocess.run(["bash", str(ROOT / script)], env=env, check=True, capture_output=True)

    def _migrate(self) -> None:
        done = self.command(*self.parts["migrate"].command, code=self._before)
        if done.returncode:
            raise RuntimeError(f"daohu migrate ended with {done.returncode}: {done.stdout}{done.stderr}")

    def _at_home(self, text: str) -> str:
        for name, address in self._here.items():
            text = text.replace(name, address)
        return text

    def _supervise(self) -> None:
        while not self._over.wait(LOOK_S):
            for process in self.processes.values():
                process.look_after()


DAOHU = str(Path(sys.executable).with_name("daohu"))
BASE = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"}
"""What a process has beside the file's environment; nothing else of the caller's."""


def program(code: Path) -> list[str]:
    """`daohu` of a tree of our code; the libraries are this interpreter's."""
    return [DAOHU] if code == ROOT else [sys.executable, "-c", "from services.cli import main; main()"]


def base(code: Path) -> dict[str, str]:
    return BASE if code == ROOT else {**BASE, "PYTHONPATH": str(code)}


def settings_of(command: Sequence[str]) -> list[str]:
    """What stands behind each -c of PostgreSQL's command."""
    return [word for flag, word in pairwise(command) if flag == "-c"]


def main() -> None:
    """A cluster until Ctrl-C; its address and a few tokens go to standard output."""
    starts_at = county_instant(date(2016, 11, 1), 9)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="daohu-cluster-") as folder,
        contextlib.suppress(KeyboardInterrupt),
        Cluster(Path(folder), scale={"funds-api": 2, "funds-worker": 2}, starts_at=starts_at) as cluster,
    ):
        issue = issuing(cluster.home)
        said = {
            "origin": cluster.url,
            "home": cluster.home,
            "postgres": cluster.postgres.admin_url,
            "kafka": cluster.kafka.bootstrap_servers,
            **{process.name: f"{process.health} pid {process.pid}" for process in cluster.processes.values()},
            **{f"token {who.subject}": issue(who) for who in (cast.ADMIN, cast.FINANCE, cast.PAYER, cast.AUDITOR)},
        }
        sys.stdout.writelines(f"{name}: {value}\n" for name, value in said.items())
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
