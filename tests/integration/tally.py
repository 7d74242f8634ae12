"""What a load has left in the databases and on the topics, held against what was acknowledged: all of it, and each thing once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prometheus_client.parser import text_string_to_metric_families

from demo import cast
from shared.bus import Record
from shared.ids import new_id
from shared.kafka import KafkaBus
from tests.integration.cluster import Cluster, Process
from tests.integration.load import RECEIPT_FEN, VILLAGE, Load, rows, settle

HOUSEHOLDS = "daohu.registry.household"
SERVICES = ("registry", "funds", "assessment", "notify")
DEADLINE_S = 60.0


@contextmanager
def nobody_ends(cluster: Cluster, *but: str) -> Iterator[None]:
    """No process ends by itself."""
    ended = {name: len(process.exits) for name, process in cluster.processes.items() if name not in but}
    yield
    assert {name: len(cluster.processes[name].exits) for name in ended} == ended


def all_came_out(cluster: Cluster, load: Load) -> None:
    """Waits until all is settled, then compares. Raises AssertionError."""
    assert load.failures == [], (load.failures, cluster.complaints()[-20:])
    settle(cluster)
    households = versions(cluster, "registry", load)
    assert len(households) == load.done["household"] > 0
    assert received_fen(load) == load.done["receipt"] * RECEIPT_FEN > 0
    messages = "select count(*) from inbound_message where message_ref like %s"
    assert rows(cluster, "notify", messages, f"{load.name}-%") == [(load.done["message"],)]
    targets = "select count(*) from target where year = %s"
    assert rows(cluster, "assessment", targets, 2016 + load.number) == [(load.done["target"],)]
    heard_in_order(cluster, load, households)
    assert dead_letters(cluster) == {}


def heard_in_order(cluster: Cluster, load: Load, households: dict[UUID, int]) -> None:
    """Both services that hear of households know the newest file of each; the topic has each change once, in order."""
    assert versions(cluster, "funds", load) == versions(cluster, "assessment", load) == households
    changes = asyncio.run(_first_heard(cluster, households))
    assert all(heard == sorted(heard) for heard in changes.values())
    assert {id: heard[-1] for id, heard in changes.items()} == households
    recorded = "select key, count(*) from outbox where topic = %s group by key"
    in_outbox = {UUID(key): number for key, number in rows(cluster, "registry", recorded, HOUSEHOLDS)}
    assert {id: len(heard) for id, heard in changes.items()} == {id: in_outbox[id] for id in households}


def metric(process: Process, name: str, **labels: str) -> float:
    """A number that a process shows of itself; 0 while it shows none."""
    shown = httpx.get(
        f"http://127.0.0.1:{process.port}/{process.part.service}/metrics", timeout=30, trust_env=False
    ).text
    samples = (each for family in text_string_to_metric_families(shown) for each in family.samples)
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


def versions(cluster: Cluster, service: str, load: Load) -> dict[UUID, int]:
    """The households of a load and the version of each, as a service knows them."""
    id = "id" if service == "registry" else "household_id"
    query = f"select {id}, version from household where household_no like %s"
    return dict(rows(cluster, service, query, f"{VILLAGE}-{load.number:03}%"))


def received_fen(load: Load) -> int:
    """What the ledger says has arrived in the load's fund."""
    fund = load.desk.done(cast.FINANCE, "GET", f"/funds/v1/sources/{load.fund}").json()
    return int(fund["figures"]["received_fen"])


def dead_letters(cluster: Cluster) -> dict[str, int]:
    """Services in which events wait for a person."""
    counts = {name: rows(cluster, name, "select count(*) from dead_letter")[0][0] for name in SERVICES}
    return {name: number for name, number in counts.items() if number}


async def _first_heard(cluster: Cluster, households: dict[UUID, int]) -> dict[UUID, list[int]]:
    """Household → versions of its events, in the order in which each event was first delivered."""
    bus = KafkaBus(cluster.kafka.bootstrap_servers)
    await bus.start()
    consumer = bus.consumer(f"tally-{new_id()}", [HOUSEHOLDS])
    heard: dict[str, Record] = {}
    async with asyncio.timeout(DEADLINE_S):
        while True:
            records = await consumer.poll(500, 0.5)
            heard.update({r.headers["ce_id"]: r for r in records if r.headers["ce_id"] not in heard})
            if not records and await consumer.lag() == 0:
                break
            await consumer.commit({r.tp: r.offset + 1 for r in records})
    await consumer.close()
    await bus.stop()
    found: dict[UUID, list[int]] = {}
    for record in heard.values():
        if (id := UUID(record.key)) in households:
            found.setdefault(id, []).append(int(record.headers["ce_aggregateversion"]))
    return found
