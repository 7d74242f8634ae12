"""Use cases of imports (导入): a file is checked as a whole, taken over in one transaction, reported row by row."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from shared import retention, sheets
from shared.ids import new_id
from shared.imports import domain, store
from shared.imports.domain import Mode, State
from shared.imports.kinds import ImportKind, Kinds, Tally
from shared.imports.schemas import ImportOut, RowProblem
from shared.pii import Vault
from shared.roles import Caller
from shared.sheets import Checked, Limits, RowError, Table
from shared.work import Work

SHOWN_ERRORS = 100
"""Row errors in one answer; the report has more."""
KEPT_ERRORS = 10_000
"""Row errors that are kept for the report: whoever has more corrects these first."""
SEALED_COLUMN = "import_file.file"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read and checked cell by cell, not yet against the database."""

    kind: ImportKind
    data: bytes
    sheets: Sequence[Checked | None]


async def check(caller: Caller, kinds: Kinds, key: str, data: bytes, limits: Limits) -> list[Checked | None]:
    """Reads and checks a file (XLSX or CSV) as this kind, off the loop and without the database.

    Raises KindUnknown, NotYourLedger, and a WrongFile or FileTooLarge for a file that cannot be read as this kind.
    """
    return await asyncio.to_thread(_check, data, _kind(caller, kinds, key), limits)


async def import_file(work: Work, file: File, *, mode: Mode, dry_run: bool, division: str | None = None) -> ImportOut:
    """Takes a checked file over, or its good rows, or nothing.

    A file with wrong rows is no refusal of the request: what became of it is recorded, with its report, and answered.
    `division`: whose import it is, for a caller of several; it decides who may read the report.
    Raises Malformed (division).
    """
    division = work.caller.filing_division(division)
    prepared = await file.kind.prepare(work, file.sheets)
    errors = [error for sheet in prepared.sheets for error in sheet.errors]
    accepted = sum(len(sheet.valid) for sheet in prepared.sheets)
    rejected = sum(sheet.rejected for sheet in prepared.sheets)
    state = domain.outcome(mode, dry_run=dry_run, wrong=rejected)
    tally = await prepared.write() if state == State.APPLIED else Tally()
    row = {
        "id": new_id(),
        "kind": file.kind.key,
        "division": division,
        "mode": mode.value,
        "dry_run": dry_run,
        "state": state.value,
        "rows": accepted + rejected,
        "accepted": accepted,
        "rejected": rejected,
        **asdict(tally),
        "errors": [asdict(error) for error in errors[:KEPT_ERRORS]],
        "actor": work.caller.subject,
        "at": work.now,
        "file_sealed": None,
    }
    if errors:
        row["file_sealed"] = await asyncio.to_thread(_sealed, work.vault, file.data, row["id"])
    await store.add(work.tx, **row)
    return _shown(work, row)


async def show(work: Work, kinds: Kinds, import_id: UUID) -> ImportOut:
    """What became of a file. Raises ImportUnknown, NotYourLedger."""
    return _shown(work, await _row(work, kinds, import_id))


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that came with errors, as it is kept: what became of it, and its bytes, sealed."""

    row: dict[str, Any]
    sealed: str


async def kept(work: Work, kinds: Kinds, import_id: UUID) -> Kept:
    """Raises ImportUnknown, NotYourLedger, NoWrongRows, ReportGone."""
    row = await _row(work, kinds, import_id)
    if not row["errors"]:
        raise domain.NoWrongRows("No row of this file was wrong; there is no report.")
    sealed = await store.file_of(work.tx, import_id, work.area)
    if sealed is None:
        raise domain.ReportGone(f"Reports are kept for {retention.FILES.days} days. Send the file again.")
    return Kept(row, sealed)


async def report(kept: Kept, vault: Vault, kinds: Kinds, limits: Limits) -> bytes:
    """The annotated sheet (批注表) as XLSX: all rows, or the rejected ones when the good ones were taken over. Needs no database."""
    return await asyncio.to_thread(_annotated, vault, kept.sealed, kept.row, kinds[kept.row["kind"]], limits)


def template(work: Work, kinds: Kinds, key: str) -> bytes:
    """The empty workbook of a kind. Raises KindUnknown, NotYourLedger."""
    return sheets.template(_kind(work.caller, kinds, key).specs)


def _check(data: bytes, kind: ImportKind, limits: Limits) -> list[Checked | None]:
    def checked(table: Table | None) -> Checked | None:
        return sheets.check(table) if table else None

    return list(
        map(checked, sheets.read_sheets(data, kind.specs, limits))
    )  # map keeps no table while the next sheet is read


def _sealed(vault: Vault, data: bytes, import_id: UUID) -> str:
    return vault.seal(base64.b64encode(data).decode(), column=SEALED_COLUMN, row=import_id)


def _annotated(vault: Vault, sealed: str, row: dict[str, Any], kind: ImportKind, limits: Limits) -> bytes:
    data = base64.b64decode(vault.open(sealed, column=SEALED_COLUMN, row=row["id"]))
    errors = [RowError(**error) for error in row["errors"]]
    wrong_only = row["mode"] == Mode.VALID and row["state"] == State.APPLIED
    return sheets.annotate(data, kind.specs, errors, wrong_only=wrong_only, limits=limits)


def _kind(caller: Caller, kinds: Kinds, key: str) -> ImportKind:
    kind = kinds.get(key)
    if kind is None:
        raise domain.KindUnknown("There is no such kind of file. Ask for one of: " + ", ".join(kinds) + ".")
    if not caller.has(*kind.roles):
        raise domain.NotYourLedger(
            "Another office keeps this ledger. Ask for one of: " + ", ".join(kind.roles) + ".", needs=list(kind.roles)
        )
    return kind


async def _row(work: Work, kinds: Kinds, import_id: UUID) -> dict[str, Any]:
    row = await store.find(work.tx, import_id, work.area)
    if row is None:
        raise domain.ImportUnknown("There is no such import in your area.")
    _kind(work.caller, kinds, row["kind"])
    return dict(row)


def _shown(work: Work, row: dict[str, Any]) -> ImportOut:
    values = {key: row[key] for key in ImportOut.model_fields if key in row}
    return ImportOut(
        **{**values, "errors": _problems(row["errors"][:SHOWN_ERRORS])},
        import_id=row["id"],
        report=f"/{work.service}/v1/imports/{row['id']}/report" if row["errors"] else None,
    )


def _problems(errors: Sequence[dict[str, Any]]) -> list[RowProblem]:
    return [RowProblem(**error, message=f"{error['zh']} {error['en']}") for error in errors]
