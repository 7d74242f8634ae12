"""What the kit forgets, and what a change feed says of it."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from shared import outbox, retention, tables
from shared.clock import MovableClock
from shared.db import Database
from shared.errors import Gone
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.local_bus import LocalBus
from shared.scope import EVERYWHERE
from shared.testing import START, TOWN


@pytest.fixture
async def house(tmp_path, database_url):
    """A database with its relay; `publish(n)` records and publishes n facts."""
    clock = MovableClock(tmp_path / "clock", START)
    database, bus = Database(database_url, service="notes"), LocalBus(tmp_path / "bus.db")
    await bus.start()
    await bus.create_topics([DivisionRecorded.topic])
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
    relay = outbox.Relay(database, bus, "notes", clock=clock)

    async def publish(count):
        event = DivisionRecorded(code=TOWN, name="城关镇", level="town")
        facts = [
            outbox.Fact(
                event,
                Envelope(
                    id=new_id(),
                    type=event.type_name,
                    source="/daohu/notes",
                    subject=event.key,
                    time=clock.now(),
                    division=TOWN,
                    actor="tester",
                    aggregate_version=1,
                ),
            )
            for _ in range(count)
        ]
        async with database.write() as tx:
            await outbox.append(tx, facts)
        await relay.publish_once()

    async def forget_after(period):
        clock.move_to(clock.now() + period + timedelta(seconds=1))
        async with database.write() as tx:
            return await retention.forget_old(tx, now=clock.now())

    async def feed(after):
        async with database.read() as tx:
            return [change.position for change in await outbox.feed(tx, DivisionRecorded.topic, EVERYWHERE, after, 10)]

    yield publish, forget_after, feed, database
    await bus.stop()
    await database.close()


async def test_positions_go_on_when_every_fact_has_been_forgotten(house):
    publish, forget_after, feed, _ = house
    await publish(3)
    await forget_after(retention.PUBLISHED)
    await publish(1)
    assert await feed(3) == [4]


async def test_a_cursor_older_than_the_feed_is_told_to_start_anew(house):
    publish, forget_after, feed, _ = house
    await publish(3)
    await forget_after(retention.PUBLISHED)
    await publish(1)
    with pytest.raises(Gone):
        await feed(1)
    assert await feed(0) == [3, 4]


async def test_facts_that_are_not_published_are_never_forgotten(house):
    publish, forget_after, _, database = house
    await publish(1)
    async with database.write() as tx:
        await tx.execute(tables.outbox.update().values(published_at=None, position=None))
    await forget_after(retention.PUBLISHED)
    async with database.read() as tx:
        assert (await tx.execute(select(func.count()).select_from(tables.outbox))).scalar_one() == 1


async def test_a_long_backlog_goes_in_parts(house, monkeypatch):
    publish, forget_after, _, database = house
    monkeypatch.setattr(retention, "AT_ONCE", 4)
    await publish(11)
    async with database.write() as tx:
        seen = [{"group": "g", "event_id": new_id(), "seen_at": START + timedelta(seconds=n)} for n in range(6)]
        await tx.execute(tables.inbox.insert(), seen)
    more = [await forget_after(retention.PUBLISHED) for _ in range(3)]
    async with database.read() as tx:
        left = [await tx.scalar(select(func.count()).select_from(t)) for t in (tables.outbox, tables.inbox)]
    assert (more, left) == ([True, True, False], [1, 0])
