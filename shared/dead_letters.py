"""Dead letters (死信): events a group could not take, and those parked behind them until a person decides.

A key that has a dead letter is shut: later events of the same topic and key are parked, so that their order is kept.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.bus import MAX_MESSAGE_BYTES, Record
from shared.db import insert_ignoring
from shared.errors import NotFound, Refusal
from shared.ids import new_id
from shared.tables import OPEN, audit, dead_letter, outbox
from shared.topics import dead_letter_topic

LIST_LIMIT = 500
"""Dead letters in one list, at most."""

MAX_ERROR = 500
"""Characters kept of what went wrong."""

MAX_HEADER_BYTES = 40_000
"""Of a letter on its topic. With the largest body it stays below what a broker takes in one record (1 MiB, keys and lengths too)."""

HIDDEN = frozenset({"ce_actor", "ce_specversion", "ce_dataschema", "content-type"})
"""Headers that `described` leaves out: who acted, and what is the same for all."""

MONEY = "funds."
"""Types of facts about money begin so."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{12}")
"""A UUID, or a division code."""

LEFT_OUT = "left out: too large"

DEAD, PARKED, RETRIED, DISCARDED = "dead", "parked", "retried", "discarded"

Key = tuple[str, str]
"""Topic and key."""


class NotTheDeadOne(Refusal):
    """Only the dead letter at the head of its key is decided on; those parked behind it follow by themselves."""

    code = "dead_letter_not_open"


class MoneyIsNeverSkipped(Refusal):
    """What the funds service says happened to money is handled in the end: retried, however long it takes."""

    code = "money_is_never_skipped"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that waits, where it came from, and why: a class of error and a code, never personal data."""

    id: int
    group: str
    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    body: bytes
    state: str
    error: str
    tries: int
    at: datetime

    @property
    def record(self) -> Record:
        return Record(
            self.topic, self.partition, self.offset, self.key, self.body, self.headers, self.at.astimezone(UTC)
        )


async def list_dead(tx: AsyncConnection, *, after: int = 0, limit: int = LIST_LIMIT) -> list[DeadLetter]:
    """Dead and parked letters with an id over `after`, in order, at most min(limit, LIST_LIMIT)."""
    c = dead_letter.c
    rows = await tx.execute(dead_letter.select().where(OPEN, c.id > after).order_by(c.id).limit(min(limit, LIST_LIMIT)))
    return [DeadLetter(*row) for row in rows]


async def read_dead(tx: AsyncConnection, group: str, id: int) -> DeadLetter:
    """One letter of a group, in any state. Raises NotFound."""
    row = (await tx.execute(dead_letter.select().where(dead_letter.c.id == id, dead_letter.c.group == group))).first()
    if row is None:
        raise NotFound(f"{group} has no dead letter {id}.")
    return DeadLetter(*row)


async def is_known(tx: AsyncConnection, group: str, record: Record) -> bool:
    """Whether this very record is a letter of the group, in any state."""
    c = dead_letter.c
    mine = (c.group == group) & (c.topic == record.topic) & (c.partition == record.partition)
    return await tx.scalar(select(c.id).where(mine, c.offset == record.offset)) is not None


async def open_since(tx: AsyncConnection, group: str, since: datetime) -> int:
    """How many events of a group have failed since then and still wait for a person."""
    c = dead_letter.c
    query = select(func.count()).where(c.group == group, OPEN, c.state == DEAD, c.at >= since)
    return await tx.scalar(query) or 0


async def parked_behind(tx: AsyncConnection, letter: DeadLetter) -> int:
    """How many of its key wait for it."""
    c = dead_letter.c
    mine = (c.group == letter.group) & (c.topic == letter.topic) & (c.key == letter.key)
    query = select(func.count()).where(mine, OPEN, c.state == PARKED, c.id > letter.id)
    return await tx.scalar(query) or 0


def described(letter: DeadLetter) -> list[tuple[str, str]]:
    """(name, value) for people: the place, the reason, the envelope without who acted, the body's fields.

    Contracts allow masked names and numbers of households in a body. Of its values only ids and division codes are shown.
    """
    shown = [(name, str(getattr(letter, name))) for name in ("id", "group", "state", "error", "tries", "at")]
    shown += [(name, str(getattr(letter, name))) for name in ("topic", "partition", "offset", "key")]
    shown += [(name, value) for name, value in sorted(letter.headers.items()) if name not in HIDDEN]
    shown.append(("body", f"{len(letter.body)} bytes"))
    try:
        fields = json.loads(letter.body)
    except ValueError:
        return [*shown, ("body", "not JSON")]
    if not isinstance(fields, dict):
        return [*shown, ("body", f"not an object but {type(fields).__name__}")]
    return shown + [(f"  {name}", _without_data(value)) for name, value in fields.items()]


def _without_data(value: object) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else type(value).__name__


async def shut_keys(tx: AsyncConnection, group: str) -> set[Key]:
    """Keys with an open letter. While the answer is used, no person opens one of them (see `hold_still`)."""
    c = dead_letter.c
    query = select(c.topic, c.key).where(c.group == group, OPEN).distinct()
    keys = {(topic, key) for topic, key in await tx.execute(query)}
    if keys and tx.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))"), {"name": group})
        keys = {(topic, key) for topic, key in await tx.execute(query)}
    return keys


async def hold_still(tx: AsyncConnection, group: str) -> None:
    """Until the end of the transaction nobody parks. Otherwise an event could be parked behind a letter just closed.

    SQLite has one writer, so there it is so anyway.
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": group})


