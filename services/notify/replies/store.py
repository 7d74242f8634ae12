"""Tables and queries of replies. Numbers and texts are sealed: people write anything into an SMS."""

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Column, String, Table, Text, UniqueConstraint, Uuid, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.replies.domain import InboundKind
from services.notify.tables import metadata
from shared import personal
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.personal import AS_HISTORY, Erased
from shared.scope import Area

_READERS = "whoever may read the week's replies, in the area"
_KEPT = Erased(days=1096, since="received_at")
"""Three years (ours): by then a year's assessment is closed and appealed; that, when and by whom was reported stays."""

inbound = Table(
    "inbound_message",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client", String(100), nullable=False),
    Column("message_ref", String(100), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("cadre_no", String(32)),
    Column("week", String(8)),
    Column("on_time", Boolean),
    Column(
        "sender_sealed",
        String(200),
        nullable=False,
        info=personal.sealed(
            "inbound_message.sender",
            "the phone an SMS came from",
            why="a report's proof",
            kept=_KEPT,
            shown="nobody",
        ),
    ),
    Column(
        "sender_masked",
        String(20),
        nullable=False,
        info=personal.masked("the phone an SMS came from", why="lists", kept=AS_HISTORY),
    ),
    Column(
        "text_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            "inbound_message.text",
            "what an SMS says",
            why="a report's proof",
            kept=_KEPT,
            shown=_READERS,
        ),
    ),
    Column("received_at", Instant, nullable=False),
    UniqueConstraint("client", "message_ref"),
)

reports = Table(
    "report",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("week", String(8), nullable=False),
    Column("cadre_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("channel", String(8), nullable=False),
    Column(
        "text_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            "report.text",
            "what a cadre reports",
            why="the week's work",
            kept=_KEPT,
            shown=_READERS,
        ),
    ),
    Column("received_at", Instant, nullable=False),
    Column("on_time", Boolean, nullable=False),
    UniqueConstraint("week", "cadre_no"),
)


async def add_inbound(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when this client brought a message of this number before."""
    return (await tx.execute(insert_ignoring(tx, inbound).values(row))).rowcount == 1


async def classify(tx: AsyncConnection, id: UUID, **columns: Any) -> None:
    """Writes down what an inbound message turned out to be."""
    await tx.execute(update(inbound).where(inbound.c.id == id).values(**columns))


async def find_inbound(tx: AsyncConnection, client: str, message_ref: str, area: Area) -> dict[str, Any] | None:
    c = inbound.c
    query = select(inbound).where(c.client == client, c.message_ref == message_ref, in_area(c.division, area))
    row = (await tx.execute(query)).mappings().one_or_none()
    return dict(row) if row else None


async def inbound_page(
    tx: AsyncConnection,
    area: Area,
    *,
    kind: InboundKind | None,
    week: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """In order of client and the gateway's number."""
    c = inbound.c
    query = select(inbound).where(in_area(c.division, area)).order_by(c.client, c.message_ref).limit(limit)
    if kind is not None:
        query = query.where(c.kind == kind)
    if week is not None:
        query = query.where(c.week == week)
    if after is not None:
        query = query.where(tuple_(c.client, c.message_ref) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def add_report(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when the cadre has reported on that week before: the first report counts."""
    return (await tx.execute(insert_ignoring(tx, reports).values(row))).rowcount == 1


async def reporters(tx: AsyncConnection, week: str) -> set[str]:
    """Everybody who has reported on a week. For the system's own work."""
    return {row.cadre_no for row in await tx.execute(select(reports.c.cadre_no).where(reports.c.week == week))}


async def report_page(
    tx: AsyncConnection, area: Area, *, week: str, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Reports of a week, in order of cadre number."""
    query = (
        select(reports)
        .where(reports.c.week == week, in_area(reports.c.division, area))
        .order_by(reports.c.cadre_no)
        .limit(limit)
    )
    if after is not None:
        query = query.where(reports.c.cadre_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]
