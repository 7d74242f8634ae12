"""What the API of evidence takes and gives."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.assessment.facts.domain import Counts
from shared.http import In
from shared.texts import OpenText


class FactOut(BaseModel):
    """A heard event (考核依据). A withdrawn one stays, marked, and counts no more."""

    event_id: UUID
    type: str
    what: str = Field(description="what happened, in Chinese")
    what_en: str
    division: str
    town: str | None
    cadre_no: str | None
    unit: str = Field(description="what it counts for: a household, a week of reports, a project")
    on: date
    period: str
    counts: Counts
    quantity: int = Field(description="fen for money, else 1")
    at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_by: str | None = None
    withdrawn_because: str | None = None


class WithdrawalIn(In):
    """Why a fact must not count (撤销依据)."""

    reason: OpenText = Field(min_length=1, max_length=500)


class EffectOut(BaseModel):
    """A score that the fact bears on: as it is with the fact, and as it will be without it."""

    subject: str
    period: str
    score_milli: int = Field(description="thousandths of a point, with the fact")
    score_milli_without: int = Field(description="the same without it; equal when only the explanation changes")


class AffectedOut(BaseModel):
    """Exactly the scores that change (points or explanation) when the fact is taken away and the period is scored again."""

    event_id: UUID
    affected: list[EffectOut]


class WithdrawalOut(BaseModel):
    fact: FactOut
    affected: list[EffectOut] = Field(description="score these periods again: POST /assessment/v1/scores/runs")
