"""Table and queries of briefs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Integer, String, Table, UniqueConstraint, Uuid, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.tables import metadata
from shared import personal
from shared.db import DivisionCode, Instant, Json, in_area, insert_ignoring
from shared.scope import Area

briefs = Table(
    "brief",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("division", DivisionCode, nullable=False),
    Column("week", String(8), nullable=False),
    Column(
        "tasks",
        Json,
        nullable=False,
        info=personal.plain("what people write", why="the week's tasks", kept=personal.AS_HISTORY),
    ),
    Column("entered_by", String(100), nullable=False),
    Column("entered_at", Instant, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("division", "week"),
)


async def add(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when the county has a brief of that week already."""
    return (await tx.execute(insert_ignoring(tx, briefs).values(row))).rowcount == 1


async def tasks_of(tx: AsyncConnection, county: str, week: str) -> list[str] | None:
    """The tasks of a county's week; None while nobody has entered them."""
    query = select(briefs.c.tasks).where(briefs.c.division == county, briefs.c.week == week)
    tasks: list[str] | None = (await tx.execute(query)).scalar_one_or_none()
    return tasks


async def find(tx: AsyncConnection, id: UUID, area: Area) -> dict[str, Any] | None:
    query = select(briefs).where(briefs.c.id == id, in_area(briefs.c.division, area))
    row = (await tx.execute(query)).mappings().one_or_none()
    return dict(row) if row else None


async def change(tx: AsyncConnection, id: UUID, version: int, *, tasks: list[str], by: str, at: datetime) -> bool:
    """False when somebody else changed it since that version."""
    query = update(briefs).where(briefs.c.id == id, briefs.c.version == version)
    return (
        await tx.execute(query.values(tasks=tasks, entered_by=by, entered_at=at, version=version + 1))
    ).rowcount == 1


async def page(
    tx: AsyncConnection, area: Area, *, week: str | None, after: tuple[str, str] | None, limit: int
) -> list[dict[str, Any]]:
    """In order of week and county."""
    query = (
        select(briefs).where(in_area(briefs.c.division, area)).order_by(briefs.c.week, briefs.c.division).limit(limit)
    )
    if week is not None:
        query = query.where(briefs.c.week == week)
    if after is not None:
        query = query.where(tuple_(briefs.c.week, briefs.c.division) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]
