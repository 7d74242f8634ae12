"""The consumer loop: once and in order, retry, dead letters, parked keys, and what a person decides about them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from consumer_desk import (
    DEADLINE_S,
    NOW,
    TOPIC,
    TOWNS,
    Desk,
    message,
    name_of,
    new_desk,
    running,
    until,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from shared import consumer, failures, tables
from shared.bus import CommitRefused, Message
from shared.consumer import NotYet, TooManyDeadLetters, list_dead, read_dead
from shared.db import Database
from shared.dead_letters import NotTheDeadOne
from shared.errors import NotFound, Refusal
from shared.events.registry import DivisionRecorded, HouseholdRecorded
from shared.failures import transient
from shared.ids import new_id
from shared.inbox import unseen
from shared.local_bus import LocalBus


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(failures, "BACKOFF_MAX_S", 0.01)
    monkeypatch.setattr(consumer, "POLL_S", 0.02)


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with new_desk(database_url) as desk:
        yield desk


async def test_each_event_takes_effect_once_and_in_the_order_of_its_key(desk: Desk) -> None:
    for n in range(30):
        await desk.send(f"{n:02d}", code=TOWNS[n % 3])
    await desk.settle()
    assert len(await desk.effects()) == 30
    for n in range(3):
        names = await desk.effects(TOWNS[n])
        assert names == sorted(names)


async def test_an_event_that_was_sent_twice_takes_effect_once(desk: Desk) -> None:
    id = new_id()
    await desk.send("a", id=id)
    await desk.send("a", id=id)
    await desk.settle()
    await desk.send("a", id=id)
    await desk.settle()
    assert await desk.effects() == ["a"]


async def test_what_a_handler_records_is_committed_with_its_effect(desk: Desk) -> None:
    await desk.send("a", "b")
    await desk.settle()
    assert await desk.count(tables.outbox) == 2


async def test_offsets_that_could_not_be_committed_bring_the_events_again_without_effect(database_url: str) -> None:
    class Forgetful(LocalBus):
        refusals = 1

        def commit(self, group: str, offsets: object) -> None:
            if self.refusals:
                self.refusals -= 1
                raise CommitRefused("the partition has moved")
            super().commit(group, offsets)  # type: ignore[arg-type]

    async with new_desk(database_url, Forgetful(":memory:")) as desk:
        await desk.send("a", "b")
        async with running(desk.group):
            await until(lambda: has(desk, 2))
        desk.group = desk.new_group()
        await desk.settle()
        assert await desk.effects() == ["a", "b"]
        assert desk.runs == {"a": 1, "b": 1}


async def has(desk: Desk, effects: int) -> bool:
    return len(await desk.effects()) == effects


async def test_events_nobody_here_listens_to_are_passed_over(desk: Desk) -> None:
    other = message("a")
    other.headers["ce_type"] = HouseholdRecorded.type_name
    await desk.bus.producer().send([other])
    await desk.send("b")
    await desk.settle()
    assert await desk.effects() == ["b"]
    assert await desk.letters() == []


async def test_a_handler_that_fails_is_tried_again(desk: Desk) -> None:
    desk.failures["b"] = [ValueError("once"), ValueError("twice"), ValueError("in the batch")]
    await desk.send("a", "b", "c")
    await desk.settle()
    assert await desk.effects() == ["a", "b", "c"]
    assert await desk.letters() == []


async def test_after_its_tries_an_event_is_dead_and_the_later_ones_of_its_key_are_parked(desk: Desk) -> None:
    desk.always["b"] = ValueError("for ever")
    await desk.send("a", "b", "c")
    await desk.send("other", code=TOWNS[1])
    await desk.settle()
    await desk.send("d")
    await desk.settle()
    assert sorted(await desk.effects()) == ["a", "other"]
    assert await desk.letters() == [("dead", "b"), ("parked", "c"), ("parked", "d")]


async def test_a_dead_letter_says_where_it_came_from_and_nothing_personal(desk: Desk) -> None:
    desk.always["b"] = ValueError("610926197001011234")
    await desk.send("a", "b")
    await desk.settle()
    async with desk.database.read() as tx:
        [letter] = await list_dead(tx)
        assert letter == await read_dead(tx, "daohu.funds", letter.id)
    assert (letter.group, letter.topic, letter.key, letter.offset) == ("daohu.funds", TOPIC, TOWNS[0], 1)
    assert (letter.error, letter.tries) == ("ValueError", consumer.MAX_TRIES)
    assert letter.headers["ce_type"] == DivisionRecorded.type_name


async def test_a_refusal_that_a_handler_lets_out_is_its_fault_and_is_named_by_its_code(desk: Desk) -> None:
    desk.always["a"] = NotFound("there is no such household")
    await desk.send("a")
    await desk.settle()
    async with desk.database.read() as tx:
        [letter] = await list_dead(tx)
    assert letter.error == "NotFound not_found"


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda m: m.headers.pop("ce_id"), "envelope without ce_id"),
        (lambda m: m.headers.update(ce_id="x"), "envelope with an unreadable attribute"),
        (lambda m: m.headers.update(ce_type="registry.division_recorded.v9"), "unknown type or version"),
        (lambda m: m.headers.update(ce_type="x\0"), "unknown type or version"),
    ],
)
async def test_what_cannot_be_read_is_dead_at_once(desk: Desk, spoil: Callable[[Message], object], error: str) -> None:
    bad = message("bad")
    spoil(bad)
    await desk.bus.producer().send([message("a"), bad, message("c")])
    await desk.settle()
    assert await desk.effects() == ["a"]
    async with desk.database.read() as tx:
        dead, parked = await list_dead(tx)
    assert (dead.state, dead.error, dead.tries) == ("dead", error, 1)
    assert (parked.state, name_of(parked.body)) == ("parked", "c")


async def test_an_undecodable_body_is_named_by_its_field_and_never_quoted(desk: Desk) -> None:
    bad = message("a")
    body = bad.value.replace(TOWNS[0].encode(), b"13800000000")
    await desk.bus.producer().send([Message(TOPIC, TOWNS[0], body, bad.headers)])
    await desk.settle()
    async with desk.database.read() as tx:
        [letter] = await list_dead(tx)
    assert letter.error == "body: code string_pattern_mismatch"


async def test_a_transient_failure_blocks_its_partition_and_loses_nothing(desk: Desk) -> None:
    desk.failures["b"] = [ConnectionResetError() for _ in range(consumer.MAX_TRIES * 3)]
    await desk.send("a", "b", "c")
    await desk.settle()
    assert await desk.effects() == ["a", "b", "c"]
    assert await desk.letters() == []


async def test_other_partitions_go_on_while_one_is_blocked(desk: Desk) -> None:
    desk.always["blocked"] = ConnectionResetError()
    await desk.send("blocked")
    for n, town in enumerate(TOWNS[1:], 1):
        await desk.send(f"{n}", code=town)
    free = [town for town in TOWNS[1:] if await partition(desk, town) != await partition(desk, TOWNS[0])]
    async with running(desk.group):
        await until(lambda: has(desk, len(free)))
        del desk.always["blocked"]
        await until(desk.group.settled)
    assert len(await desk.effects()) == len(TOWNS)


async def partition(desk: Desk, key: str) -> int:
    reader = desk.bus.consumer(f"reader {new_id()}", [TOPIC])
    records = await reader.poll(1000, 0)
    await reader.close()
    return next(r.partition for r in records if r.key == key)


async def test_an_event_waits_for_the_fact_it_builds_on(desk: Desk) -> None:
    desk.failures["a"] = [NotYet() for _ in range(consumer.MAX_TRIES * 3)]
    await desk.send("a", "b")
    await desk.settle()
    assert await desk.effects() == ["a", "b"]


async def test_an_event_whose_fact_never_comes_is_dead_after_a_while(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "NOT_YET_S", 0.05)
    desk.always["a"] = NotYet()
    await desk.send("a")
    await desk.settle()
    assert await desk.letters() == [("dead", "a")]


async def test_retrying_runs_the_dead_one_and_then_the_parked_ones_in_order(desk: Desk) -> None:
    desk.always["a"] = ValueError()
    await desk.send("a", "b", "c")
    await desk.settle()
    del desk.always["a"]
    async with desk.database.read() as tx:
        [dead, *_] = await list_dead(tx)
    assert await desk.group.retry(dead.id, "person") == 3
    assert await desk.effects() == ["a", "b", "c"]
    assert await desk.letters() == []
    await desk.send("d")
    await desk.settle()
    assert await desk.effects() == ["a", "b", "c", "d"]
    assert [(row.actor, row.action) for row in await audit(desk)] == [("person", "dead_letter_retried")] * 3


async def audit(desk: Desk) -> list[Any]:
    async with desk.database.read() as tx:
        return list((await tx.execute(select(tables.audit).order_by(tables.audit.c.id))).all())


async def test_a_retry_in_vain_leaves_it_dead_and_is_on_record(desk: Desk) -> None:
    desk.always["a"] = ValueError()
    await desk.send("a", "b")
    await desk.settle()
    async with desk.database.read() as tx:
        [dead, _] = await list_dead(tx)
    assert await desk.group.retry(dead.id, "person") == 0
    assert await desk.letters() == [("dead", "a"), ("parked", "b")]
    async with desk.database.read() as tx:
        assert (await read_dead(tx, "daohu.funds", dead.id)).tries == consumer.MAX_TRIES + 1
    assert len(await audit(desk)) == 1


async def test_a_parked_one_that_fails_is_the_dead_one_from_then_on(desk: Desk) -> None:
    desk.always |= {"a": ValueError(), "b": ValueError()}
    await desk.send("a", "b", "c")
    await desk.settle()
    del desk.always["a"]
    async with desk.database.read() as tx:
        [dead, *_] = await list_dead(tx)
    assert await desk.group.retry(dead.id, "person") == 1
    assert await desk.effects() == ["a"]
    assert await desk.letters() == [("dead", "b"), ("parked", "c")]


async def test_discarding_lets_the_parked_ones_through_and_the_event_never_takes_effect(desk: Desk) -> None:
    id = new_id()
    desk.always["a"] = ValueError()
    await desk.send("a", id=id)
    await desk.send("b")
    await desk.settle()
    async with desk.database.read() as tx:
        [dead, _] = await list_dead(tx)
    del desk.always["a"]
    assert await desk.group.discard(dead.id, "person", "entered twice") == 1
    await desk.send("a", id=id)
    await desk.settle()
    assert await desk.effects() == ["b"]
    first, *_ = await audit(desk)
    assert (first.actor, first.action, first.reason) == ("person", "dead_letter_discarded", "entered twice")


async def test_only_an_open_dead_letter_can_be_decided_on(desk: Desk) -> None:
    desk.always["a"] = ValueError()
    await desk.send("a", "b")
    await desk.settle()
    async with desk.database.read() as tx:
        [dead, parked] = await list_dead(tx)
    with pytest.raises(NotTheDeadOne):
        await desk.group.discard(parked.id, "person", "why not")
    with pytest.raises(NotFound):
        await desk.group.retry(parked.id + 1000, "person")
    del desk.always["a"]
    await desk.group.retry(dead.id, "person")
    with pytest.raises(NotTheDeadOne):
        await desk.group.retry(dead.id, "person")


async def test_a_group_stops_above_the_rate_of_dead_letters_and_keeps_the_rest(desk: Desk) -> None:
    count = consumer.RATE_MAX_DEAD + 10
    for n in range(count):
        bad = message(f"{n}")
        bad.headers["ce_type"] = "registry.division_recorded.v9"
        await desk.bus.producer().send([Message(TOPIC, f"key {n}", bad.value, bad.headers)])
    task = asyncio.create_task(desk.group.run())
    with pytest.raises(TooManyDeadLetters):
        await asyncio.wait_for(task, DEADLINE_S)
    assert len(await desk.letters()) == consumer.RATE_MAX_DEAD + 1
    assert await desk.new_group().settled() is False


async def test_a_group_that_stopped_itself_stops_at_the_next_dead_letter_when_it_is_started_anew(desk: Desk) -> None:
    for n in range(consumer.RATE_MAX_DEAD + 10):
        bad = message(f"{n}")
        bad.headers["ce_type"] = "registry.division_recorded.v9"
        await desk.bus.producer().send([Message(TOPIC, f"key {n}", bad.value, bad.headers)])
    for lives in (1, 2, 3):
        with pytest.raises(TooManyDeadLetters):
            await asyncio.wait_for(desk.new_group().run(), DEADLINE_S)
        assert len(await desk.letters()) == consumer.RATE_MAX_DEAD + lives


async def test_a_few_dead_letters_do_not_stop_the_group(desk: Desk) -> None:
    for n in range(consumer.RATE_MAX_DEAD):
        bad = message(f"{n}")
        bad.headers["ce_type"] = "registry.division_recorded.v9"
        await desk.bus.producer().send([Message(TOPIC, f"key {n}", bad.value, bad.headers)])
    await desk.settle()
    assert len(await desk.letters()) == consumer.RATE_MAX_DEAD


async def test_a_stop_lets_the_batch_in_hand_finish(desk: Desk) -> None:
    desk.gate.clear()
    await desk.send("a", "b")
    task = asyncio.create_task(desk.group.run())
    await asyncio.wait_for(desk.entered.wait(), DEADLINE_S)
    stopping = asyncio.create_task(desk.group.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    assert await desk.group.settled() is False
    desk.gate.set()
    await stopping
    await task
    assert await desk.effects() == ["a", "b"]
    assert await desk.new_group().settled()


async def test_a_stop_does_not_wait_for_ever_and_the_batch_comes_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "STOP_S", 0.05)
    desk.gate.clear()
    await desk.send("a")
    task = asyncio.create_task(desk.group.run())
    await asyncio.wait_for(desk.entered.wait(), DEADLINE_S)
    await desk.group.stop()
    await asyncio.wait([task], timeout=DEADLINE_S)
    assert task.cancelled()
    assert await desk.effects() == []
    desk.gate.set()
    desk.group = desk.new_group()
    await desk.settle()
    assert await desk.effects() == ["a"]


async def test_a_group_waits_for_its_topics_to_be_made(database_url: str) -> None:
    async with new_desk(database_url) as desk:
        late = LocalBus(":memory:")
        await late.start()
        desk.bus = late
        group = desk.new_group()
        async with running(group):
            assert await group.settled() is False
            await late.create_topics([TOPIC])
            await desk.send("a")
            await until(lambda: has(desk, 1))
            await until(group.settled)
        await late.stop()


async def test_members_of_a_group_share_the_work_and_each_event_takes_effect_once(desk: Desk) -> None:
    async with running(desk.group):
        for n in range(40):
            await desk.send(f"{n}", code=TOWNS[n % 11])
        async with running(desk.new_group()):
            for n in range(40, 80):
                await desk.send(f"{n}", code=TOWNS[n % 11])
            await until(desk.group.settled)
        for n in range(80, 100):
            await desk.send(f"{n}", code=TOWNS[n % 11])
        await until(desk.group.settled)
    assert sorted(map(int, await desk.effects())) == list(range(100))
    for town in TOWNS:
        names = [int(name) for name in await desk.effects(town)]
        assert names == sorted(names)


async def test_the_inbox_answers_only_ids_it_sees_for_the_first_time_in_a_group(desk: Desk) -> None:
    one, two = new_id(), new_id()
    async with desk.database.write() as tx:
        assert await unseen(tx, "g", [one, one], at=NOW) == {one}
        assert await unseen(tx, "g", [one, two], at=NOW) == {two}
        assert await unseen(tx, "other", [one], at=NOW) == {one}
        assert await unseen(tx, "g", [], at=NOW) == set()


@pytest.mark.parametrize(
    ("statement", "expected"), [("SELECT nothing FROM nowhere", False), ("SELECT nothing_like_it(1)", False)]
)
async def test_a_wrong_statement_is_not_transient(desk: Desk, statement: str, expected: bool) -> None:
    async with desk.database.read() as tx:
        with pytest.raises(Exception) as caught:  # noqa: PT011 (each database has its own)
            await tx.execute(text(statement))
    assert transient(caught.value) is expected


async def test_a_locked_database_is_transient(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('locked') / 'x.db'}"
    one, two = Database(url, service="funds"), Database(url, service="funds")
    async with two.write() as tx:
        await tx.execute(text("PRAGMA busy_timeout=0"))
    async with one.write():
        with pytest.raises(Exception) as caught:  # noqa: PT011 (SQLAlchemy wraps it)
            async with two.write():
                pass
    assert transient(caught.value)
    await one.close()
    await two.close()


def test_a_refusal_and_a_bug_are_not_transient() -> None:
    assert not transient(Refusal("no"))
    assert not transient(KeyError("x"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), max_size=25),
    restart=st.integers(1, 6),
)
async def test_whatever_fails_each_key_is_taken_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, int, bool]], restart: int
) -> None:
    """events: (key, how often its handler fails, sent twice?). A person retries until nothing is dead."""
    async with new_desk(f"sqlite:///{tmp_path_factory.mktemp('any') / 'x.db'}") as desk:
        for n, (key, failures, twice) in enumerate(events):
            desk.failures[f"{n}"] = [ValueError() for _ in range(failures)]
            id = new_id()
            for _ in range(1 + twice):
                await desk.send(f"{n}", code=TOWNS[key], id=id)
            if n % restart == 0:
                await desk.settle()
        await desk.settle()
        for _ in range(1000):
            async with desk.database.read() as tx:
                dead = [letter for letter in await list_dead(tx) if letter.state == "dead"]
            if not dead:
                break
            await desk.group.retry(dead[0].id, "person")
        for key in range(4):
            expected = [f"{n}" for n, (k, _, _) in enumerate(events) if k == key]
            assert await desk.effects(TOWNS[key]) == expected
        assert await desk.letters() == []
        assert await desk.recorded() == len(events)
