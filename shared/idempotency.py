"""The first answer to a key, kept with a hash of its request, and given again for the same request."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from shared.errors import Refusal
from shared.tables import idempotency

KEPT_HEADERS = ("content-type", "etag", "location")


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Claim:
    client: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def first_answer(tx: AsyncConnection, claim: Claim) -> Answer | None:
    """The answer given before, or None when this is the first time.

    Raises IdempotencyKeyReused when the key came with another request.
    """
    if tx.dialect.name == "postgresql":  # SQLite has one writer anyway
        await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{claim.client}:{claim.key}", 0))))
    query = select(idempotency).where(idempotency.c.client == claim.client, idempotency.c.key == claim.key)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        return None
    if row.request_hash != claim.request_hash:
        raise IdempotencyKeyReused("This key belongs to another request. Use a new key for a new act.")
    return Answer(row.status, row.headers, row.body)


async def keep(tx: AsyncConnection, claim: Claim, response: Response, *, at: datetime) -> None:
    """Keeps the answer in the transaction of its act. Of two at once the second waits for the first (see `first_answer`)."""
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    row = {
        "client": claim.client,
        "key": claim.key,
        "request_hash": claim.request_hash,
        "status": response.status_code,
        "headers": headers,
        "body": bytes(response.body),
        "at": at,
    }
    await tx.execute(insert(idempotency).values(row))