async def enter(
    tx: AsyncConnection, group: str, record: Record, *, state: str, error: str, tries: int, at: datetime
) -> bool:
    """Keeps a record that was not taken, and records it for the group's dead-letter topic.

    False for one that is there already: it was redelivered or replayed, and may be decided on by now.
    """
    row = {
        "group": group,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": key_of(record)[1],
        # PostgreSQL's JSON has no NUL; a letter that cannot be entered would block its partition for ever.
        "headers": {name: value.replace("\0", "") for name, value in record.headers.items()},
        "body": record.value,
        "state": state,
        "error": error[:MAX_ERROR],
        "tries": tries,
        "at": at,
    }
    if not (await tx.execute(insert_ignoring(tx, dead_letter), row)).rowcount:
        return False
    await tx.execute(outbox.insert(), _forwarded(row))
    return True


def _forwarded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The letter as a row of the outbox: what was received, and in `dlq_…` headers where and why it stopped.

    Someone with other limits than ours may have sent it: the relay must not stop at what no broker takes back. The table has it whole.
    """
    headers, body = row["headers"], row["body"]
    why = {f"dlq_{name}": str(row[name]) for name in ("topic", "partition", "offset", "error", "tries", "state")}
    kept = headers
    if len(body) > MAX_MESSAGE_BYTES:
        body, why["dlq_body"] = b"", LEFT_OUT
    if sum(len(name.encode()) + len(value.encode()) for name, value in headers.items()) > MAX_HEADER_BYTES:
        kept, why["dlq_headers"] = {}, LEFT_OUT
    return {
        "event_id": new_id(),
        "topic": dead_letter_topic(row["topic"], row["group"]),
        "key": row["key"],
        "type": headers.get("ce_type", "")[:100],
        "headers": {**kept, **why},
        "body": body,
        "division": headers.get("ce_division", "")[:12],
        "recorded_at": row["at"],
    }


def key_of(record: Record) -> Key:
    """Topic and key as the table can hold them."""
    return record.topic, record.key.replace("\0", "")[:64]


async def the_dead_one(tx: AsyncConnection, group: str, id: int) -> DeadLetter:
    """The open dead letter with this id. Raises NotFound or NotTheDeadOne."""
    letter = await read_dead(tx, group, id)
    if letter.state == PARKED:
        raise NotTheDeadOne("It is parked: decide on the dead letter of the same key; this one then follows.")
    if letter.state != DEAD:
        raise NotTheDeadOne(f"It is closed already ({letter.state}); nothing is left to do.")
    return letter


def may_be_given_up(letter: DeadLetter) -> None:
    """Raises MoneyIsNeverSkipped."""
    if letter.headers.get("ce_type", "").startswith(MONEY):
        raise MoneyIsNeverSkipped(
            "It says what happened to money, so it is not discarded. Correct what stands against it, then retry it."
        )


async def head_of(tx: AsyncConnection, group: str, key: Key) -> DeadLetter | None:
    """The oldest open letter of a key."""
    c = dead_letter.c
    query = dead_letter.select().where(c.group == group, c.topic == key[0], c.key == key[1], OPEN)
    row = (await tx.execute(query.order_by(c.id).limit(1))).first()
    return DeadLetter(*row) if row else None


async def close(tx: AsyncConnection, letter: DeadLetter, *, state: str) -> None:
    await tx.execute(update(dead_letter).where(dead_letter.c.id == letter.id).values(state=state))


async def fail(tx: AsyncConnection, letter: DeadLetter, *, error: str) -> None:
    """It was tried again in vain: it is, or from now on it is, the dead one of its key."""
    again = {"state": DEAD, "error": error[:MAX_ERROR], "tries": letter.tries + 1}
    await tx.execute(update(dead_letter).where(dead_letter.c.id == letter.id).values(**again))


async def note(
    tx: AsyncConnection,
    letter: DeadLetter,
    *,
    actor: str,
    action: str,
    at: datetime,
    reason: str | None,
    facts: Mapping[str, Any],
) -> None:
    """The audit row of a person's decision."""
    place = {"group": letter.group, "topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    await tx.execute(
        audit.insert().values(
            at=at,
            actor=actor,
            action=action,
            subject=f"dead_letter:{letter.id}",
            reason=reason,
            facts={**place, "type": letter.headers.get("ce_type"), **facts},
        )
    )
