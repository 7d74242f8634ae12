"""Backup, destroy, restore, verify on PostgreSQL and Kafka: four empty databases and a new Kafka become the house again."""

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo import cast
from services import dump
from services.backup.target import NotEmpty, Servers
from services.catalogue import NAMES, part
from services.doctor.examination import examine
from services.doctor.findings import State
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.service import Service
from shared.topics import group_of
from tests.integration.cluster import BASE, DAOHU, Cluster
from tests.integration.load import VILLAGE, Client, Load, a_fund, known_divisions, settle
from tests.servers import until
from tests.servers.kafka import Kafka

SETTLED_S = 60.0
HEARS = tuple(name for name in NAMES if name != "registry")


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers after the fire: empty databases, a Kafka that knows nothing, and the keys, which were kept elsewhere."""

    home: Path
    urls: dict[str, str]
    kafka: str

    @property
    def env(self) -> dict[str, str]:
        addresses = {f"DAOHU_{name.upper()}_DATABASE_URL": url for name, url in self.urls.items()}
        return {**BASE, **addresses, "DAOHU_HOME": str(self.home), "DAOHU_KAFKA_BOOTSTRAP_SERVERS": self.kafka}

    def daohu(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        env = {**self.env, "PATH": os.environ["PATH"]}
        return subprocess.run([DAOHU, *map(str, words)], env=env, capture_output=True, text=True, check=False)

    def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls[service]) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def execute(self, service: str, *statements: str) -> None:
        with psycopg.connect(self.urls[service], autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
def ground(twins: Cluster, own_kafka: Kafka, tmp_path: Path) -> Iterator[Ground]:
    names = {name: twins.postgres.take() for name in NAMES}
    home = tmp_path / "home"
    shutil.copytree(twins.home / "keys", home / "keys")
    shutil.copy(twins.home / "clock", home / "clock")
    yield Ground(home, {name: twins.postgres.url(each) for name, each in names.items()}, own_kafka.bootstrap_servers)
    for each in names.values():
        twins.postgres.give_back(each)


def back_up(twins: Cluster, to: Path) -> str:
    made = twins.command("backup", str(to))
    assert made.returncode == 0, made.stderr
    shutil.copy(twins.home / "keys" / "backup.key", to.parent / "backup.key")
    return made.stdout


def something_to_lose(twins: Cluster) -> None:
    """A fund that money was received in; all is published, heard and sealed."""
    desk = Client(twins, f"drill-{new_id()}")
    known_divisions(desk, twins)
    fund = desk.done(cast.FINANCE, "POST", "/funds/v1/sources", act="fund", body=a_fund(str(new_id())[-12:])).json()[
        "id"
    ]
    receipt = {"amount_fen": 100, "received_on": "2016-10-31", "voucher_no": "1"}
    desk.done(cast.FINANCE, "POST", f"/funds/v1/sources/{fund}/receipts", act="receipt", body=receipt)
    desk.close()
    settle(twins)


def dumped(home: Path, env: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every row there is, as `daohu dump --rows` writes them."""
    with monkeypatch.context() as patched:
        for name, value in env.items():
            patched.setenv(name, value)
        return asyncio.run(dump.of_home(home, canonical=False))[1]


