"""What the API of the trail gives. At each level the items of all pages add up to the figures above them."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, computed_field

from services.funds.ledger.schemas import SealOut
from services.funds.sources.schemas import SourceOut
from shared.money import yuan


class _Amount(BaseModel):
    amount_fen: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)


class ProjectNode(BaseModel):
    """One fund's money in one project: allocated = left + held + paid."""

    project_id: UUID
    project_no: str
    name: str
    division: str
    allocated_fen: int
    left_fen: int
    held_fen: int
    paid_fen: int


class FundTrail(BaseModel):
    """The projects of a fund: their `allocated_fen` add up to the fund's."""

    fund: SourceOut
    items: list[ProjectNode]
    next: str | None


class TrancheNode(BaseModel):
    """One fund's money in one tranche: held or paid, never both; neither: not held yet, or voided."""

    tranche_id: UUID
    tranche_no: str
    division: str
    households: int
    held_fen: int
    paid_fen: int
    held_seq: int | None
    paid_seq: int | None
    voided_seq: int | None


class ProjectTrail(BaseModel):
    """The tranches of a project: their `held_fen` and `paid_fen` add up to the project's."""

    fund_no: str
    project: ProjectNode
    items: list[TrancheNode]
    next: str | None


class HouseholdNode(_Amount):
    household_no: str
    division: str
    head_name_masked: str


class TrancheTrail(BaseModel):
    """The households of a tranche: their amounts add up to what the fund paid in it."""

    fund_no: str
    tranche: TrancheNode
    items: list[HouseholdNode]
    next: str | None


class PaymentNode(_Amount):
    """One payment to a household out of one fund. Ids are null where the project lies outside the caller's area."""

    book: str
    entry_seq: int
    sealed: SealOut | None
    paid_on: date
    fund_no: str
    fund_name: str
    fund_level: str
    project_id: UUID | None
    project_no: str
    project_name: str
    tranche_id: UUID | None
    tranche_no: str


class FundSum(_Amount):
    fund_no: str


class HouseholdTrail(_Amount):
    """What a household was paid: `amount_fen` in all, by fund, and each payment."""

    household_no: str
    division: str
    head_name_masked: str
    people: int
    by_fund: list[FundSum]
    items: list[PaymentNode]
    next: str | None


GapKind = Literal["fund_not_allocated", "hold_open", "household_without_payee", "project_not_paid"]


class Gap(_Amount):
    """Money that is not where it should end (资金缺口): what, how much, of how many, and what to do, in both languages."""

    kind: GapKind
    number: str
    division: str
    count: int
    zh: str
    en: str
