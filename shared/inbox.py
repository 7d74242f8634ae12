"""Every event takes effect once in a group: its id is entered in the transaction of the effect."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import insert_ignoring
from shared.tables import inbox


async def unseen(tx: AsyncConnection, group: str, event_ids: Sequence[UUID], *, at: datetime) -> set[UUID]:
    """Enters the ids for the group and answers those that were not there before. One statement."""
    if not event_ids:
        return set()
    rows = [{"group": group, "event_id": event_id, "seen_at": at} for event_id in dict.fromkeys(event_ids)]
    fresh = await tx.execute(insert_ignoring(tx, inbox).returning(inbox.c.event_id), rows)
    return set(fresh.scalars())
