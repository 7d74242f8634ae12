"""What the API of funds takes and gives."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, computed_field

from services.funds.sources.domain import FundLevel
from shared.http import In
from shared.money import MAX_FEN, yuan

Number = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,31}$")]
"""A business number: it names accounts of the ledger."""

AmountFen = Annotated[int, Field(strict=True, gt=0, le=MAX_FEN, description="integer fen (分)")]
DivisionIn = Annotated[str, Field(pattern=r"^\d{12}$", description="12-digit division code")]
Year = Annotated[int, Field(ge=2000, le=2100)]


class SourceIn(In):
    fund_no: Number
    name: str = Field(min_length=1, max_length=100)
    level: FundLevel
    year: Year
    division: DivisionIn
    document_no: str = Field(
        min_length=1, max_length=100, description="number of the document that gives the money (文号)"
    )


class ReceiptIn(In):
    amount_fen: AmountFen
    received_on: date
    voucher_no: str = Field(pattern=r"^[^\s/\x00-\x1f]{1,64}$", description="number of the bank voucher (凭证号)")


FIGURES = ("received", "allocated", "in_projects", "held", "paid", "left")


class FundFigures(BaseModel):
    """received = allocated + left; allocated = in projects + held + paid. Read from the ledger."""

    received_fen: int
    allocated_fen: int
    in_projects_fen: int
    held_fen: int
    paid_fen: int
    left_fen: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def yuan(self) -> dict[str, str]:
        return {name: yuan(getattr(self, f"{name}_fen")) for name in FIGURES}


class SourceOut(BaseModel):
    id: UUID
    fund_no: str
    name: str
    level: FundLevel
    year: int
    division: str
    document_no: str
    figures: FundFigures


class ReceiptOut(BaseModel):
    source_id: UUID
    fund_no: str
    amount_fen: int
    received_on: date
    voucher_no: str
    entry_seq: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)
