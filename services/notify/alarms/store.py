"""Table and queries of alarms."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, String, Table, UniqueConstraint, Uuid, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.tables import metadata
from shared.db import DivisionCode, Instant, Json, in_area, insert_ignoring
from shared.ids import new_id
from shared.scope import Area

alarms = Table(
    "alarm",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("facts", Json, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("seen_by", String(100)),
    Column("seen_at", Instant),
    UniqueConstraint("kind", "subject"),
)


async def add(
    tx: AsyncConnection, *, kind: str, subject: str, division: str, facts: Mapping[str, Any], at: datetime
) -> None:
    """Once a kind and subject, however often it is raised."""
    row = {
        "id": new_id(),
        "kind": kind,
        "subject": subject,
        "division": division,
        "facts": dict(facts),
        "raised_at": at,
    }
    await tx.execute(insert_ignoring(tx, alarms).values(row))


async def page(
    tx: AsyncConnection, area: Area, *, only_open: bool, after: tuple[str, str] | None, limit: int
) -> list[dict[str, Any]]:
    """In order of kind and subject."""
    query = (
        select(alarms).where(in_area(alarms.c.division, area)).order_by(alarms.c.kind, alarms.c.subject).limit(limit)
    )
    if only_open:
        query = query.where(alarms.c.seen_at.is_(None))
    if after is not None:
        query = query.where(tuple_(alarms.c.kind, alarms.c.subject) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def find(tx: AsyncConnection, id: UUID, area: Area) -> dict[str, Any] | None:
    row = (
        (await tx.execute(select(alarms).where(alarms.c.id == id, in_area(alarms.c.division, area))))
        .mappings()
        .one_or_none()
    )
    return dict(row) if row else None


async def mark_seen(tx: AsyncConnection, id: UUID, area: Area, *, by: str, at: datetime) -> None:
    """The first who saw it stays."""
    query = update(alarms).where(alarms.c.id == id, in_area(alarms.c.division, area), alarms.c.seen_at.is_(None))
    await tx.execute(query.values(seen_by=by, seen_at=at))
