"""What the contacts API takes and gives."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.notify.contacts.domain import Mode, State


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
    """

    kind: Literal["contacts"] = "contacts"
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


class RecipientOut(BaseModel):
    """A holder of a post and how he is reached; the number is masked."""

    cadre_no: str
    post: str
    unit: str
    division: str
    place: str | None
    since: date
    until: date | None
    phone_masked: str | None
    language: str | None
    opted_out_at: datetime | None
