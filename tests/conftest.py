"""Servers for the tests: a real PostgreSQL and a real Kafka when this machine has them. What did not run is said in the last lines.

DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS name servers that are there already; otherwise one of each is started a run.
"""

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
import structlog
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.servers import NotHere
from tests.servers.kafka import Kafka
from tests.servers.keycloak import Keycloak
from tests.servers.postgres import Databases, Postgres

REQUIRED = os.environ.get("DAOHU_REQUIRE_SERVERS") == "1"


class Server(Protocol):
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets where logs go: into that test's own capture, which ends with it."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tells what a test counted or measured. It stands in the last lines, whichever process the test ran in."""
    return lambda text: record_property("said", text)


@contextmanager
def _running(start: Callable[[Path], S]) -> Iterator[S]:
    with tempfile.TemporaryDirectory(prefix="daohu-") as folder:
        try:
            server = start(Path(folder))
        except NotHere as missing:
            (pytest.fail if REQUIRED else pytest.skip)(str(missing))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    if url := os.environ.get("DATABASE_URL"):
        databases = Databases(url)
        yield databases
        databases.stop()
    else:
        with _running(Postgres) as server:
            yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server of this module's own, which it may kill, stop and pause."""
    with _running(Postgres) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Databases) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    name = postgres.take()
    yield postgres.url(name)
    postgres.give_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database; the test runs once on each of the two."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """host:port of a broker that all tests share: topics and groups have names of each test's own."""
    if servers := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield servers
    else:
        with _running(Kafka) as server:
            yield server.bootstrap_servers


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[Kafka]:
    """A broker of this module's own, which it may kill, stop and pause."""
    with _running(Kafka) as server:
        yield server


@pytest.fixture(scope="module")
def three_brokers() -> Iterator[Kafka]:
    """A cluster of this module's own, of which it may kill one broker at a time."""
    with _running(lambda folder: Kafka(folder, brokers=3)) as server:
        yield server


@pytest.fixture(scope="module")
def keycloak() -> Iterator[Keycloak]:
    """An OpenID provider of this module's own, with no realm but its own."""
    with _running(Keycloak) as server:
        yield server


GROUPS = {"chaos": "clusters", "integration": "clusters", "e2e": "houses"}
"""Folders whose tests start whole clusters, and those that start houses: of each group one process takes all, one after another."""


class ByGroup(LoadScopeScheduling):
    """Which of several test processes takes what: a group as a whole; elsewhere a file, with the servers of its module."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((group for folder, group in GROUPS.items() if f"/{folder}/" in file), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    return ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed goes from process to process as UTF-8: half a surrogate pair, which some of them print, does not."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    said = [
        str(text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "said"
    ]
    if said:
        terminalreporter.section("what was counted and measured")
        terminalreporter.write("\n".join([*said, ""]))
    skipped = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    terminalreporter.section("what did not run here, and why")
    for why, tests in skipped.items():
        terminalreporter.write_line(f"{tests} tests: {why.removeprefix('Skipped: ')}")
    if not skipped:
        terminalreporter.write_line("nothing: every test ran")
