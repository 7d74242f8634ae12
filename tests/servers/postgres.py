"""PostgreSQL for tests: databases of a server that is there, or a server of our own that can be killed and paused."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.servers import NotHere, family, free_port, send_signal, until

START_S = 60.0
"""Also after kill -9, when the log is replayed."""


class Databases:
    """Databases of a running server, made and emptied for tests. `admin_url` names a user who may create them."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._numbers = count()
        self._made: set[str] = set()
        self._free: list[str] = []

    def take(self) -> str:
        """The name of an empty database: a used one, emptied, or a new one."""
        if self._free:
            name = self._free.pop()
            self.execute("drop schema public cascade", "create schema public", database=name)
            return name
        name = f"daohu_test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"create database {name}")
        self._made.add(name)
        return name

    def give_back(self, name: str) -> None:
        """Ends what still runs in it; it is emptied when it is taken again."""
        self.disconnect(name)
        self._free.append(name)

    def disconnect(self, name: str) -> None:
        """Ends every connection to the database, as an operator or a failover would."""
        statement = sql.SQL("select pg_terminate_backend(pid) from pg_stat_activity where datname = {}")
        self.execute(statement.format(name))

    def execute(self, *statements: str | sql.Composed, database: str = "") -> None:
        """Runs them one by one, each a transaction of its own, in the server's own database unless another is named."""
        with psycopg.connect(self.url(database) if database else self.admin_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))

    def stop(self) -> None:
        """Leaves the server as it was found."""
        for name in self._made:
            self.execute(f"drop database {name} with (force)")


class Postgres(Databases):
    """A server of our own in an empty folder; as root it runs as the user postgres.

    `durable` makes it write through to the disk (fsync), as a bench of commits must. Raises NotHere.
    """

    def __init__(self, folder: Path, *, durable: bool = False, settings: Sequence[str] = ()) -> None:
        self._bin, self._data, self._log = find_postgres(), folder / "pg", folder / "postgres.log"
        self.port = free_port()
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        self._as: list[str] = []
        if getpass.getuser() == "root":
            self._as = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
            folder.chmod(0o755)
        chosen = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "max_connections=200"]
        if not durable:
            chosen += ["fsync=off", "full_page_writes=off"]
        self._options = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in [*chosen, *settings])])
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Returns when it takes connections: also after `kill`, whose backends it waits for."""
        until(self._started, START_S, f"PostgreSQL (its log: {self._log})")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "stop")

    def restart(self) -> None:
        """A clean stop that ends every connection, then a start."""
        self._run("pg_ctl", "-w", "-m", "fast", "stop")
        self.start()

    def kill(self) -> None:
        """kill -9 of the server and all its backends."""
        pids = family(self.pid)
        send_signal(signal.SIGKILL, *pids)
        until(lambda: not any(_runs(pid) for pid in pids), START_S, "the end of PostgreSQL")

    def pause(self) -> None:
        """Every process of it stands still, connections stay open: a machine that does not answer."""
        send_signal(signal.SIGSTOP, *family(self.pid))

    def resume(self) -> None:
        send_signal(signal.SIGCONT, *family(self.pid))

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _started(self) -> bool:
        return self._run("pg_ctl", "-w", "-o", self._options, "-l", str(self._log), "start", check=False) == 0

    def _run(self, command: str, *args: str, check: bool = True) -> int:
        """Without the PG… variables of whoever runs the tests."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        line = [*self._as, str(self._bin / command), "-D", str(self._data), *args]
        quiet = {"stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run(line, check=check, env=env, cwd="/", **quiet).returncode  # type: ignore[call-overload,no-any-return]


def find_postgres() -> Path:
    """The folder of the server's programs. Raises NotHere."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if newest is None:
        raise NotHere("no PostgreSQL on this machine (apt-get install postgresql, or set DATABASE_URL)")
    return newest


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
