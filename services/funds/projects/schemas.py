"""What the API of projects takes and gives."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field, computed_field

from services.funds.approvals.schemas import DecisionOut, NextOut
from services.funds.sources.schemas import AmountFen, DivisionIn, Number, Year
from shared.http import In
from shared.money import yuan
from shared.texts import OpenText


class ProjectIn(In):
    project_no: Number
    name: str = Field(min_length=1, max_length=100)
    division: DivisionIn
    kind: str = Field(
        min_length=1, max_length=40, description="category of the project, in the county's words (项目类别)"
    )
    description: OpenText = Field(
        min_length=1, max_length=1000, description="what is done, where, for whom; no personal data"
    )
    unit: str = Field(min_length=1, max_length=100, description="the implementing unit (实施单位)")
    year: Year
    performance_target: OpenText = Field(min_length=1, max_length=500, description="what it is to achieve (绩效目标)")
    due_on: date


class AllocationIn(In):
    source_id: UUID
    amount_fen: AmountFen


class FundShareOut(BaseModel):
    """What one fund gave to the project, and where it is: allocated = left + held + paid."""

    fund_no: str
    fund_name: str
    allocated_fen: int
    left_fen: int
    held_fen: int
    paid_fen: int


class ProjectFigures(BaseModel):
    allocated_fen: int
    left_fen: int
    held_fen: int
    paid_fen: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def yuan(self) -> dict[str, str]:
        return {name: yuan(getattr(self, f"{name}_fen")) for name in ("allocated", "left", "held", "paid")}


class ProjectOut(BaseModel):
    """`state`: apply, review … (the last act done), approved, rejected. `next`: whose turn it is."""

    id: UUID
    project_no: str
    name: str
    division: str
    kind: str
    description: str
    unit: str
    year: int
    performance_target: str
    due_on: date
    state: str
    next: NextOut | None
    decisions: list[DecisionOut]
    figures: ProjectFigures
    funds: list[FundShareOut]


class AllocationOut(BaseModel):
    project_id: UUID
    project_no: str
    source_id: UUID
    fund_no: str
    amount_fen: int
    allocated_on: date
    entry_seq: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)