def faults(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the doctor finds at the servers; that the clock is moved by hand and no backup was made there is as it is."""
    with monkeypatch.context() as patched:
        for name, value in ground.env.items():
            patched.setenv(name, value)
        found = asyncio.run(examine(ground.home))
    asked = [finding for finding in found if finding.check not in ("clock", "backup", "disk")]
    return [str(finding) for finding in asked if finding.state != State.OK]


def test_drill_on_postgresql_and_kafka(
    twins: Cluster,
    ground: Ground,
    tmp_path: Path,
    say: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    something_to_lose(twins)
    backup, began = tmp_path / "quiet.backup", time.monotonic()
    back_up(twins, backup)
    made = time.monotonic()
    before = dumped(twins.home, twins.database_urls(), monkeypatch)
    assert len(faults(ground, monkeypatch)) > len(NAMES)  # neither tables nor topics
    started = time.monotonic()
    restored = ground.daohu("restore", backup, "--key", tmp_path / "backup.key")
    took = time.monotonic() - started
    assert restored.returncode == 0, restored.stderr
    assert dumped(ground.home, ground.env, monkeypatch) == before != []
    until(
        lambda: faults(ground, monkeypatch) == [],
        SETTLED_S,
        "the doctor finds nothing, once every part has answered in time",
    )
    assert "registry 0 · funds 0 · assessment 0 · notify 0" in restored.stdout  # everybody had taken everything
    with pytest.raises(NotEmpty, match="never goes over a house"):
        asyncio.run(Servers(ground.home, ground.urls).require_empty(""))
    size = backup.stat().st_size / 1e6
    say(f"drill, PostgreSQL and Kafka: {size:.1f} MB, backup {made - began:.1f} s, restored and verified {took:.1f} s")


def test_facts_that_were_on_their_way_arrive_once_after_a_restore_to_a_new_kafka(
    twins: Cluster, ground: Ground, tmp_path: Path
) -> None:
    load, backup = Load(twins, "busy"), tmp_path / "busy.backup"
    away = twins.of("assessment-worker")
    with load.at_work():
        load.go_on()
        for worker in away:  # so that something is published that one who hears it has not taken
            worker.stop()
        load.go_on()
        before = load.done.copy()
        back_up(twins, backup)
        after = load.done.copy()
        for worker in away:
            worker.start()
    assert load.failures == []
    # A restore died here before: marked, and half of it done.
    for name in NAMES:
        ground.execute(
            name, "create table daohu_restoring (backup text)", "insert into daohu_restoring values ('another')"
        )
    ground.execute(
        "funds", "create table household (id int)", "create function half() returns int language sql as 'select 1'"
    )

    restored = ground.daohu("restore", backup, "--key", tmp_path / "backup.key")
    assert restored.returncode == 0, restored.stderr
    assert re.search(r"sent again to Kafka  registry [1-9]", restored.stdout), restored.stdout
    assert taken(ground) - recorded(ground) == set()
    waiting = heard(ground) - taken(ground)
    assert waiting != set()

    asyncio.run(work_off(ground))
    known = versions(ground, load, "registry", "id")
    assert before["household"] <= len(known) <= after["household"] + len(load._clients)
    assert (
        versions(ground, load, "funds", "household_id") == versions(ground, load, "assessment", "household_id") == known
    )
    assert {name: ground.rows(name, "select id from dead_letter") for name in NAMES} == {name: [] for name in NAMES}
    assert heard(ground) - taken(ground) == set()
    twice = 'select event_id from inbox group by "group", event_id having count(*) > 1'
    assert [ground.rows(name, twice) for name in HEARS] == [[], [], []]


def versions(ground: Ground, load: Load, service: str, id: str) -> dict[Any, int]:
    """The households of the load, and the version of each, as a service knows them."""
    query = f"select {id}, version from household where household_no like '{VILLAGE}-{load.number:03}%'"
    return dict(ground.rows(service, query))  # type: ignore[arg-type]


def taken(ground: Ground) -> set[Any]:
    """(service, event) of everything that was taken."""
    return {
        (name, id)
        for name in HEARS
        for (id,) in ground.rows(name, f"select event_id from inbox where \"group\" = '{group_of(name)}'")
    }


def recorded(ground: Ground) -> set[Any]:
    """(service, event) for every fact there is."""
    facts = {id for name in NAMES for (id,) in ground.rows(name, "select event_id from outbox")}
    return {(name, id) for name in HEARS for id in facts}


def heard(ground: Ground) -> set[Any]:
    """(service, event) of the changes of households, which two services hear."""
    facts = ground.rows("registry", "select event_id from outbox where topic = 'daohu.registry.household'")
    return {(name, id) for name in ("funds", "assessment") for (id,) in facts}


async def work_off(ground: Ground) -> None:
    """The workers of all four run on the restored house until all is settled."""
    async with AsyncExitStack() as stack:
        services: list[Service] = []
        for name, url in ground.urls.items():
            bus = KafkaBus(ground.kafka, client_id=f"restored-{name}")
            await bus.start()
            stack.push_async_callback(bus.stop)
            made = part(name)
            given = made.settings.of(
                home=ground.home, database_url=url, role="worker", clock="movable", kafka_bootstrap_servers=ground.kafka
            )
            service: Service = made.create_app(given, bus).state.service
            stack.push_async_callback(service.database.close)
            await service.start()
            stack.push_async_callback(service.stop)
            services.append(service)
        async with asyncio.timeout(SETTLED_S):
            while not all([(await service.standing()).settled for service in services]):
                await asyncio.sleep(0.1)
