"""What a new bus hears again after a restore: what somebody who hears it has not taken, in the order of before, and nothing else."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert

from services import prepare
from services.backup import resend
from services.catalogue import NAMES, part
from shared import dead_letters, tables
from shared.bus import Record
from shared.db import Database
from shared.events.registry import DivisionRecorded, MeasureChanged
from shared.ids import new_id
from shared.local_bus import LocalBus
from shared.retention import PUBLISHED
from shared.topics import all_topics, group_of

NOW = datetime(2016, 11, 4, 9, tzinfo=UTC)
HEARERS = DivisionRecorded.consumers


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("empty")
    asyncio.run(prepare.tables(home=home))
    return home


@pytest.fixture
async def databases(empty: Path, tmp_path: Path) -> AsyncIterator[dict[str, Database]]:
    home = shutil.copytree(empty, tmp_path / "home")
    opened = {name: Database(part(name).settings.of(home=home).url, service=name) for name in NAMES}
    yield opened
    for database in opened.values():
        await database.close()


@pytest.fixture
async def bus() -> AsyncIterator[LocalBus]:
    new = LocalBus(":memory:")
    await new.start()
    await new.create_topics(all_topics())
    yield new
    await new.stop()


_positions: Iterator[int] = iter(range(1, 1_000_000))


async def said(
    databases: dict[str, Database], *, at: datetime | None = NOW, event: type = DivisionRecorded, key: str = "k"
) -> UUID:
    """A fact of the registry, published at that time; None: not yet."""
    id = new_id()
    row = {
        "event_id": id, "topic": event.topic, "key": key, "type": event.type_name, "headers": {"ce_id": str(id)},
        "body": b"{}", "division": "6" * 12, "recorded_at": NOW, "published_at": at,
        "position": next(_positions) if at else None,
    }  # fmt: skip
    async with databases["registry"].write() as tx:
        await tx.execute(insert(tables.outbox).values(row))
    return id


async def heard(databases: dict[str, Database], id: UUID, *services: str) -> None:
    for name in services:
        async with databases[name].write() as tx:
            await tx.execute(insert(tables.inbox).values(group=group_of(name), event_id=id, seen_at=NOW))


async def sent(databases: dict[str, Database], bus: LocalBus) -> list[UUID]:
    """What the bus heard, in the order of its one key."""
    counted = await resend.resend(databases, bus, now=NOW)
    places = [(tp, end) for tp, end in bus.ends.items() if end]
    records = [record for tp, end in places for record in bus.fetch(tp, 0, end)]
    assert counted.total() == len(records)
    return [UUID(record.headers["ce_id"]) for record in records]


async def test_what_everybody_took_is_not_sent(databases: dict[str, Database], bus: LocalBus) -> None:
    await heard(databases, await said(databases), *HEARERS)
    assert await sent(databases, bus) == []


async def test_what_one_of_those_who_hear_it_has_not_taken_is_sent_in_the_order_of_before(
    databases: dict[str, Database], bus: LocalBus
) -> None:
    first, second, third = [await said(databases) for _ in range(3)]
    await heard(databases, first, *HEARERS[1:])
    await heard(databases, second, *HEARERS)
    assert len(HEARERS) > 1
    assert await sent(databases, bus) == [first, third]


async def test_what_is_not_published_is_left_to_the_relay(databases: dict[str, Database], bus: LocalBus) -> None:
    await said(databases, at=None)
    assert await sent(databases, bus) == []


async def test_what_nobody_hears_is_not_sent(databases: dict[str, Database], bus: LocalBus) -> None:
    assert MeasureChanged.consumers == ()
    await said(databases, event=MeasureChanged)
    assert await sent(databases, bus) == []


async def test_what_an_inbox_may_have_forgotten_is_not_sent(databases: dict[str, Database], bus: LocalBus) -> None:
    await said(databases, at=NOW - PUBLISHED + timedelta(hours=12))
    young = await said(databases, at=NOW - PUBLISHED + timedelta(hours=36))
    assert await sent(databases, bus) == [young]


async def test_what_waits_for_a_person_is_not_sent_and_its_old_place_is_free(
    databases: dict[str, Database], bus: LocalBus
) -> None:
    waits = await said(databases)
    await heard(databases, waits, *(name for name in HEARERS if name != "funds"))
    record = Record(DivisionRecorded.topic, 0, 0, "k", b"{}", {"ce_id": str(waits)}, NOW)
    group = group_of("funds")
    async with databases["funds"].write() as tx:
        await dead_letters.enter(tx, group, record, state=dead_letters.DEAD, error="x", tries=3, at=NOW)
        await resend.of_old_kafka(tx)
        [letter] = await dead_letters.list_dead(tx)
        assert (letter.partition, letter.offset) == (resend.OLD_KAFKA, letter.id)
        assert not await dead_letters.is_known(tx, group, record)  # the new Kafka's first record there is another
    assert await sent(databases, bus) == []


async def test_more_than_a_page_is_sent_whole(
    databases: dict[str, Database], bus: LocalBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "RELAY_BATCH", 3)
    facts = [await said(databases) for _ in range(8)]
    assert await sent(databases, bus) == facts
