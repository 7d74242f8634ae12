"""Tables and queries of the ledger. Entries and postings are append-only by trigger; an account changes in its balance alone."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    and_,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.ledger.domain import (
    AccountKey,
    Known,
    Posted,
    answer_again,
    genesis,
)
from services.funds.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import BigId, DivisionCode, Instant, in_area
from shared.scope import Area

IN_MAX = 5_000
"""Keys of one IN list; longer ones are asked for in parts (both databases take about 32,000 parameters)."""

book = Table(
    "ledger_book",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("link", LargeBinary(32), nullable=False),
)

account = Table(
    "ledger_account",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("book", String(6), nullable=False),
    Column("name", String(160), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("earmark", String(64), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("may_overdraw", Boolean, nullable=False),
    Column("balance_fen", BigInteger, nullable=False),
    UniqueConstraint("book", "name"),
    CheckConstraint("may_overdraw or balance_fen >= 0", name="covered"),
)
Index("ix_ledger_account_owner", account.c.kind, account.c.owner)
Index("ix_ledger_account_earmark", account.c.earmark, account.c.kind)

entry = Table(
    "ledger_entry",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("ref", String(300), nullable=False),
    Column("once", String(300)),
    Column("request_hash", LargeBinary(32), nullable=False),
    Column("actor", String(300), nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column(
        "memo",
        String(300),
        nullable=False,
        info=personal.plain("what people write", why="what an entry is", kept=personal.AS_EVIDENCE),
    ),
    Column(
        "body",
        LargeBinary,
        nullable=False,
        info=personal.masked(
            "of those paid: masked names, last four digits and blind index of the card",
            why="proof of what was paid to whom",
            kept=personal.AS_EVIDENCE,
        ),
    ),
    Column("digest", LargeBinary(32), nullable=False),
    Column("link", LargeBinary(32), nullable=False),
    UniqueConstraint("book", "ref"),
    UniqueConstraint("book", "once"),
)
Index("ix_ledger_entry_division", entry.c.book, entry.c.division, entry.c.seq)

# No foreign keys: the writer makes the accounts, and plans made for an empty table would stay (handbook, "a trap seen there").
posting = Table(
    "ledger_posting",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False, info={"volatile": True}),
    Column("division", DivisionCode, nullable=False),
    Column("amount_fen", BigInteger, CheckConstraint("amount_fen <> 0", name="moves"), nullable=False),
)
Index("ix_ledger_posting_account", posting.c.account_id, posting.c.seq)


protect(entry)
protect(posting)
protect(account, but="balance_fen")


def _parts(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + IN_MAX] for start in range(0, len(keys), IN_MAX))


async def books(tx: AsyncConnection, area: Area) -> list[str]:
    """The books (one a county) that hold anything in the area, by code."""
    held = select(account.c.id).where(account.c.book == book.c.book, in_area(account.c.division, area))
    return list((await tx.execute(select(book.c.book).where(held.exists()).order_by(book.c.book))).scalars())


async def balances(tx: AsyncConnection, code: str, keys: Sequence[AccountKey]) -> dict[AccountKey, tuple[int, int]]:
    """(account id, balance in fen) of those of the accounts that exist."""
    found: dict[AccountKey, tuple[int, int]] = {}
    columns = (account.c.kind, account.c.owner, account.c.earmark, account.c.id, account.c.balance_fen)
    for part in _parts([key.name for key in keys]):
        for row in await tx.execute(select(*columns).where(account.c.book == code, account.c.name.in_(part))):
            found[AccountKey(row.kind, row.owner, row.earmark)] = (row.id, row.balance_fen)
    return found


async def known_refs(tx: AsyncConnection, code: str, refs: Sequence[str]) -> dict[str, Known]:
    columns = (entry.c.ref, entry.c.request_hash, entry.c.seq, entry.c.link, entry.c.recorded_at)
    return {
        row.ref: Known(bytes(row.request_hash), Posted(row.seq, bytes(row.link), row.recorded_at))
        for part in _parts(refs)
        for row in await tx.execute(select(*columns).where(entry.c.book == code, entry.c.ref.in_(part)))
    }


async def known_onces(tx: AsyncConnection, code: str, onces: Sequence[str]) -> dict[str, int]:
    """once → number of the entry that settled it, for those that are settled."""
    return {
        row.once: row.seq
        for part in _parts(onces)
        for row in await tx.execute(
            select(entry.c.once, entry.c.seq).where(entry.c.book == code, entry.c.once.in_(part))
        )
    }


async def actor_of_once(tx: AsyncConnection, code: str, once: str) -> str | None:
    """Who posted the entry that settled this; None while nothing has."""
    found: str | None = await tx.scalar(select(entry.c.actor).where(entry.c.book == code, entry.c.once == once))
    return found


async def find_posted(tx: AsyncConnection, code: str, ref: str, request_hash: bytes) -> Posted | None:
    """The first answer to a ref, or None when it is new. Raises IdempotencyKeyReused when it stands for another request.

    A money route asks this before its gates, so that a repeated request is answered as the first one was.
    """
    known = (await known_refs(tx, code, [ref])).get(ref)
    return answer_again(known, request_hash, ref) if known else None


_moved_fen = (
    select(func.coalesce(func.sum(posting.c.amount_fen), 0))
    .where(posting.c.book == entry.c.book, posting.c.seq == entry.c.seq, posting.c.amount_fen > 0)
    .scalar_subquery()
)
_LISTED = (
    *(column for column in entry.c if column.name not in ("request_hash", "body")),
    _moved_fen.label("amount_fen"),
)
"""What a list shows of entries. Never their bodies: one may hold a county's households."""


