"""Routes of imports. The body of a POST is the file itself; what it is, is told from its content."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from shared.http import Reach, Route, Router, WorkDep, allow
from shared.imports import service
from shared.imports.domain import Mode
from shared.imports.kinds import ImportKind
from shared.imports.schemas import ImportOut
from shared.roles import Caller
from shared.sheets import Limits

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {XLSX: {}}}}


def router(name: str, offered: Sequence[ImportKind]) -> Router:
    """The import routes of a service: `/<name>/v1/imports/…` for each kind its rooms offer.

    The gate lets pass who may import any of them; each kind then asks for its own roles.
    """
    kinds = {kind.key: kind for kind in offered}
    importing = dict.fromkeys(role for kind in offered for role in kind.roles)
    importers, form = allow(*importing), allow(*importing, reach=Reach.COUNTY)

    class ImportRoute(Route):
        narrower = MappingProxyType({kind.key: (kind.specs[0].title, kind.roles) for kind in offered})

        async def ahead(self, request: Request, caller: Caller) -> None:
            if request.method == "POST":  # a large file takes seconds to read; nobody else's writing waits for it
                key = request.path_params["kind"]
                async with request.app.state.reading:
                    request.state.checked = await service.check(
                        caller, kinds, key, await request.body(), _limits(request)
                    )

    routes = Router(prefix=f"/{name}/v1/imports", tags=["imports"], route=ImportRoute)
    Kind = Annotated[str, Path(max_length=40, description="one of: " + ", ".join(kinds))]

    @routes.post("/{kind}", status_code=201, dependencies=[importers], openapi_extra=_BODY)
    async def import_file(
        work: WorkDep,
        kind: Kind,
        request: Request,
        mode: Mode = Mode.ALL,
        dry_run: bool = False,
        division: Annotated[
            str | None, Query(description="whose import it is; needed if your token holds several")
        ] = None,
    ) -> ImportOut:
        """Import a file (导入): XLSX, or CSV in UTF-8 or GB18030. One wrong row and nothing is taken over, unless mode=valid."""
        file = service.File(kinds[kind], await request.body(), request.state.checked)
        return await service.import_file(work, file, mode=mode, dry_run=dry_run, division=division)

    @routes.get("/{import_id}", dependencies=[importers])
    async def show_import(work: WorkDep, import_id: UUID) -> ImportOut:
        """What became of a file (导入结果)."""
        return await service.show(work, kinds, import_id)

    @routes.get("/{import_id}/report", dependencies=[importers], responses=_SHEET, response_class=Response)
    async def report(import_id: UUID, request: Request) -> Response:
        """The file with its wrong cells marked and explained (批注表), as XLSX."""
        state = request.app.state
        async with state.service.work(request.state.caller, write=False, request=request) as work:
            kept = await service.kept(work, kinds, import_id)
        async with (
            state.reading
        ):  # it takes as much as reading the file did; nobody waits for his turn in a transaction
            return _sheet(await service.report(kept, work.vault, kinds, _limits(request)), f"{import_id}.xlsx")

    @routes.get("/{kind}/template", dependencies=[form], responses=_SHEET, response_class=Response)
    async def template(work: WorkDep, kind: Kind) -> Response:
        """The empty form (模板), as XLSX."""
        return _sheet(service.template(work, kinds, kind), f"{kind}.xlsx")

    return routes


def _limits(request: Request) -> Limits:
    settings = request.app.state.service.settings
    return Limits(bytes=settings.max_import_bytes, rows=settings.max_import_rows)


def _sheet(data: bytes, name: str) -> Response:
    return Response(
        data,
        media_type=XLSX,
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )
