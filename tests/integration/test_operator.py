"""What a person does about dead letters from the command line, in both modes: the embedded one stopped, the other one running."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from services.catalogue import NAMES, part
from shared import tables
from shared.bus import Bus, Message
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.local_bus import LocalBus
from shared.service import Service
from shared.testing import COUNTY, START, TOWN
from shared.topics import all_topics
from tests.servers.kafka import Kafka
from tests.servers.postgres import Databases

ROOT = Path(__file__).resolve().parents[2]
DAOHU = Path(sys.executable).with_name("daohu")
COMMAND_SECONDS = 120
DEADLINE_S = 60.0
WHO = ("--actor", "clerk", "--reason", "seen to")


@dataclass(frozen=True, slots=True)
class Office:
    """A deployment, and the shell of the person who looks after it."""

    home: Path
    env: dict[str, str]
    new_bus: Callable[[], Bus]

    def daohu(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(DAOHU), *words],
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False, cwd=ROOT,
            env={**os.environ, **self.env, "DAOHU_HOME": str(self.home), "COLUMNS": "200"},
        )  # fmt: skip

    @property
    def url(self) -> str:
        return self.env.get("DAOHU_FUNDS_DATABASE_URL", f"sqlite:///{self.home / 'funds.db'}")

    async def hear(self, *messages: Message) -> None:
        """The funds service hears these: its group runs until it has done with them."""
        bus = self.new_bus()
        await bus.start()
        made = part("funds")
        service: Service = made.create_app(
            made.settings(home=self.home, database_url=self.url, role="api"), bus
        ).state.service
        await bus.producer().send(messages)
        running = asyncio.create_task(service.group.run())
        async with asyncio.timeout(DEADLINE_S):
            while not await service.group.settled():
                await asyncio.sleep(0.02)
        await service.group.stop()
        await running
        await service.database.close()
        await bus.stop()

    async def forget(self, *ids: UUID) -> None:
        database = Database(self.url, service="funds")
        async with database.write() as tx:
            await tx.execute(delete(tables.inbox).where(tables.inbox.c.event_id.in_(ids)))
        await database.close()

    async def audited(self) -> list[tuple[str, str, str | None]]:
        database = Database(self.url, service="funds")
        async with database.read() as tx:
            c = tables.audit.c
            rows = [tuple(row) for row in await tx.execute(select(c.action, c.actor, c.reason).order_by(c.id))]
        await database.close()
        return rows


@pytest.fixture(params=["embedded", "distributed"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    home = tmp_path / "home"
    if request.param == "embedded":
        office = Office(home, {}, lambda: LocalBus(home / "bus.db"))
        given: list[str] = []
    else:
        kafka: Kafka = request.getfixturevalue("own_kafka")
        postgres: Databases = request.getfixturevalue("postgres")
        given = [postgres.take() for _ in NAMES]
        env = {f"DAOHU_{name.upper()}_DATABASE_URL": postgres.url(db) for name, db in zip(NAMES, given, strict=True)}
        env["DAOHU_KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        office = Office(home, env, lambda: KafkaBus(kafka.bootstrap_servers))
    migrated = office.daohu("migrate")
    assert migrated.returncode == 0, migrated.stderr
    if not office.env:
        asyncio.run(_topics(office))
    yield office
    for name in given:
        request.getfixturevalue("postgres").give_back(name)


async def _topics(office: Office) -> None:
    """The embedded mode makes its topics when it starts."""
    bus = office.new_bus()
    await bus.start()
    await bus.create_topics(all_topics())
    await bus.stop()


def told(code: str, name: str, *, kind: str = DivisionRecorded.type_name, version: int = 1) -> Message:
    event = DivisionRecorded(code=code, name=name, level="county" if code == COUNTY else "town")
    envelope = Envelope(
        id=new_id(), type=kind, source="/daohu/registry", subject=code, time=START,
        division=code, actor="somebody", aggregate_version=version,
    )  # fmt: skip
    return Message(event.topic, code, event.model_dump_json().encode(), envelope.headers())


def test_from_a_poison_message_to_a_decision_and_a_replay(office: Office) -> None:
    county = told(COUNTY, "平利县")
    unknown = told(TOWN, "城关镇", kind="registry.division_recorded.v9")
    asyncio.run(office.hear(county, unknown, told(TOWN, "城关镇", version=2)))
    listed = office.daohu("events", "dlq", "list", "--service", "funds")
    assert listed.returncode == 0, listed.stderr
    dead, parked, total = listed.stdout.splitlines()
    assert total == "2 dead or parked"
    assert "dead  registry.division_recorded.v9" in dead
    assert "parked  registry.division_recorded.v1" in parked
    id = dead.split()[1]

    shown = office.daohu("events", "dlq", "show", "funds", id)
    facts = dict(line.split(maxsplit=1) for line in shown.stdout.splitlines() if "parked behind" not in line)
    assert facts["error"] == "unknown type or version"
    assert facts["ce_id"] == unknown.headers["ce_id"]
    assert (facts["code"], facts["name"]) == (TOWN, "str")
    assert "城关镇" not in shown.stdout
    assert "somebody" not in shown.stdout
    assert shown.stdout.splitlines()[-1].split() == ["parked", "behind", "1"]

    retried = office.daohu("events", "dlq", "retry", "funds", id, "--actor", "clerk")
    assert (retried.returncode, retried.stdout) == (1, "0 handled\n")
    assert "unknown type or version" in retried.stderr
    waiting = office.daohu("events", "dlq", "discard", "funds", parked.split()[1], *WHO)
    assert (waiting.returncode, "dead_letter_not_open" in waiting.stderr) == (1, True)
    discarded = office.daohu("events", "dlq", "discard", "funds", id, *WHO)
    assert (discarded.returncode, discarded.stdout) == (0, "discarded, 1 parked behind it handled\n")
    assert office.daohu("events", "dlq", "list").stdout == "0 dead or parked\n"
    own = {name: value for name, value in office.env.items() if "FUNDS" in name or "KAFKA" in name}
    assert replace(office, env=own).daohu("events", "dlq", "list").stdout == "0 dead or parked\n"  # as in funds-worker
    assert asyncio.run(office.audited()) == [
        ("dead_letter_retried", "clerk", None),
        ("dead_letter_discarded", "clerk", "seen to"),
        ("dead_letter_retried", "clerk", None),
    ]

    asyncio.run(office.forget(UUID(county.headers["ce_id"])))
    topic = ("--topic", DivisionRecorded.topic, "--since", "2016-11-01")
    looked = office.daohu("replay", "funds", *topic, *WHO, "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout == "1 taken · 2 done before · 0 parked · 0 dead · 0 of no concern\n"
    assert len(asyncio.run(office.audited())) == 3
    done = office.daohu("replay", "funds", *topic, *WHO)
    assert (done.returncode, done.stdout) == (0, looked.stdout)
    begun_and_ended = [("replay_begun", "clerk", "seen to"), ("replay_ended", "clerk", "seen to")]
    assert asyncio.run(office.audited())[3:] == begun_and_ended


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """A deployment in which nothing has happened yet."""
    home = tmp_path_factory.mktemp("empty")
    office = Office(home, {}, lambda: LocalBus(home / "bus.db"))
    assert office.daohu("migrate").returncode == 0
    asyncio.run(_topics(office))
    return office


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("replay", "nobody", *WHO), 1),
        (("replay", "funds", "--topic", "daohu.nowhere", *WHO), 1),
        (("replay", "funds", "--partition", "1", *WHO), 2),
        (("replay", "funds", "--topic", DivisionRecorded.topic, "--offset", "1", *WHO), 2),
        (("replay", "funds"), 2),
        (("events", "dlq", "show", "funds", "1"), 1),
        (("events", "dlq", "retry", "nobody", "1", "--actor", "clerk"), 1),
        (("events", "dlq", "list", "--service", "nobody"), 1),
    ],
)
def test_a_wrong_command_says_what_is_wrong(empty: Office, words: tuple[str, ...], code: int) -> None:
    answer = empty.daohu(*words)
    assert answer.returncode == code
    assert answer.stderr.strip()
    assert "Traceback" not in answer.stderr
