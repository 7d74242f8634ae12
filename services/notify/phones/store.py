"""Table and queries of the simulated phones. The number is kept as its blind index and masked, the text as the phone shows it."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Column, Index, Integer, String, Table, Text, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.contacts.store import contacts
from services.notify.tables import metadata
from shared import personal
from shared.db import BigId, Instant
from shared.personal import AS_HISTORY

received = Table(
    "console_message",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("message_id", String(64), nullable=False, index=True, info={"volatile": True}),
    Column(
        "phone_index",
        String(64),
        nullable=False,
        info=personal.index(
            "phone",
            "a simulated phone",
            why="what it shows",
            kept=AS_HISTORY,
            follows=lambda: contacts.c.phone_index,
        ),
    ),
    Column(
        "phone_masked",
        String(20),
        nullable=False,
        info=personal.masked("a simulated phone", why="what it shows", kept=AS_HISTORY),
    ),
    Column(
        "text",
        Text,
        nullable=False,
        info=personal.plain("the prompt's text", why="a simulated phone", kept=personal.AS_HISTORY),
    ),
    Column("parts", Integer, nullable=False),
    Column("received_at", Instant, nullable=False),
)
Index("ix_console_message_phone", received.c.phone_index, received.c.id)


async def add(
    tx: AsyncConnection, *, message_id: str, phone_index: str, phone_masked: str, text: str, parts: int, at: datetime
) -> None:
    """The phone rings. Nothing here keeps a message from arriving twice: that is the sender's duty."""
    row = {
        "message_id": message_id,
        "phone_index": phone_index,
        "phone_masked": phone_masked,
        "text": text,
        "parts": parts,
    }
    await tx.execute(insert(received).values(**row, received_at=at))


async def has(tx: AsyncConnection, message_id: str) -> bool:
    query = select(func.count()).where(received.c.message_id == message_id)
    return bool((await tx.execute(query)).scalar_one())


async def of_phone(
    tx: AsyncConnection, phone_indexes: Collection[str], *, after: int, limit: int
) -> list[tuple[int, str, int, datetime]]:
    """(number, text, parts, received_at) of the phone that has these indexes, in the order of arrival."""
    r = received.c
    query = (
        select(r.id, r.text, r.parts, r.received_at)
        .where(r.phone_index.in_(phone_indexes), r.id > after)
        .order_by(r.id)
        .limit(limit)
    )
    return [(row.id, row.text, row.parts, row.received_at) for row in await tx.execute(query)]
