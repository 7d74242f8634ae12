"""Servers for the tests: a real PostgreSQL when this machine has one. What did not run is said in the last lines."""

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

REQUIRED = os.environ.get("DAOHU_REQUIRE_SERVERS") == "1"
_not_run: dict[str, int] = {}
_numbers = count()


def _postgres_bin() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgres:
    """A cluster of its own in a temporary folder; as root it runs as the user postgres."""

    PORT = 25432

    def __init__(self, bin: Path, data: Path) -> None:
        self.bin, self.data = bin, data
        self.made: set[str] = set()
        self.free: list[str] = []
        self.user = "postgres" if getpass.getuser() == "root" else getpass.getuser()
        if self.user == "postgres" and getpass.getuser() == "root":
            shutil.chown(data, "postgres")
            data.chmod(0o700)
        self.run(
            "initdb",
            "-D",
            str(data / "pg"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        options = f"-p {self.port} -k {data} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        self.run("pg_ctl", "-D", str(data / "pg"), "-w", "-o", options, "-l", str(data / "log"), "start")

    @property
    def port(self) -> int:
        return self.PORT + os.getpid() % 1000

    @property
    def env(self) -> dict[str, str]:
        """Without the PG… variables of whoever runs the tests."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def run(self, command: str, *args: str) -> None:
        line = [str(self.bin / command), *args]
        if self.user == "postgres" and getpass.getuser() == "root":
            line = ["runuser", "-u", "postgres", "--", *line]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=self.env, cwd="/")

    def take(self) -> str:
        """An empty database of this server: a used one, emptied, or a new one."""
        name = self.free.pop() if self.free else f"daohu_test_{next(_numbers)}"
        if name in self.made:
            self.psql(name, "drop schema public cascade", "create schema public")
        else:
            self.psql("postgres", f"create database {name}")
            self.made.add(name)
        return name

    def give_back(self, name: str) -> None:
        """Ends what still runs in it; it is emptied when it is taken again."""
        self.psql("postgres", f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        self.free.append(name)

    def psql(self, database: str, *statements: str) -> None:
        where = ("-h", str(self.data), "-p", str(self.port), "-U", "postgres", "-d", database)
        self.run("psql", "-q", *where, *(part for statement in statements for part in ("-c", statement)))

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.data / "pg"), "-m", "immediate", "stop")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres | None]:
    bin = _postgres_bin()
    if bin is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="daohu-pg-") as folder:
        server = Postgres(bin, Path(folder))
        yield server
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database; the test runs once on each of the two."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def postgres_url(postgres: Postgres | None) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    if postgres is None:
        why = "no PostgreSQL on this machine (apt-get install postgresql)"
        if REQUIRED:
            pytest.fail(why)
        _not_run[why] = _not_run.get(why, 0) + 1
        pytest.skip(why)
    name = postgres.take()
    yield postgres.url(name)
    postgres.give_back(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("what did not run here, and why")
    for why, tests in _not_run.items():
        terminalreporter.write_line(f"{tests} tests: {why}")
    if not _not_run:
        terminalreporter.write_line("nothing: every test ran")
