"""What a scrape finds out: facts that wait, events that wait for a person, the lag, the connections; on both databases."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from scraped import shown

from shared import looks, metrics, tables
from shared.app import build
from shared.bus import Message
from shared.clock import MovableClock
from shared.consumer import Handler
from shared.db import new_metadata
from shared.events.registry import DivisionRecorded, Level
from shared.local_bus import LocalBus
from shared.service import Service
from shared.settings import Settings
from shared.testing import COUNTY, START, running, settings_for
from shared.topics import all_topics


class LooksSettings(Settings):
    service = "notify"


@dataclass(slots=True)
class Desk:
    """A worker whose loops do not run, so that what waits goes on waiting."""

    service: Service
    clock: MovableClock
    bus: LocalBus

    async def look(self) -> dict[str, float]:
        """Name without `daohu_`, and further label values → what a scrape shows."""
        self.service.looks._fresh_until = 0.0
        await self.service.looks.take()
        found = shown(self.service.name).items()
        return {" ".join([k[0].removeprefix("daohu_"), *(v for v in k[1:] if v != "notify")]): n for k, n in found}


@pytest.fixture(autouse=True)
def nothing_shown_before() -> None:
    """The numbers of a process are one for all tests."""
    for gauge in (metrics.OUTBOX_UNPUBLISHED, metrics.CONSUMER_LAG):
        gauge.clear()


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    MovableClock(tmp_path / "clock", START)
    bus = LocalBus(tmp_path / "bus.db")
    await bus.start()
    await bus.create_topics(all_topics())
    settings = settings_for(LooksSettings, tmp_path, database_url, role="worker")

    async def hear(*_: object) -> None:
        pass

    service = Service(settings, bus, handlers=[Handler(DivisionRecorded, run=hear)])
    async with service.database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    assert isinstance(service.clock, MovableClock)
    yield Desk(service, service.clock, bus)
    await service.database.close()
    await bus.stop()


async def record(service: Service, facts: int) -> None:
    async with service.work() as work:
        for number in range(facts):
            event = DivisionRecorded(code=f"{610926000000 + number}", name="某村", level=Level.VILLAGE, parent=COUNTY)
            work.record(event, division=COUNTY)


async def test_facts_that_wait_are_counted_and_their_age_grows(desk):
    assert (await desk.look())["outbox_unpublished"] == 0
    await record(desk.service, 3)
    desk.clock.move_to(START + timedelta(seconds=90))
    found = await desk.look()
    assert (found["outbox_unpublished"], found["outbox_oldest_age_seconds"]) == (3, 90)
    assert desk.service.relay is not None
    await desk.service.relay.publish_once()
    found = await desk.look()
    assert (found["outbox_unpublished"], found["outbox_oldest_age_seconds"]) == (0, 0)
    assert found["relay_published_total"] >= 3


async def test_a_long_queue_is_counted_up_to_a_limit(desk, monkeypatch):
    await record(desk.service, 7)
    monkeypatch.setattr(looks, "MAX_COUNTED", 5)
    assert (await desk.look())["outbox_unpublished"] == 5


async def test_the_lag_is_what_the_group_has_not_taken(desk):
    await desk.bus.producer().send([Message(DivisionRecorded.topic, "k", b"{}", {}) for _ in range(4)])
    found = await desk.look()
    assert found["consumer_lag"] == 4
    assert found["consumer_last_poll_age_seconds"] >= 0


async def test_events_that_wait_for_a_person_are_shown(desk):
    assert (await desk.look())["dead_letters dead"] == 0
    await desk.bus.producer().send([Message(DivisionRecorded.topic, "k", b"not json", {"ce_type": "unknown"})])
    run = desk.service.group
    await run._work_off(await run._consumer.poll(10, 1.0))
    found = await desk.look()
    assert (found["dead_letters dead"], found["dead_letters parked"]) == (1, 0)
    assert found["consumer_events_total dead"] >= 1


async def test_connections_in_use_are_told_by_pool(desk):
    async with desk.service.database.write():
        found = await desk.look()
    assert found["db_connections_in_use write"] == 1
    assert found["db_connections_in_use read"] == 0
    assert found["db_connections_max write"] >= 1


async def test_without_its_bus_the_lag_is_absent_and_the_rest_is_there(desk):
    await desk.bus.stop()
    found = await desk.look()
    assert "consumer_lag" not in found
    assert found["outbox_unpublished"] == 0


async def test_an_api_process_shows_its_requests_and_connections_only(tmp_path):
    async with running(settings_for(LooksSettings, tmp_path), new_metadata(), []) as live:
        app = build(live.service, [], title="notify")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daohu") as http:
            await http.get("/notify/livez")
            answer = await http.get("/notify/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'daohu_db_connections_max{pool="read",service="notify"}' in answer.text
    assert 'route="/notify/livez"' in answer.text
    assert "daohu_outbox_unpublished{" not in answer.text
    assert metrics.CONTENT_TYPE in answer.headers["content-type"]
