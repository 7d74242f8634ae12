"""How long the kit's own tables keep their rows (保留期限; the periods are ours). No table grows without a rule.

Dead letters and audit rows stay: they are closed or archived by people. So does what became of an imported file, one row a file.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.tables import idempotency, import_file, inbox, outbox

ANSWERS = timedelta(days=30)
"""A client may repeat a request this long and get its first answer."""

SEEN = timedelta(days=90)
"""Longer than any topic keeps an event, so that none can arrive a second time unnoticed."""

IN_TOPICS = timedelta(days=60)
"""Kafka keeps an event so long, whoever has read it: `daohu replay` reaches back so far. Less than SEEN."""

PUBLISHED = timedelta(days=90)
"""A change feed's cursor may be this old; an older one is told to start anew."""

FILES = timedelta(days=30)
"""An imported file with wrong rows holds personal data; it is kept, sealed, so long for its report."""


async def forget_old(tx: AsyncConnection, *, now: datetime) -> None:
    """Deletes what is older than its period; of an import, the file alone. Facts that are not yet published stay, however old.

    So does the last published one: the next position follows from it.
    """
    await tx.execute(delete(idempotency).where(idempotency.c.at < now - ANSWERS))
    await tx.execute(delete(inbox).where(inbox.c.seen_at < now - SEEN))
    # By position, which has an index: the rows looked at are those that go, and one.
    position = outbox.c.position
    first_kept = select(position).where(outbox.c.published_at >= now - PUBLISHED).order_by(position).limit(1)
    last = select(func.max(position))
    await tx.execute(
        delete(outbox).where(position < func.coalesce(first_kept.scalar_subquery(), last.scalar_subquery()))
    )
    kept = import_file.c.file_sealed.is_not(None) & (import_file.c.at <= now - FILES)
    await tx.execute(update(import_file).where(kept).values(file_sealed=None))
