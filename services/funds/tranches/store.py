"""Tables and queries of tranches: the list as it was decided on. Whether it is held or paid is read from the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Integer, String, Table, Uuid, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.ledger import store as ledger_store
from services.funds.tables import metadata
from services.funds.tranches.domain import Line
from shared import personal
from shared.append_only import protect
from shared.db import DivisionCode, Instant, Json, in_area, insert_ignoring
from shared.scope import Area

tranche = Table(
    "tranche",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tranche_no", String(32), nullable=False, unique=True),
    Column("project_id", Uuid, ForeignKey("project.id"), nullable=False, index=True),
    Column("project_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("basis", String(16), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("households", Integer, nullable=False),
    Column("people", Integer, nullable=False),
    Column("funds", Json, nullable=False),  # control totals: fund number → fen
    Column("digest", String(64), nullable=False),
    Column("applied_on", Date, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("created_at", Instant, nullable=False),
)

line = Table(
    "tranche_line",
    metadata,
    Column("tranche_id", Uuid, ForeignKey("tranche.id"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("household_no", String(32), nullable=False, index=True),
    Column("division", DivisionCode, nullable=False),
    Column(
        "head_name_masked",
        String(40),
        nullable=False,
        info=personal.masked("head of the household (户主)", why="the list of a payment", kept=personal.AS_EVIDENCE),
    ),
    Column("people", Integer, nullable=False),
    Column("weight", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("shares", Json, nullable=False),  # fund number → fen
)

protect(tranche)
protect(line)


def held_once(tranche_no: str) -> str:
    """The act that only one entry of the book settles; likewise below."""
    return f"hold:{tranche_no}"


def paid_once(tranche_no: str) -> str:
    return f"paid:{tranche_no}"


def voided_once(tranche_no: str) -> str:
    return f"voided:{tranche_no}"


async def add(tx: AsyncConnection, row: dict[str, Any], lines: Sequence[Line]) -> bool:
    """False when the number is taken: tranche numbers name accounts, so they are unique everywhere, whoever asks."""
    if not (await tx.execute(insert_ignoring(tx, tranche), row)).rowcount:
        return False
    await tx.execute(
        insert(line),
        [
            {
                "tranche_id": row["id"],
                "line": number,
                "household_no": x.household_no,
                "division": x.division,
                "head_name_masked": x.head_name_masked,
                "people": x.people,
                "weight": x.weight,
                "amount_fen": x.amount_fen,
                "shares": dict(x.shares),
            }
            for number, x in enumerate(lines, start=1)
        ],
    )
    return True


async def find(tx: AsyncConnection, tranche_id: UUID, area: Area) -> dict[str, Any] | None:
    query = select(tranche).where(tranche.c.id == tranche_id, in_area(tranche.c.division, area))
    found = (await tx.execute(query)).mappings().one_or_none()
    return dict(found) if found else None


async def page(
    tx: AsyncConnection, area: Area, *, project_id: UUID | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Tranches of the area by number, above `after`."""
    query = select(tranche).where(in_area(tranche.c.division, area)).order_by(tranche.c.tranche_no).limit(limit)
    if project_id is not None:
        query = query.where(tranche.c.project_id == project_id)
    if after is not None:
        query = query.where(tranche.c.tranche_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def lines(
    tx: AsyncConnection, tranche_id: UUID, area: Area, *, after: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """Lines of a tranche whose households lie in the area, in order."""
    query = (
        select(line)
        .where(line.c.tranche_id == tranche_id, line.c.line > after, in_area(line.c.division, area))
        .order_by(line.c.line)
        .limit(limit)
    )
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def as_line(row: Mapping[str, Any]) -> Line:
    return Line(
        row["household_no"],
        row["division"],
        row["head_name_masked"],
        row["people"],
        row["weight"],
        row["amount_fen"],
        row["shares"],
    )


async def moved(tx: AsyncConnection, book: str, tranche_nos: Sequence[str]) -> dict[str, int]:
    """hold:<no>, paid:<no>, voided:<no> → the entry that settled it, for what is settled. Ask it for tranches already found."""
    onces = [once(number) for number in tranche_nos for once in (held_once, paid_once, voided_once)]
    return await ledger_store.known_onces(tx, book, onces)


async def held_by(tx: AsyncConnection, book: str, tranche_no: str) -> str | None:
    """Who set the tranche's money aside; None while nobody has."""
    return await ledger_store.actor_of_once(tx, book, held_once(tranche_no))
