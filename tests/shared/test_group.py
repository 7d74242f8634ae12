"""A consumer group on both buses and both databases: redelivery, rebalance, poison, dead letters on their topic, replay."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from consumer_desk import TOWNS, Desk, message, name_of, new_desk, own_kind, running
from sqlalchemy import delete, select

from shared import tables
from shared.bus import MAX_MESSAGE_BYTES, Bus, Record
from shared.clock import SystemClock
from shared.consumer import KNOWN, PASSED, TAKEN
from shared.dead_letters import DEAD, MAX_HEADER_BYTES, PARKED, list_dead
from shared.ids import new_id
from shared.kafka import KafkaBus
from shared.local_bus import LocalBus
from shared.outbox import Relay
from shared.replay import Choice, NothingToReplay, preview, replay
from shared.retention import SEEN
from shared.topics import dead_letter_topic

DEADLINE_S = 60.0
"""Of anything that waits for the broker: a member joins within seconds, a rebalance may drain a batch first."""


@pytest.fixture(params=["local bus, sqlite", "kafka, postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], Bus]]:
    """A database and a bus, as the two modes have them. A Kafka bus is made in the loop that uses it."""
    if request.param.startswith("local"):
        return f"sqlite:///{tmp_path / 'x.db'}", lambda: LocalBus(tmp_path / "bus.db")
    servers: str = request.getfixturevalue("kafka")
    return request.getfixturevalue("postgres_url"), lambda: KafkaBus(servers)


@pytest.fixture
async def desk(place: tuple[str, Callable[[], Bus]]) -> AsyncIterator[Desk]:
    url, bus = place
    with own_kind() as kind:
        async with new_desk(url, bus(), service=f"t{new_id().hex}", kind=kind) as desk:
            yield desk


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await check():
            await asyncio.sleep(0.02)


async def settle(desk: Desk) -> None:
    async with running(desk.group):
        await until(desk.group.settled)
    desk.group = desk.new_group()


async def read(desk: Desk, topic: str, count: int) -> list[Record]:
    """So many records of a topic, by a group of its own."""
    reader = desk.bus.consumer(f"reader.{new_id()}", [topic])
    records: list[Record] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(records) < count:
            records += await reader.poll(100, 0.25)
    await reader.close()
    return records


async def audited(desk: Desk) -> list[Any]:
    async with desk.database.read() as tx:
        return list((await tx.execute(select(tables.audit).order_by(tables.audit.c.id))).all())


async def first_dead(desk: Desk) -> int:
    async with desk.database.read() as tx:
        return next(letter.id for letter in await list_dead(tx) if letter.state == DEAD)


async def place_of(desk: Desk) -> dict[Any, int]:
    reader = desk.bus.consumer(desk.group.name, [desk.kind.topic])
    spans = await reader.span()
    await reader.close()
    return {tp: span.committed for tp, span in spans.items()}


async def test_what_is_delivered_again_takes_no_second_effect(desk: Desk) -> None:
    id = new_id()
    await desk.send("a", id=id)
    await desk.send("b")
    await settle(desk)
    await desk.send("a", id=id)
    await desk.send("c")
    await settle(desk)
    assert await desk.effects() == ["a", "b", "c"]
    assert desk.runs == {"a": 1, "b": 1, "c": 1}


async def test_a_member_that_joins_in_the_middle_of_a_batch_changes_neither_order_nor_count(desk: Desk) -> None:
    names = [f"{n:03d}" for n in range(110)]
    await desk.bus.producer().send([message(name, TOWNS[n % 11], kind=desk.kind) for n, name in enumerate(names[:55])])
    desk.gate.clear()
    second = desk.new_group()
    async with running(desk.group):
        await asyncio.wait_for(desk.entered.wait(), DEADLINE_S)  # the first member is inside its batch

        async def polled() -> bool:
            return second.progress > 1

        async with running(second):
            await until(polled)
            desk.gate.set()
            await desk.bus.producer().send(
                [message(name, TOWNS[n % 11], kind=desk.kind) for n, name in enumerate(names[55:])]
            )
            await until(desk.group.settled)
        await until(desk.group.settled)
    assert sorted(await desk.effects()) == names
    for town in TOWNS:
        mine = await desk.effects(town)
        assert mine == sorted(mine)


async def test_a_poison_message_and_what_waits_behind_it_are_published_on_the_dead_letter_topic(desk: Desk) -> None:
    bad = message("bad", kind=desk.kind)
    bad.headers["ce_type"] += "9"
    await desk.bus.producer().send([message("a", kind=desk.kind), bad, message("c", kind=desk.kind)])
    await desk.send("other", code=TOWNS[1])
    await settle(desk)
    assert sorted(await desk.effects()) == ["a", "other"]
    relay = Relay(desk.database, desk.bus, desk.service)
    while not await relay.all_out():
        await relay.publish_once()
    dead, parked = await read(desk, dead_letter_topic(desk.kind.topic, desk.group.name), 2)
    assert (dead.key, dead.value) == (bad.key, bad.value)
    original = {name: value for name, value in dead.headers.items() if not name.startswith("dlq_")}
    assert original == bad.headers
    assert {name: dead.headers[f"dlq_{name}"] for name in ("topic", "error", "tries", "state")} == {
        "topic": desk.kind.topic, "error": "unknown type or version", "tries": "1", "state": DEAD,
    }  # fmt: skip
    assert parked.headers["dlq_state"] == PARKED
    assert int(parked.headers["dlq_offset"]) == int(dead.headers["dlq_offset"]) + 1
    assert parked.headers["dlq_partition"] == dead.headers["dlq_partition"]
    assert name_of(parked.value) == "c"


async def test_a_letter_as_large_as_a_broker_takes_reaches_its_topic_without_its_headers(desk: Desk) -> None:
    bad = message("bad", kind=desk.kind)
    bad.headers.update({"ce_type": "of nobody", "foreign": "x" * (MAX_HEADER_BYTES + 8_000)})
    bad = replace(bad, value=bytes(MAX_MESSAGE_BYTES))
    await desk.bus.producer().send([bad])
    await settle(desk)
    relay = Relay(desk.database, desk.bus, desk.service)
    while not await relay.all_out():
        await relay.publish_once()
    [dead] = await read(desk, dead_letter_topic(desk.kind.topic, desk.group.name), 1)
    assert (dead.value, dead.headers["dlq_headers"]) == (bad.value, "left out: too large")
    assert "foreign" not in dead.headers
    async with desk.database.read() as tx:
        [letter] = await list_dead(tx)
    assert letter.headers == bad.headers


async def test_a_letter_that_is_entered_again_is_published_once(desk: Desk) -> None:
    bad = message("bad", kind=desk.kind)
    bad.headers.pop("ce_id")
    await desk.bus.producer().send([bad])
    await settle(desk)
    [record] = await read(desk, desk.kind.topic, 1)
    await desk.group._bury(record, ValueError(), 1)  # as after a crash between its transaction and the offset
    async with desk.database.read() as tx:
        rows = (await tx.execute(select(tables.outbox.c.topic))).scalars().all()
    assert rows == [dead_letter_topic(desk.kind.topic, desk.group.name)]


async def test_retried_once_its_cause_is_gone_the_whole_key_goes_on_in_order(desk: Desk) -> None:
    desk.always["b"] = ValueError()
    await desk.send("a", "b", "c")
    await settle(desk)
    assert await desk.letters() == [(DEAD, "b"), (PARKED, "c")]
    del desk.always["b"]
    assert await desk.group.retry(await first_dead(desk), "person") == 2
    await desk.send("d")
    await settle(desk)
    assert await desk.effects() == ["a", "b", "c", "d"]
    assert [row.action for row in await audited(desk)] == ["dead_letter_retried"] * 2


async def test_discarded_it_never_takes_effect_and_the_parked_ones_follow(desk: Desk) -> None:
    id = new_id()
    desk.always["a"] = ValueError()
    await desk.send("a", id=id)
    await desk.send("b")
    await settle(desk)
    del desk.always["a"]
    assert await desk.group.discard(await first_dead(desk), "person", "entered twice") == 1
    await desk.send("a", id=id)
    await settle(desk)
    assert await desk.effects() == ["b"]


async def forget(desk: Desk, *ids: UUID) -> None:
    """As if an older state of the inbox had been restored."""
    async with desk.database.write() as tx:
        await tx.execute(delete(tables.inbox).where(tables.inbox.c.event_id.in_(ids)))


async def test_a_replay_takes_what_was_lost_and_leaves_the_groups_place_alone(desk: Desk) -> None:
    lost = [new_id(), new_id()]
    await desk.send("a")
    await desk.send("b", id=lost[0])
    await desk.send("c")
    await desk.send("other", code=TOWNS[1], id=lost[1])
    await settle(desk)
    await forget(desk, *lost)
    before = await place_of(desk)
    await desk.send("not yet taken by the group")
    foreseen = await preview(desk.group, Choice())
    assert len(await desk.effects()) == 4
    became = await replay(desk.group, Choice(), actor="person", reason="restored a backup")
    assert +became == +foreseen == {TAKEN: 2, KNOWN: 2}
    assert desk.runs == {"a": 1, "b": 2, "c": 1, "other": 2}
    assert await place_of(desk) == before
    begun, ended = await audited(desk)
    assert (begun.action, begun.actor, begun.reason) == ("replay_begun", "person", "restored a backup")
    assert (ended.action, ended.facts["outcome"], ended.facts["left"]) == ("replay_ended", "finished", 0)
    await settle(desk)
    assert desk.runs["not yet taken by the group"] == 1


async def test_a_replay_may_begin_at_an_offset_or_a_time(desk: Desk) -> None:
    await desk.send(*"abcde")
    await settle(desk)
    [first, *_] = found = await read(desk, desk.kind.topic, 5)
    async with desk.database.write() as tx:
        await tx.execute(delete(tables.inbox))
    from_d = Choice(topic=desk.kind.topic, partition=first.partition, offset=found[3].offset)
    assert +await replay(desk.group, from_d, actor="person", reason="a test") == {TAKEN: 2}
    assert await desk.effects() == [*"abcde", "d", "e"]
    later = Choice(since=max(record.at for record in found) + timedelta(seconds=1))
    with pytest.raises(NothingToReplay):
        await replay(desk.group, later, actor="person", reason="a test")
    earlier = Choice(since=min(record.at for record in found))
    assert +await replay(desk.group, earlier, actor="person", reason="a test") == {TAKEN: 3, KNOWN: 2}


async def test_a_topic_the_service_does_not_hear_is_not_replayed_nor_one_without_records(desk: Desk) -> None:
    await settle(desk)
    with pytest.raises(NothingToReplay, match="does not hear"):
        await preview(desk.group, Choice(topic="daohu.nowhere"))
    with pytest.raises(NothingToReplay, match="no record"):
        await preview(desk.group, Choice())


async def test_in_a_replay_poison_is_dead_and_its_followers_are_parked(desk: Desk) -> None:
    await desk.send("a", "b", "c")
    await settle(desk)
    async with desk.database.write() as tx:
        await tx.execute(delete(tables.inbox))
    desk.always["b"] = ValueError()
    became = await replay(desk.group, Choice(), actor="person", reason="a test")
    assert +became == {TAKEN: 1, DEAD: 1, PARKED: 1}
    assert await desk.letters() == [(DEAD, "b"), (PARKED, "c")]


async def test_what_nobody_here_listens_to_is_passed_over(desk: Desk) -> None:
    other = message("a", kind=desk.kind)
    other.headers["ce_type"] = "registry.household_recorded.v1"
    await desk.bus.producer().send([other, message("b", kind=desk.kind)])
    await settle(desk)
    assert +await preview(desk.group, Choice()) == {PASSED: 1, KNOWN: 1}
    assert +await replay(desk.group, Choice(), actor="person", reason="a test") == {PASSED: 1, KNOWN: 1}


async def test_records_as_old_as_the_inboxs_memory_are_never_replayed(tmp_path: Path) -> None:
    class Then(SystemClock):
        def now(self) -> datetime:
            return super().now() - SEEN

    bus = LocalBus(tmp_path / "bus.db", clock=Then())
    async with new_desk(f"sqlite:///{tmp_path / 'x.db'}", bus) as desk:
        await desk.send("a")
        await settle(desk)
        await forget(desk, *[UUID(record.headers["ce_id"]) for record in await read(desk, desk.kind.topic, 1)])
        with pytest.raises(NothingToReplay):
            await replay(desk.group, Choice(), actor="person", reason="a test")
        assert await desk.effects() == ["a"]
