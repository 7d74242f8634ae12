"""How long the kit's own tables keep their rows (保留期限; the periods are ours). No table grows without a rule.

Dead letters and audit rows stay: they are closed or archived by people.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.tables import idempotency, inbox, outbox

ANSWERS = timedelta(days=30)
"""A client may repeat a request this long and get its first answer."""

SEEN = timedelta(days=90)
"""Longer than any topic keeps an event, so that none can arrive a second time unnoticed."""

PUBLISHED = timedelta(days=90)
"""A change feed's cursor may be this old; an older one is told to start anew."""


async def forget_old(tx: AsyncConnection, *, now: datetime) -> None:
    """Deletes what is older than its period. Facts that are not yet published stay, however old."""
    await tx.execute(delete(idempotency).where(idempotency.c.at < now - ANSWERS))
    await tx.execute(delete(inbox).where(inbox.c.seen_at < now - SEEN))
    await tx.execute(delete(outbox).where(outbox.c.published_at < now - PUBLISHED))
