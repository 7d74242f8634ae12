"""Handlers that take a batch: one call for events that came together, each alone when one of them fails."""

from collections.abc import AsyncIterator, Sequence

import pytest
from consumer_desk import TOWNS, Desk, effect, new_desk, own_kind, running, until

from shared import failures
from shared.consumer import Group, Handler
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded
from shared.ids import new_id
from shared.work import Work

Told = tuple[DivisionRecorded, Envelope]


class Batches(Desk):
    """A desk that takes its events in batches, and writes down their sizes."""

    sizes: list[int]
    records = False

    def new_group(self) -> Group:
        self.sizes = []
        return Group(self.service, [Handler(self.kind, batch=self.on_many)], self.database, self.bus, self.work_for)

    async def on_many(self, work: Work, heard: Sequence[Told]) -> None:
        self.sizes.append(len(heard))
        rows = [{"code": event.code, "name": event.name} for event, _ in heard]
        await work.tx.execute(effect.insert(), rows)
        if self.records:
            work.record(heard[0][0], division=heard[0][0].code)
        for event, _ in heard:
            if event.name in self.always:
                raise self.always[event.name]


@pytest.fixture
async def desk(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Batches]:
    monkeypatch.setattr(failures, "BACKOFF_FIRST_S", 0.001)
    with own_kind() as kind:
        async with new_desk(database_url, kind=kind) as made:
            yield Batches(made.database, made.bus, made.service, made.kind)


async def take(desk: Batches) -> None:
    async with running(desk.group):
        await until(desk.group.settled)


async def test_events_that_came_together_are_one_call(desk: Batches) -> None:
    await desk.send(*"abcde")
    await take(desk)
    assert desk.sizes == [5]
    assert await desk.effects() == [*"abcde"]


async def test_an_event_delivered_twice_in_one_batch_is_in_it_once(desk: Batches) -> None:
    id = new_id()
    await desk.send("a", id=id)
    await desk.send("a", id=id)
    await desk.send("b")
    await take(desk)
    assert desk.sizes == [2]
    assert await desk.effects() == ["a", "b"]


async def test_when_one_fails_each_is_taken_by_itself_and_only_that_one_is_dead(desk: Batches) -> None:
    desk.always["b"] = ValueError()
    await desk.send("a", "b", "c")
    await desk.send("other", code=TOWNS[1])
    await take(desk)
    assert set(desk.sizes[1:]) == {1}
    assert sorted(await desk.effects()) == ["a", "other"]
    assert await desk.letters() == [("dead", "b"), ("parked", "c")]


async def test_a_batch_handler_that_records_a_fact_is_a_mistake(desk: Batches) -> None:
    desk.records = True
    await desk.send("a")
    await take(desk)
    assert await desk.effects() == []
    assert await desk.letters() == [("dead", "a")]


def test_a_handler_takes_one_event_or_a_batch_and_not_both() -> None:
    async def one(work: Work, event: DivisionRecorded, envelope: Envelope) -> None: ...

    async def many(work: Work, heard: Sequence[Told]) -> None: ...

    with pytest.raises(AssertionError):
        Handler(DivisionRecorded)
    with pytest.raises(AssertionError):
        Handler(DivisionRecorded, one, many)