async def find_entry(tx: AsyncConnection, code: str, seq: int, area: Area) -> RowMapping | None:
    query = select(*_LISTED, entry.c.body).where(
        entry.c.book == code, entry.c.seq == seq, in_area(entry.c.division, area)
    )
    return (await tx.execute(query)).mappings().one_or_none()


async def page_entries(
    tx: AsyncConnection,
    code: str,
    area: Area,
    *,
    after: int,
    limit: int,
    kind: str | None = None,
    account_name: str | None = None,
) -> Sequence[RowMapping]:
    """Entries with a number above `after`, in order; with `account_name`, only those with a posting in that account."""
    query = select(*_LISTED).where(entry.c.book == code, entry.c.seq > after, in_area(entry.c.division, area))
    if kind is not None:
        query = query.where(entry.c.kind == kind)
    if account_name is not None:
        of_account = (
            select(posting.c.seq)
            .join(account, account.c.id == posting.c.account_id)
            .where(account.c.book == code, account.c.name == account_name, in_area(account.c.division, area))
        )
        query = query.where(entry.c.seq.in_(of_account))
    return (await tx.execute(query.order_by(entry.c.seq).limit(limit))).mappings().all()


async def linked(tx: AsyncConnection, code: str, *, after: int, limit: int) -> Sequence[Any]:
    """(seq, body, link) of the entries above `after`, in order: what the sequencer reads. Not for callers: no area."""
    query = select(entry.c.seq, entry.c.body, entry.c.link).where(entry.c.book == code, entry.c.seq > after)
    return (await tx.execute(query.order_by(entry.c.seq).limit(limit))).all()


async def body_bytes(tx: AsyncConnection, code: str, seqs: Sequence[int], area: Area) -> int:
    """How large the bodies of these entries are together, of those in the area."""
    total = 0
    for part in _parts(seqs):
        query = select(func.coalesce(func.sum(func.length(entry.c.body)), 0)).where(
            entry.c.book == code, entry.c.seq.in_(part), in_area(entry.c.division, area)
        )
        total += int((await tx.execute(query)).scalar_one())
    return total


async def records(
    tx: AsyncConnection, code: str, seqs: Sequence[int], area: Area
) -> dict[int, tuple[bytes, bytes, bytes]]:
    """(link before, link, body) of those of the entries that lie in the area."""
    before = entry.alias()
    found: dict[int, tuple[bytes, bytes, bytes]] = {}
    start = genesis(code).link
    for part in _parts(seqs):
        query = (
            select(entry.c.seq, entry.c.body, entry.c.link, before.c.link.label("prev"))
            .outerjoin(before, and_(before.c.book == entry.c.book, before.c.seq == entry.c.seq - 1))
            .where(entry.c.book == code, entry.c.seq.in_(part), in_area(entry.c.division, area))
        )
        for row in await tx.execute(query):
            found[row.seq] = (bytes(row.prev) if row.prev is not None else start, bytes(row.link), bytes(row.body))
    return found
