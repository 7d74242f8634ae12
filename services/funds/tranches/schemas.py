"""What the API of tranches takes and gives."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, computed_field, model_validator

from services.funds.approvals.schemas import DecisionOut, NextOut
from services.funds.sources.schemas import AmountFen, DivisionIn, Number
from services.funds.tranches.domain import Basis
from shared.http import In
from shared.money import yuan
from shared.texts import OpenText

MAX_HOUSEHOLDS = 20_000
MAX_WEIGHT = 10**9

HouseholdNo = Annotated[str, Field(pattern=r"^[^\s/\x00-\x1f]{1,32}$")]


class TrancheIn(In):
    """Who is paid: `households` by number, or everybody on the register in `division` (the project's when neither is given)."""

    tranche_no: Number
    amount_fen: AmountFen
    basis: Basis
    households: list[HouseholdNo] | None = Field(default=None, min_length=1, max_length=MAX_HOUSEHOLDS)
    weights: list[Annotated[int, Field(strict=True, ge=1, le=MAX_WEIGHT)]] | None = Field(
        default=None, max_length=MAX_HOUSEHOLDS, description="for the basis `weights`: one for each of `households`"
    )
    division: DivisionIn | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.households is not None and self.division is not None:
            raise ValueError("name households or a division, not both")
        if self.households is not None and len(set(self.households)) != len(self.households):
            raise ValueError("a household stands in the list twice")
        if (self.basis is Basis.WEIGHTS) != (self.weights is not None):
            raise ValueError("weights go with the basis `weights`, and only with it")
        if self.weights is not None and len(self.weights) != len(self.households or []):
            raise ValueError("give one weight for each of `households`")
        return self


class VoidIn(In):
    reason: OpenText = Field(min_length=1, max_length=200, description="why the tranche is not paid; no personal data")


class FundPartOut(BaseModel):
    fund_no: str
    amount_fen: int


class TrancheNotice(BaseModel):
    """Where the tranche's publicity stands."""

    id: UUID
    posted_on: date
    ends_on: date
    days_left: int
    open_objections: int
    upheld_objections: int


class TrancheMoney(BaseModel):
    """The entries of the ledger that settled each act; null: not yet."""

    held_seq: int | None
    paid_seq: int | None
    voided_seq: int | None


class TrancheOut(BaseModel):
    """`state`: apply, review … (the last act done), approved, rejected; once money moved paid or voided. `next`: whose turn it is."""

    id: UUID
    tranche_no: str
    project_id: UUID
    project_no: str
    division: str
    basis: Basis
    amount_fen: int
    households: int
    people: int
    funds: list[FundPartOut]
    digest: str
    applied_on: date
    state: str
    next: NextOut | None
    decisions: list[DecisionOut]
    notice: TrancheNotice | None
    money: TrancheMoney

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)


class LineOut(BaseModel):
    """One household's share. `payee_last4`: the last four digits of its account, null when it has none."""

    line: int
    household_no: str
    division: str
    head_name_masked: str
    people: int
    weight: int
    amount_fen: int
    shares: dict[str, int]
    payee_last4: str | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)


class MovedOut(BaseModel):
    """A hold, a void or a payment that was posted."""

    tranche_id: UUID
    tranche_no: str
    kind: str
    amount_fen: int
    households: int
    on: date
    entry_seq: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def amount_yuan(self) -> str:
        return yuan(self.amount_fen)
