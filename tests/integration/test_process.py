"""`daohu run`, one process at a time: what it needs before it starts, what it serves, how it ends, and how it stands PostgreSQL's absence."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services import prepare
from services.notify.weeks.domain import week_after, week_of
from shared import keys
from shared.bus import Message
from shared.clock import MovableClock, SystemClock
from shared.consumer import RATE_MAX_DEAD
from shared.kafka import KafkaBus
from shared.roles import Role
from shared.settings import Settings
from shared.watchdog import EXIT_STUCK
from tests.servers import free_port, until
from tests.servers.kafka import Kafka
from tests.servers.oidc import AUDIENCE, OpenIdProvider
from tests.servers.postgres import Postgres

DAOHU = Path(sys.executable).with_name("daohu")
START_S, STOP_S, NOTICED_S = 60.0, 30.0, 5.0
COUNTY = "610926000000"
TOPIC = "daohu.registry.division"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the processes of notify stand on, and their environment."""

    home: Path
    environment: Mapping[str, str]
    postgres: Postgres
    kafka: Kafka

    @property
    def settings(self) -> Settings:
        return Settings(kafka_bootstrap_servers=self.kafka.bootstrap_servers, topic_partitions=2)

    def token(self, *roles: Role) -> str:
        return keys.issuer(self.home).token(
            subject="tester",
            roles=roles,
            divisions=[COUNTY],
            client="tests",
            lifetime=timedelta(hours=1),
            now=SystemClock().now(),
        )

    def run(self, *words: str, **environment: str) -> "Running":
        port = free_port()
        log = self.home / f"{port}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [DAOHU, "run", "notify", *words, "--port", str(port)],
                env={**os.environ, **self.environment, **environment},
                stdout=file,
                stderr=file,
            )
        return Running(process, f"http://127.0.0.1:{port}", log)

    def send_unreadable(self, messages: int) -> None:
        async def send() -> None:
            bus = KafkaBus(self.kafka.bootstrap_servers)
            await bus.start()
            await bus.producer().send([Message(TOPIC, f"{number}", b"?", {}) for number in range(messages)])
            await bus.stop()

        asyncio.run(send())

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator["Running"]:
        """Ready, and stopped at the end."""
        live = self.run(*words, **environment)
        try:
            until(live.is_ready, START_S, f"daohu run {words}: {live.log.read_text()}")
            yield live
        finally:
            live.process.kill()
            live.process.wait(STOP_S)


@dataclass(frozen=True, slots=True)
class Running:
    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def get(self, path: str, token: str = "") -> httpx.Response:
        return httpx.get(self.url + path, headers=_bearer(token), trust_env=False, timeout=30)

    def post(self, path: str, token: str, body: Any = None) -> httpx.Response:
        headers = {**_bearer(token), "idempotency-key": "once"}
        return httpx.post(self.url + path, json=body, headers=headers, trust_env=False, timeout=30)

    def checks(self) -> dict[str, str]:
        found: dict[str, str] = self.get("/notify/readyz").json()["checks"]
        return found

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/notify/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


