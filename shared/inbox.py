"""Every event takes effect once in a group: its id is entered in the transaction of the effect."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import chunked
from shared.rows import insert_new_rows
from shared.tables import inbox


async def unseen(tx: AsyncConnection, group: str, event_ids: Sequence[UUID], *, at: datetime) -> set[UUID]:
    """Enters the ids for the group and answers those that were not there before. One statement."""
    rows = [{"group": group, "event_id": event_id, "seen_at": at} for event_id in dict.fromkeys(event_ids)]
    return set(await insert_new_rows(tx, inbox, rows, answer="event_id"))


async def known(tx: AsyncConnection, group: str, event_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the ids that were entered before."""
    query = select(inbox.c.event_id).where(inbox.c.group == group)
    return {row["event_id"] async for row in chunked(tx, query, inbox.c.event_id, event_ids)}
