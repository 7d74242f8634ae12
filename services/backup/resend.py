"""What a new Kafka must hear again (重发): published facts that some service which hears them had not taken at the backup's instant.

The databases are of one instant, so nobody has taken a fact that its producer does not know. Whatever is sent in vain, the inbox knows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalogue import NAMES
from shared.bus import Bus, Message, Producer
from shared.db import Database
from shared.events.base import REGISTRY
from shared.inbox import known
from shared.outbox import RELAY_BATCH
from shared.replay import MARGIN
from shared.retention import PUBLISHED
from shared.tables import dead_letter, outbox
from shared.topics import group_of

_o = outbox.c
_ROWS = select(_o.position, _o.event_id, _o.topic, _o.key, _o.type, _o.headers, _o.body)

OLD_KAFKA = -1
"""The partition of a dead letter that came from a Kafka that is no more; its offset is then its own id."""


async def resend(databases: Mapping[str, Database], bus: Bus, *, now: datetime) -> Counter[str]:
    """Sends them in the order in which they were published, before anything newer; answers how many of each service.

    What was recorded and not published is the relay's, as ever. Run twice it does no harm. Raises BusError.
    """
    sent: Counter[str] = Counter()
    producer = bus.producer()
    for name in NAMES:
        sent[name] = await _resend_of(databases, name, producer, now)
    return sent


async def _resend_of(databases: Mapping[str, Database], name: str, producer: Producer, now: datetime) -> int:
    hearers = {
        event.type_name: event.consumers for event in REGISTRY.values() if event.type_name.startswith(f"{name}.")
    }
    # Facts nearly as old as the inbox's memory might be forgotten there: they were taken long ago.
    chosen = _ROWS.where(
        _o.topic.in_({REGISTRY[kind].topic for kind in hearers}), _o.published_at > now - PUBLISHED + MARGIN
    )
    sent, last = 0, 0
    while True:
        async with databases[name].read() as tx:
            page = (
                await tx.execute(chosen.where(_o.position > last).order_by(_o.position).limit(RELAY_BATCH))
            ).mappings()
            rows = page.all()
        if not rows:
            return sent
        last = rows[-1]["position"]
        missing = await _not_taken(databases, rows, hearers)
        if messages := [_message(row) for row in rows if row["event_id"] in missing]:
            await producer.send(messages)
            sent += len(messages)


async def _not_taken(
    databases: Mapping[str, Database], rows: Sequence[RowMapping], hearers: Mapping[str, tuple[str, ...]]
) -> set[UUID]:
    """The facts that some service which hears them has not taken, nor keeps as a dead letter of its own."""
    wanted: dict[str, set[UUID]] = {}
    for row in rows:
        for service in hearers.get(row["type"], ()):
            wanted.setdefault(service, set()).add(row["event_id"])
    missing: set[UUID] = set()
    for service, ids in wanted.items():
        async with databases[service].read() as tx:
            taken = await known(tx, group_of(service), list(ids))
            missing |= ids - taken - (await _kept(tx) if ids - taken else set())
    return missing


async def _kept(tx: AsyncConnection) -> set[UUID]:
    """The events that wait as dead letters: the table has them whole."""
    return {
        UUID(headers["ce_id"]) for (headers,) in await tx.execute(select(dead_letter.c.headers)) if _has_id(headers)
    }


def _has_id(headers: Mapping[str, Any]) -> bool:
    try:
        UUID(headers["ce_id"])
    except (KeyError, ValueError):
        return False
    return True


def _message(row: RowMapping) -> Message:
    return Message(row["topic"], row["key"], row["body"], row["headers"])


async def of_old_kafka(tx: AsyncConnection) -> None:
    """Takes dead letters off their places: the new Kafka gives the same offsets to other records, which would pass for known."""
    await tx.execute(update(dead_letter).values(partition=OLD_KAFKA, offset=dead_letter.c.id))
