"""Routes of divisions."""

from typing import Annotated

from fastapi import Path, Query

from services.registry.divisions import service
from services.registry.divisions.schemas import DivisionOut
from shared.http import Page, PageDep, Router, WorkDep, allow
from shared.roles import Role
from shared.scope import Level

router = Router(prefix="/registry/v1/divisions", tags=["divisions"])

Code = Annotated[str, Path(pattern=r"^\d{12}$", description="12-digit division code")]


@router.get("", dependencies=[allow(*Role)])
async def list_divisions(
    work: WorkDep,
    paging: PageDep,
    level: Level | None = None,
    parent: Annotated[str | None, Query(pattern=r"^\d{12}$")] = None,
) -> Page[DivisionOut]:
    """Divisions of the caller's area (行政区划), by code."""
    return await service.list_divisions(work, paging, level=level, parent=parent)


@router.get("/{code}", dependencies=[allow(*Role)])
async def show_division(work: WorkDep, code: Code) -> DivisionOut:
    """One division (行政区划)."""
    return await service.show(work, code)
