"""What the contacts API takes and gives."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field


class RowProblem(BaseModel):
    """A wrong cell of an imported file: where, which rule, what to do."""

    row: int
    column: str
    code: str
    zh: str
    en: str


class ImportOut(BaseModel):
    """What became of a file. Nothing was changed when `applied` is false."""

    kind: Literal["contacts"] = "contacts"
    rows: int
    accepted: int
    unchanged: int
    rejected: int
    applied: bool
    errors: list[RowProblem] = Field(description="at most 100 of them")


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