@pytest.fixture(scope="module")
def bare(own_postgres: Postgres, own_kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """Servers, and nothing on them."""
    home = tmp_path_factory.mktemp("bare")
    environment = {
        "DAOHU_HOME": str(home),
        "DAOHU_NOTIFY_DATABASE_URL": own_postgres.url(own_postgres.take()),
        "DAOHU_KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
    }
    return Deployment(home, environment, own_postgres, own_kafka)


@pytest.fixture
def openid() -> Iterator[OpenIdProvider]:
    provider = OpenIdProvider()
    provider.add("one", "EdDSA")
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def made(bare: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The same with keys, tables and topics."""
    home = tmp_path_factory.mktemp("made")
    environment = {
        **bare.environment,
        "DAOHU_HOME": str(home),
        "DAOHU_NOTIFY_DATABASE_URL": bare.postgres.url(bare.postgres.take()),
    }
    prepare.all_keys(home)
    asyncio.run(prepare.tables(["notify"], home=home, database_url=environment["DAOHU_NOTIFY_DATABASE_URL"]))
    deployment = Deployment(home, environment, bare.postgres, bare.kafka)
    asyncio.run(prepare.topics(deployment.settings))
    return deployment


@pytest.mark.parametrize("name", ["DAOHU_KAFKA_BOOTSTRAP_SERVERS", "DAOHU_NOTIFY_DATABASE_URL"])
def test_a_setting_that_is_missing_is_a_wrong_call_and_named(bare: Deployment, name: str) -> None:
    live = bare.run("--role", "api", **{name: ""})
    assert (live.process.wait(START_S), name in live.log.read_text()) == (2, True)


def test_keys_that_are_missing_are_named_and_not_made(bare: Deployment) -> None:
    live = bare.run("--role", "worker")
    assert live.process.wait(START_S) == 2
    assert "daohu keys init" in live.log.read_text().replace("\n", " ")
    assert not (bare.home / "keys").exists()


def test_without_its_tables_it_does_not_start_and_says_what_makes_them(bare: Deployment, made: Deployment) -> None:
    live = bare.run("--role", "api", DAOHU_HOME=str(made.home))
    assert live.process.wait(START_S) == 1
    assert "daohu migrate" in live.said("not_prepared")[0]["reason"]


@contextmanager
def tables_at(made: Deployment, revision: str) -> Iterator[None]:
    """As if another release had migrated them."""
    with psycopg.connect(made.environment["DAOHU_NOTIFY_DATABASE_URL"], autocommit=True) as connection:
        of_this_release = connection.execute("select version_num from notify_version").fetchall()
        connection.execute("update notify_version set version_num = %s where version_num not like 'kit%%'", [revision])
        yield
        connection.execute("delete from notify_version")
        connection.cursor().executemany("insert into notify_version values (%s)", of_this_release)


def test_tables_of_an_older_release_are_not_worked_on(made: Deployment) -> None:
    with tables_at(made, "0000"):
        live = made.run("--role", "api")
        assert live.process.wait(START_S) == 1
    assert "0000" in live.said("not_prepared")[0]["reason"]


def test_on_tables_of_a_newer_release_it_serves_so_that_one_can_go_back(made: Deployment) -> None:
    with tables_at(made, "9999"), made.running("--role", "api") as live:
        assert "9999" in live.said("tables_of_a_newer_release")[0]["at"]


def test_what_breaks_it_is_logged_by_kind_and_place_and_not_quoted(made: Deployment, tmp_path: Path) -> None:
    (tmp_path / "no-file.yaml").mkdir()
    live = made.run("--role", "api", DAOHU_POLICIES=str(tmp_path))
    assert live.process.wait(START_S) == 1
    [line] = live.said("broken")
    assert (line["service"], line["error"]) == ("notify", "IsADirectoryError")
    assert line["where"].startswith("shared/policy.py:")
    assert "Traceback" not in live.log.read_text()


def test_a_policy_pack_that_is_refused_is_named_with_its_line(made: Deployment, tmp_path: Path) -> None:
    (tmp_path / "torn.yaml").write_text("division: {")
    live = made.run("--role", "worker", DAOHU_POLICIES=str(tmp_path))
    assert live.process.wait(START_S) == 1
    assert live.said("not_prepared")[0]["reason"].startswith("torn.yaml:")


def test_an_api_answers_requests_and_a_worker_only_for_its_health(made: Deployment) -> None:
    token = made.token(Role.COUNTY_ADMIN)
    with made.running("--role", "api") as api, made.running("--role", "worker") as worker:
        assert api.get("/notify/v1/prompts", token).status_code == 200
        assert worker.get("/notify/v1/prompts", token).status_code == 404
        assert api.checks() == {"database": "ok"}
        assert worker.checks() == {"database": "ok", "worker": "ok", "kafka": "ok", "jobs": "ok"}
        assert _named_connections(made) == {"daohu-notify-api", "daohu-notify-worker"}
        assert (api.end(), worker.end()) == (0, 0)


def test_a_process_trusts_the_countys_provider_until_somebody_is_revoked(
    made: Deployment, openid: OpenIdProvider, tmp_path: Path
) -> None:
    """The way a cluster signs in: a description in a file, keys over HTTP, a list in the folder that all processes see."""
    described = {"issuer": openid.url, "audience": AUDIENCE, "claims": {"roles": ["realm_access", "roles"]}}
    (tmp_path / "issuers.yaml").write_text(json.dumps([described]))
    token = openid.token("one", SystemClock().now(), realm_access={"roles": ["county_admin"]})
    with made.running(
        "--role", "api", DAOHU_OIDC_ISSUERS=str(tmp_path / "issuers.yaml"), DAOHU_LOCAL_ISSUER="false"
    ) as api:
        assert api.get("/notify/v1/prompts", token).status_code == 200
        assert api.get("/notify/v1/prompts", made.token(Role.COUNTY_ADMIN)).json()["code"] == "token_issuer"
        subprocess.run([DAOHU, "tokens", "revoke", "--subject", "li", "--home", made.home], check=True)
        until(lambda: not api.get("/notify/v1/prompts", token).is_success, NOTICED_S, "the revoked token is refused")
        assert api.get("/notify/v1/prompts", token).json()["code"] == "token_revoked"


def _named_connections(made: Deployment) -> set[str]:
    with psycopg.connect(made.environment["DAOHU_NOTIFY_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "select distinct application_name from pg_stat_activity where application_name like 'daohu-%'"
        )
        return {row[0] for row in rows}


def test_a_worker_without_its_topics_does_not_start(made: Deployment) -> None:
    async def forget(topic: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=made.kafka.bootstrap_servers)
        await admin.start()
        await admin.delete_topics([topic])
        await admin.close()

    asyncio.run(forget(TOPIC))
    live = made.run("--role", "worker")
    assert live.process.wait(START_S) == 1
    asyncio.run(prepare.topics(made.settings))
    assert live.said("not_prepared")[0]["reason"].startswith(
        f"1 topics are missing, {TOPIC} first; run `daohu migrate`"
    )


def test_postgresql_away_is_a_retryable_503_and_passes_by_itself(made: Deployment) -> None:
    token = made.token(Role.POVERTY_OFFICE)
    brief = {
        "division": COUNTY,
        "week": week_after(week_of(SystemClock().now().date()), 1),
        "tasks": ["核实退出户收入"],
    }
    with made.running("--role", "api") as api:
        made.postgres.kill()
        refused = api.post("/notify/v1/briefs", token, brief)
        assert (refused.status_code, refused.json()["retryable"]) == (503, True)
        assert api.get("/notify/livez").status_code == 200
        assert (api.get("/notify/readyz").status_code, api.checks()["database"] == "ok") == (503, False)
        made.postgres.start()
        until(api.is_ready, START_S, "ready again")
        answer = api.post("/notify/v1/briefs", token, brief)
        assert answer.status_code == 201, answer.text


def test_a_process_started_before_postgresql_waits_for_it(made: Deployment) -> None:
    made.postgres.kill()
    live = made.run("--role", "api")
    try:
        until(lambda: _answers(live), START_S, "its health is asked for")
        assert live.checks()["start"] == "waiting for the database"
        early = live.get("/notify/v1/prompts", made.token(Role.COUNTY_ADMIN))
        assert (early.status_code, early.json()["retryable"]) == (503, True)
        made.postgres.start()
        until(live.is_ready, START_S, "ready")
        assert live.end() == 0
    finally:
        live.process.kill()
        live.process.wait(STOP_S)


def _answers(live: Running) -> bool:
    try:
        return live.get("/notify/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_a_round_runs_the_jobs_where_the_clock_is_moved(made: Deployment) -> None:
    MovableClock(made.home / "clock", SystemClock().now())
    with made.running("--role", "worker", DAOHU_CLOCK="movable") as worker:
        path = "/notify/demo/v1/round"
        assert worker.post(path, made.token(Role.POVERTY_OFFICE)).status_code == 403
        until(lambda: worker.post(path, made.token(Role.COUNTY_ADMIN)).json()["settled"], START_S, "settled")


def test_a_worker_whose_consumer_stands_still_ends_so_that_it_is_started_anew(made: Deployment) -> None:
    """Somebody's forgotten transaction holds the inbox: the handler waits for it, and nothing goes on."""

    with (
        psycopg.connect(made.environment["DAOHU_NOTIFY_DATABASE_URL"]) as connection,
        made.running("--role", "worker", DAOHU_STUCK_SECONDS="5") as worker,
    ):
        connection.execute("lock table dead_letter in access exclusive mode")
        made.send_unreadable(1)
        assert worker.process.wait(START_S) == EXIT_STUCK
        assert worker.said("stuck")[0]["loop"] == "consumer"


def test_events_that_cannot_be_handled_in_numbers_end_the_worker(made: Deployment) -> None:
    """A bad release must not empty a topic into the dead letters: the process ends, and whoever looks after it sees why."""

    live = made.run("--role", "worker")
    try:
        made.send_unreadable(2 * RATE_MAX_DEAD)
        assert live.process.wait(START_S) == 1
        assert live.said("loop_ended")[0]["error"] == "TooManyDeadLetters"
    finally:
        live.process.kill()
        live.process.wait(STOP_S)
