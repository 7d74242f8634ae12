"""Queries of imports. A file with wrong rows is kept sealed for a while, so that its report can be fetched."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import in_area
from shared.scope import Area
from shared.tables import import_file


async def add(tx: AsyncConnection, **values: Any) -> None:
    await tx.execute(insert(import_file).values(**values))


async def find(tx: AsyncConnection, id: UUID, area: Area) -> RowMapping | None:
    """What became of a file, without the file."""
    shown = [column for column in import_file.c if column.name != "file_sealed"]
    query = select(*shown).where(import_file.c.id == id, in_area(import_file.c.division, area))
    return (await tx.execute(query)).mappings().one_or_none()


async def file_of(tx: AsyncConnection, id: UUID, area: Area) -> str | None:
    """The sealed file; None when it had no wrong rows or is no longer kept."""
    query = select(import_file.c.file_sealed).where(import_file.c.id == id, in_area(import_file.c.division, area))
    sealed: str | None = (await tx.execute(query)).scalar_one_or_none()
    return sealed
