"""Table and queries of imports. A file with wrong rows is kept sealed for a while, so that its report can be fetched."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    Uuid,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import metadata
from shared.db import DivisionCode, Instant, Json, in_area
from shared.scope import Area

imports = Table(
    "import_file",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("state", String(10), nullable=False),
    Column("rows", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    # By row and column, without the cells' content.
    Column("errors", Json, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    Column("file_sealed", Text, info={"volatile": True}),
    Column("expires_on", Date),
)
Index(
    "ix_import_file_expires_on",
    imports.c.expires_on,
    sqlite_where=imports.c.file_sealed.is_not(None),
    postgresql_where=imports.c.file_sealed.is_not(None),
)


async def add(tx: AsyncConnection, **values: Any) -> None:
    await tx.execute(insert(imports).values(**values))


async def find(tx: AsyncConnection, id: UUID, area: Area) -> RowMapping | None:
    query = select(imports).where(imports.c.id == id, in_area(imports.c.division, area))
    return (await tx.execute(query)).mappings().one_or_none()


async def drop_expired(tx: AsyncConnection, today: date) -> int:
    """Forgets the files whose time is over; the counts stay. Returns how many."""
    expired = imports.c.file_sealed.is_not(None) & (imports.c.expires_on <= today)
    return (await tx.execute(update(imports).where(expired).values(file_sealed=None))).rowcount
