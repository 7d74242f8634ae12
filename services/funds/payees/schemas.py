"""What the API of payees takes and gives."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

Mode = Literal["all", "valid"]


class RowProblem(BaseModel):
    """A wrong cell of an imported file: where, which rule, what to do."""

    row: int
    column: str
    code: str
    zh: str
    en: str


class ImportOut(BaseModel):
    """What became of a file. Nothing was changed when `applied` is false."""

    kind: Literal["payees"] = "payees"
    rows: int
    accepted: int
    unchanged: int
    rejected: int
    applied: bool
    errors: list[RowProblem] = Field(description="at most 100 of them")


class PayeeOut(BaseModel):
    """The account of a household: masked name, last four digits."""

    id: UUID
    household_no: str
    division: str
    account_name_masked: str
    card_masked: str
    bank: str
    since: date
