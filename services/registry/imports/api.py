"""Routes of imports. The body of a POST is the file itself; what it is, is told from its content."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response

from services.registry.imports import service
from services.registry.imports.domain import Mode
from services.registry.imports.kinds import IMPORTERS
from services.registry.imports.schemas import ImportOut
from shared.http import Router, WorkDep, allow

router = Router(prefix="/registry/v1/imports", tags=["imports"])

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Kind = Annotated[str, Path(max_length=40, description="divisions, households, people or measures")]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {XLSX: {}}}}


@router.post("/{kind}", status_code=201, dependencies=[allow(*IMPORTERS)], openapi_extra=_BODY)
async def import_file(
    work: WorkDep, kind: Kind, request: Request, mode: Mode = Mode.ALL, dry_run: bool = False
) -> ImportOut:
    """Import a file (导入): XLSX, or CSV in UTF-8 or GB18030. One wrong row and nothing is taken over, unless mode=valid."""
    return await service.import_file(work, kind, await request.body(), mode=mode, dry_run=dry_run)


@router.get("/{import_id}", dependencies=[allow(*IMPORTERS)])
async def show_import(work: WorkDep, import_id: UUID) -> ImportOut:
    """What became of a file (导入结果)."""
    return await service.show(work, import_id)


@router.get("/{import_id}/report", dependencies=[allow(*IMPORTERS)], responses=_SHEET, response_class=Response)
async def report(work: WorkDep, import_id: UUID) -> Response:
    """The file with its wrong cells marked and explained (批注表), as XLSX."""
    return _sheet(await service.report(work, import_id), f"{import_id}.xlsx")


@router.get("/{kind}/template", dependencies=[allow(*IMPORTERS)], responses=_SHEET, response_class=Response)
async def template(work: WorkDep, kind: Kind) -> Response:
    """The empty form (模板), as XLSX."""
    return _sheet(service.template(work, kind), f"{kind}.xlsx")


def _sheet(data: bytes, name: str) -> Response:
    return Response(
        data,
        media_type=XLSX,
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
