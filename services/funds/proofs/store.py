"""Tables and queries of the log: complete nodes of its Merkle tree, and every checkpoint that was signed. Both only grow."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.proofs.merkle import Node
from services.funds.tables import metadata
from shared.append_only import protect
from shared.db import Instant, insert_ignoring

IN_MAX = 1_000
"""Nodes asked for in one statement."""

log_node = Table(
    "log_node",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
)

checkpoint = Table(
    "log_checkpoint",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("signed_at", Instant, nullable=False),
    info={"volatile": True},  # how many there are depends on when the sequencer ran; a canonical dump leaves them out
)

cosignature = Table(
    "log_cosignature",
    metadata,
    Column("book", String(6), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", String(200), primary_key=True),
    Column("line", Text, nullable=False),
    Column("taken_at", Instant, nullable=False),
    info={"volatile": True},
)
"""What witnesses signed (见证签名), as they brought it: handed on to those who check, believed by nobody here."""

protect(log_node)
protect(checkpoint)
protect(cosignature)


async def sealed_size(tx: AsyncConnection, book: str) -> int:
    """Entries under the latest checkpoint of a book; 0 before the first."""
    return (await latest(tx, book))[0]


async def latest(tx: AsyncConnection, book: str, *, witnessed: bool = False) -> tuple[int, str]:
    """(size, signed note) of the latest checkpoint, or of the latest that a witness has signed; (0, "") before the first."""
    query = select(checkpoint.c.size, checkpoint.c.note).where(checkpoint.c.book == book)
    if witnessed:
        signed = select(func.max(cosignature.c.size)).where(cosignature.c.book == book)
        query = query.where(checkpoint.c.size == signed.scalar_subquery())
    row = (await tx.execute(query.order_by(checkpoint.c.size.desc()).limit(1))).one_or_none()
    return (row.size, row.note) if row else (0, "")


async def note_of(tx: AsyncConnection, book: str, size: int) -> str | None:
    """The signed note of the checkpoint of so many entries, if there is one."""
    query = select(checkpoint.c.note).where(checkpoint.c.book == book, checkpoint.c.size == size)
    return (await tx.execute(query)).scalar_one_or_none()


async def cosignatures(tx: AsyncConnection, book: str, size: int) -> list[str]:
    """The lines that witnesses signed under a checkpoint, by witness."""
    query = select(cosignature.c.line).where(cosignature.c.book == book, cosignature.c.size == size)
    return list((await tx.execute(query.order_by(cosignature.c.witness))).scalars())


async def add_cosignature(tx: AsyncConnection, book: str, size: int, witness: str, line: str, at: datetime) -> None:
    """A witness's first signature under a checkpoint stays."""
    row = {"book": book, "size": size, "witness": witness, "line": line, "taken_at": at}
    await tx.execute(insert_ignoring(tx, cosignature), row)


async def find_nodes(tx: AsyncConnection, book: str, nodes: Sequence[Node]) -> dict[Node, bytes]:
    found: dict[Node, bytes] = {}
    wanted = sorted(set(nodes))
    for start in range(0, len(wanted), IN_MAX):
        query = select(log_node.c.level, log_node.c.place, log_node.c.hash).where(
            log_node.c.book == book, tuple_(log_node.c.level, log_node.c.place).in_(wanted[start : start + IN_MAX])
        )
        found |= {(row.level, row.place): bytes(row.hash) for row in await tx.execute(query)}
    return found


async def leaves(tx: AsyncConnection, book: str, after: int, upto: int) -> list[bytes]:
    """The leaf hashes of the entries over `after` up to `upto`, in order."""
    query = select(log_node.c.hash).where(
        log_node.c.book == book, log_node.c.level == 0, log_node.c.place >= after, log_node.c.place < upto
    )
    return [bytes(hash) for hash in (await tx.execute(query.order_by(log_node.c.place))).scalars()]


async def add_checkpoint(
    tx: AsyncConnection,
    book: str,
    nodes: Sequence[tuple[Node, bytes]],
    *,
    size: int,
    root: bytes,
    note: str,
    at: datetime,
) -> None:
    """Raises IntegrityError when another sequencer has sealed these entries meanwhile."""
    rows = [{"book": book, "level": level, "place": place, "hash": hash} for (level, place), hash in nodes]
    await tx.execute(insert(log_node), rows)
    await tx.execute(insert(checkpoint).values(book=book, size=size, root=root, note=note, signed_at=at))
