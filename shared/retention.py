"""How long the kit's own tables keep their rows (保留期限; the periods are ours). No table grows without a rule.

Dead letters, audit rows and mandates stay: they are closed or archived by people. So does what became of an imported file, one row a file.
"""

from datetime import datetime, timedelta

from sqlalchemy import Column, MetaData, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.personal import ERASED, marked
from shared.tables import LOOKS_KEPT, idempotency, import_file, inbox, look, outbox

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


A_DAY = timedelta(days=1)
"""The triggers of looks go by the database's clock: what they still hold back is not asked for."""

AT_ONCE = 20_000
"""Rows of a table deleted in one transaction, at most: a county's import of long ago must not hold the database up."""


async def forget_old(tx: AsyncConnection, *, now: datetime) -> bool:
    """Deletes what is older than its period, AT_ONCE rows a table; of an import, the file alone. Answers whether more is due.

    Facts that are not yet published stay, however old. So does the last published one: the next position follows from it.
    """
    more = [
        await _forget_before(tx, idempotency.c.at, now - ANSWERS),
        await _forget_before(tx, inbox.c.seen_at, now - SEEN),
        await _forget_published(tx, now - PUBLISHED),
        await _forget_before(tx, look.c.at, now - LOOKS_KEPT - A_DAY),
    ]
    kept = import_file.c.file_sealed.is_not(None) & (import_file.c.at <= now - FILES)
    await tx.execute(update(import_file).where(kept).values(file_sealed=None))
    return any(more)


async def forget_personal(tx: AsyncConnection, metadata: MetaData, *, now: datetime) -> None:
    """Erases sealed values and indexes of a service whose period is over (`Erased` in their marks). Their rows stay."""
    for column, mark in marked(metadata):
        if mark.erased is not None:
            since = column.table.c[mark.erased.since]
            over = (since <= now - timedelta(days=mark.erased.days)) & (column != ERASED)
            await tx.execute(update(column.table).where(over).values({column: ERASED}))


async def _forget_before(tx: AsyncConnection, at: Column[datetime], before: datetime) -> bool:
    last = await tx.scalar(select(at).where(at < before).order_by(at).offset(AT_ONCE - 1).limit(1))
    await tx.execute(delete(at.table).where(at < before if last is None else at <= last))
    return last is not None


async def _forget_published(tx: AsyncConnection, before: datetime) -> bool:
    """By position, which has an index: the rows looked at are those that go, and one."""
    position = outbox.c.position
    first_kept = select(position).where(outbox.c.published_at >= before).order_by(position).limit(1)
    end = await tx.scalar(first_kept) or await tx.scalar(select(func.max(position))) or 0
    start = await tx.scalar(select(func.min(position))) or 0
    await tx.execute(delete(outbox).where(position < min(end, start + AT_ONCE)))
    return start + AT_ONCE < end
