"""Kafka and PostgreSQL go away under load, by themselves or standing still, and come back: nobody's work is lost, half done or done twice."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from demo import cast
from shared.clock import MovableClock
from shared.db import Database
from tests.integration.cluster import Cluster, Process
from tests.integration.conftest import REQUEST_S
from tests.integration.load import CLERK, Client, Load
from tests.integration.tally import all_came_out, metric, nobody_ends

AWAY_S = 10.0
GRACE_S = 5.0
"""A request that is given up cuts its connection, and this machine is busy."""

READS = {
    "registry": (CLERK, "/registry/v1/households"),
    "funds": (cast.FINANCE, "/funds/v1/sources"),
    "assessment": (cast.POVERTY_OFFICE, "/assessment/v1/targets"),
    "notify": (cast.ADMIN, "/notify/v1/prompts"),
}


def outbox(cluster: Cluster) -> tuple[float, float]:
    """Rows that wait at the registry and the age of the oldest in seconds, as its worker shows them."""
    [worker, _] = cluster.of("registry-worker")
    return metric(worker, "daohu_outbox_unpublished"), metric(worker, "daohu_outbox_oldest_age_seconds")


@pytest.mark.parametrize("way", ["stops", "stands still"])
def test_while_kafka_is_away_every_write_is_taken_and_everything_arrives_afterwards(twins: Cluster, way: str) -> None:
    """Meanwhile a day passes."""
    load, clock, kafka = Load(twins, "no-kafka"), MovableClock(twins.home / "clock"), twins.kafka
    with nobody_ends(twins), load.at_work():
        load.go_on()
        kafka.stop() if way == "stops" else kafka.pause()
        try:
            waiting, _ = outbox(twins)
            clock.move_to(clock.now() + timedelta(days=1))
            load.lasts(AWAY_S)
            load.go_on()
            more, age_s = outbox(twins)
        finally:
            kafka.start() if way == "stops" else kafka.resume()
        assert more > waiting
        assert age_s >= timedelta(days=1).total_seconds()
        assert not load.repeats
    all_came_out(twins, load)


def test_while_postgresql_is_killed_requests_are_refused_to_be_repeated_and_nothing_is_half_done(
    twins: Cluster,
) -> None:
    load = Load(twins, "killed-postgres")
    with nobody_ends(twins), load.at_work():
        load.go_on()
        twins.postgres.kill()
        try:
            refused_everywhere(twins)
        finally:
            twins.postgres.start()
        twins.wait_ready()
        load.go_on()
    assert load.repeats.keys() & {"503 unavailable", "503 ledger_unavailable"}, load.said()
    all_came_out(twins, load)


def test_while_postgresql_stands_still_requests_are_refused_in_time_and_processes_can_be_stopped(
    twins: Cluster,
) -> None:
    load, stopping = Load(twins, "still-postgres"), ("funds-api-1", "assessment-worker-1")
    with nobody_ends(twins, *stopping), load.at_work():
        load.go_on()
        twins.postgres.pause()
        try:
            refused_everywhere(twins)
            processes = [twins.processes[name] for name in stopping]
            with ThreadPoolExecutor() as threads:
                codes = list(threads.map(Process.stop, processes))  # kills those that have not ended after STOP_S
        finally:
            twins.postgres.resume()
        assert codes == [0, 0]
        for process in processes:
            process.start()
        twins.wait_ready()
        load.go_on()
    all_came_out(twins, load)


async def test_whoever_is_given_up_while_postgresql_stands_still_waits_for_no_rollback(twins: Cluster) -> None:
    database = Database(twins.postgres.url("daohu_registry"), service="registry")
    given_up = asyncio.Event()

    async def write() -> None:
        async with database.write() as tx:
            await tx.execute(text("select 1"))
            twins.postgres.pause()
            given_up.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write())
    try:
        await given_up.wait()
        writing.cancel()
        done, _ = await asyncio.wait([writing], timeout=GRACE_S)
        assert done == {writing}
    finally:
        twins.postgres.resume()
        await database.close()


def refused_everywhere(cluster: Cluster) -> None:
    """Each service's API answers a read with a problem to be repeated, within the time of a request; it lives, and is not ready."""
    apis = {service: cluster.of(f"{service}-api")[1] for service in READS}

    def ask(service: str) -> tuple[int, bool, bool, bool, int]:
        client = Client(cluster, "probe", f"http://127.0.0.1:{apis[service].port}")
        who, path = READS[service]
        lives = client.once(who, "GET", f"/{service}/livez").status_code
        started = time.monotonic()
        answer = client.once(who, "GET", path)
        in_time = time.monotonic() - started < REQUEST_S + GRACE_S
        client.close()
        return (answer.status_code, answer.json()["retryable"], "retry-after" in answer.headers, in_time, lives)

    with ThreadPoolExecutor() as threads:
        ready, found = threads.map(Process.ready, apis.values()), threads.map(ask, READS)
    assert dict(zip(READS, found, strict=True)) == dict.fromkeys(READS, (503, True, True, True, 200))
    assert not any(ready)
