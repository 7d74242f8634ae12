"""What is looked up of the log when somebody scrapes funds: how far its signing is behind."""

from collections.abc import Iterable

from sqlalchemy import func, select

from services.funds.ledger.store import book, entry
from services.funds.proofs.store import checkpoint
from shared.metrics import LEDGER_UNSEALED, Reading
from shared.service import Service

_SEALED = (
    select(func.coalesce(func.max(checkpoint.c.size), 0)).where(checkpoint.c.book == book.c.book).scalar_subquery()
)
_FIRST_UNSEALED = select(func.min(entry.c.recorded_at)).join(
    book, (entry.c.book == book.c.book) & (entry.c.seq == _SEALED + 1)
)


async def unsealed(service: Service) -> Iterable[Reading]:
    """Seconds since the oldest entry was posted that no checkpoint covers; 0 when all are covered. Two key reads a book."""
    async with service.database.read() as tx:
        oldest = await tx.scalar(_FIRST_UNSEALED)
    age = 0.0 if oldest is None else (service.clock.now() - oldest).total_seconds()
    return [Reading(LEDGER_UNSEALED, max(0.0, age))]
