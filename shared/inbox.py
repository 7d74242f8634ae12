"""Every event takes effect once in a group: its id is entered in the transaction of the effect."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import chunked, insert_ignoring
from shared.tables import inbox

_ENTER = text(
    """
    INSERT INTO inbox ("group", event_id, seen_at) SELECT :group, unnest(:ids), :at ON CONFLICT DO NOTHING RETURNING event_id
    """
).bindparams(
    bindparam("group", type_=inbox.c.group.type),
    bindparam("ids", type_=ARRAY(inbox.c.event_id.type)),
    bindparam("at", type_=inbox.c.seen_at.type),
)
"""On PostgreSQL: of the three columns only one is a list."""


async def unseen(tx: AsyncConnection, group: str, event_ids: Sequence[UUID], *, at: datetime) -> set[UUID]:
    """Enters the ids for the group and answers those that were not there before. One statement."""
    ids = list(dict.fromkeys(event_ids))
    if not ids:
        return set()
    if tx.dialect.name == "postgresql":
        return set((await tx.execute(_ENTER, {"group": group, "ids": ids, "at": at})).scalars())
    rows = [{"group": group, "event_id": event_id, "seen_at": at} for event_id in ids]
    return set((await tx.execute(insert_ignoring(tx, inbox).returning(inbox.c.event_id), rows)).scalars())


async def known(tx: AsyncConnection, group: str, event_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids that were entered before."""
    query = select(inbox.c.event_id).where(inbox.c.group == group)
    return {row["event_id"] async for row in chunked(tx, query, inbox.c.event_id, event_ids)}
