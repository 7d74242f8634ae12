"""What assessment keeps of the registry's news."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.assessment.register import store
from services.assessment.register.store import Household
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded, HouseholdRecorded
from shared.work import Work


async def hear_divisions(work: Work, heard: Sequence[tuple[DivisionRecorded, Envelope]]) -> None:
    rows = [
        {"code": event.code, "name": event.name, "level": event.level.value, "recorded_at": envelope.time}
        for event, envelope in heard
    ]
    await store.keep_divisions(work.tx, rows)


async def hear_households(work: Work, heard: Sequence[tuple[HouseholdRecorded, Envelope]]) -> None:
    """Keeps each household as it is now, and since when it has its status. An older version than the kept one is no news."""
    known = await store.find_households(work.tx, [event.household_id for event, _ in heard])
    news: dict[UUID, Household] = {}
    begun: dict[UUID, dict[str, Any]] = {}
    ended: list[dict[str, Any]] = []
    past: list[dict[str, Any]] = []
    for event, envelope in heard:
        now = Household(
            household_id=event.household_id,
            household_no=event.household_no,
            division=event.division,
            status=event.status.value,
            people=event.people,
            version=envelope.aggregate_version,
        )
        id = now.household_id
        before = known.get(id)
        if before is not None and now.version < before.version:
            continue
        known[id] = news[id] = now
        if before is not None:
            if (before.status, before.division) == (now.status, now.division):
                continue
            if id in begun:
                past.append(begun[id] | {"until": envelope.time})
            else:
                ended.append({"household": id, "at": envelope.time})
        begun[id] = store.status_of(now, since=envelope.time)
    await store.keep_households(work.tx, list(news.values()))
    await store.keep_statuses(work.tx, ended=ended, begun=[*past, *begun.values()])
