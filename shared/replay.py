"""Replays (重放): a service's group takes its past records again; what its inbox knows takes no second effect.

The group's own offsets stay. A replay ends where the group was when it began, so it never runs ahead of the group.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from shared import dead_letters
from shared.bus import Bus, Consumer, Record, Span, TopicPartition
from shared.consumer import KNOWN, MAX_BATCH, PASSED, TAKEN, Group
from shared.dead_letters import DEAD, PARKED
from shared.errors import Refusal
from shared.heard import Unreadable, read
from shared.ids import new_id
from shared.inbox import known
from shared.retention import SEEN
from shared.tables import audit

MARGIN = timedelta(days=1)
"""A record this close to the age at which the inbox forgets is not taken again: it might be forgotten meanwhile."""

POLL_S = 0.25
STALLED_S = 120.0
"""A replay that gets nowhere for so long gives up; it may be begun again."""


class NothingToReplay(Refusal):
    code = "nothing_to_replay"


class Stalled(Exception):
    """Records were not given out, or wait for facts that do not come. The text says how many are left."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records: of a topic or all, sent since an instant, of one partition from an offset on."""

    topic: str | None = None
    since: datetime | None = None
    partition: int | None = None
    offset: int | None = None

    def facts(self) -> dict[str, Any]:
        """As the audit keeps it."""
        since = self.since.isoformat() if self.since else None
        return {"topic": self.topic, "since": since, "partition": self.partition, "offset": self.offset}


class Past:
    """Records of a group's past, from a place in each partition up to another: a Consumer whose commits stay here."""

    def __init__(
        self, reader: Consumer, begin: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
    ) -> None:
        self._reader, self._next, self._end = reader, dict(begin), dict(end)

    async def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        found = await self._reader.poll(max_records, timeout_s)
        last = {record.tp: record.offset for record in found}
        for tp, offset in last.items():
            if offset < self._next.get(tp, 0):
                self._reader.rewind(tp, self._next[tp])
            elif offset + 1 >= self._end.get(tp, 0):
                self._reader.pause(tp)
        return [
            record for record in found if self._next.get(record.tp, 0) <= record.offset < self._end.get(record.tp, 0)
        ]

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._next.update(offsets)

    def rewind(self, tp: TopicPartition, offset: int) -> None:
        self._reader.rewind(tp, offset)

    def pause(self, tp: TopicPartition) -> None:
        self._reader.pause(tp)

    def resume(self, tp: TopicPartition) -> None:
        self._reader.resume(tp)

    async def span(self, since: datetime | None = None) -> dict[TopicPartition, Span]:
        return await self._reader.span(since)

    async def lag(self) -> int:
        return sum(max(0, end - self._next[tp]) for tp, end in self._end.items())

    async def close(self) -> None:
        await self._reader.close()


async def replay(group: Group, choice: Choice, *, actor: str, reason: str) -> Counter[str]:
    """Takes the chosen records again, in batches; answers how many became what. Begun anew it goes on: what was taken is known.

    Raises NothingToReplay, Stalled, TooManyDeadLetters, BusError. Two audit rows say that it began and how it ended.
    """
    past = await _past(group, choice)
    left = await past.lag()
    await _note(group, actor, "replay_begun", reason, {**choice.facts(), "records": left})
    again = group.over(past)
    running = asyncio.create_task(again.run())
    outcome = "failed"
    try:
        await _finished(again, past, running)
        outcome = "finished"
    finally:
        await again.stop()
        await asyncio.wait([running])
        ended = {**choice.facts(), "outcome": outcome, "left": await past.lag(), "became": dict(again.counts)}
        await _note(group, actor, "replay_ended", reason, ended)
    return again.counts


async def preview(group: Group, choice: Choice) -> Counter[str]:
    """What a replay would do with the chosen records, as far as it can be told before. Changes nothing; raises as `replay`."""
    past = await _past(group, choice)
    became: Counter[str] = Counter()
    deadline = monotonic() + STALLED_S
    try:
        while left := await past.lag():
            if records := await past.poll(MAX_BATCH, POLL_S):
                became += await _would(group, records)
                await past.commit({record.tp: record.offset + 1 for record in records})
                deadline = monotonic() + STALLED_S
            elif monotonic() > deadline:
                raise Stalled(f"{left} records were not given out")
    finally:
        await past.close()
    return became


async def _past(group: Group, choice: Choice) -> Past:
    if choice.topic is not None and choice.topic not in group.topics:
        raise NothingToReplay(f"{group.name} does not hear {choice.topic}. It hears: {', '.join(group.topics)}.")
    topics = [choice.topic] if choice.topic else list(group.topics)
    # Older ones may be forgotten by the inbox: they would take effect a second time.
    oldest = group.clock.now() - SEEN + MARGIN
    spans = await _spans(group.bus, group.name, topics, max(choice.since or oldest, oldest))
    chosen = {tp: span for tp, span in spans.items() if choice.partition in (None, tp[1])}
    begin = {tp: max(span.first, choice.offset or 0) for tp, span in chosen.items()}
    end = {tp: chosen[tp].committed for tp, first in begin.items() if first < chosen[tp].committed}
    if not end:
        raise NothingToReplay(f"{group.name} has taken no record from that point on that is still kept.")
    return Past(group.bus.consumer(f"{group.name}.replay.{new_id()}", topics), {tp: begin[tp] for tp in end}, end)


async def _spans(bus: Bus, name: str, topics: list[str], since: datetime) -> dict[TopicPartition, Span]:
    reader = bus.consumer(name, topics)
    try:
        return await reader.span(since)
    finally:
        await reader.close()


async def _finished(group: Group, past: Past, running: "asyncio.Task[None]") -> None:
    """Returns when every record is done with; raises what ended the group, or Stalled."""
    seen, deadline = -1, monotonic() + STALLED_S
    while not running.done():
        if await group.settled():
            return
        left = await past.lag()
        if left != seen:
            seen, deadline = left, monotonic() + STALLED_S
        elif monotonic() > deadline:
            raise Stalled(f"{left} records are left")
        await asyncio.wait([running], timeout=POLL_S)
    running.result()


async def _would(group: Group, records: list[Record]) -> Counter[str]:
    became: Counter[str] = Counter()
    async with group.database.read() as tx:
        shut = await dead_letters.shut_keys(tx, group.name)
        heard = []
        for record in records:
            if group.skips(record):
                became[PASSED] += 1
            elif dead_letters.key_of(record) in shut:
                became[PARKED] += 1
            else:
                try:
                    heard.append(read(record)[1].id)
                except Unreadable:
                    decided = await dead_letters.is_known(tx, group.name, record)
                    became[KNOWN if decided else DEAD] += 1
        before = await known(tx, group.name, heard)
    new = len(set(heard) - before)
    became[TAKEN] += new
    became[KNOWN] += len(heard) - new
    return became


async def _note(group: Group, actor: str, action: str, reason: str, facts: dict[str, Any]) -> None:
    async with group.database.write() as tx:
        row = {"at": group.clock.now(), "actor": actor, "action": action, "subject": group.name}
        await tx.execute(audit.insert().values(**row, reason=reason, facts=facts))
