"""What the imports API gives."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from shared.imports.domain import Mode, State


class RowProblem(BaseModel):
    """A wrong cell: sheet, row as the spreadsheet numbers it, column title, a stable code, the remedy in both languages."""

    sheet: str
    row: int
    column: str
    code: str
    zh: str
    en: str
    message: str = Field(description="both languages in one line")


class ImportOut(BaseModel):
    """What became of a file (导入结果). Only in state `applied` was anything changed.

    `rows` = `accepted` + `rejected`. `created`, `changed`, `unchanged`: what was done with the accepted rows.
    `report`: where the annotated sheet is, when rows are wrong.
    """

    import_id: UUID
    kind: str
    mode: Mode
    dry_run: bool
    state: State
    rows: int
    accepted: int
    rejected: int
    created: int
    changed: int
    unchanged: int
    errors: list[RowProblem] = Field(description="the first 100")
    report: str | None
    at: datetime
