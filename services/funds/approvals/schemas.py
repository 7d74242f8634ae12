"""What the API takes and gives about decisions."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from services.funds.approvals.domain import Verdict
from shared.http import In
from shared.texts import OpenText

MAX_REASON = 500


class DecisionIn(In):
    act: str = Field(max_length=32, description="the act of the chain (funds.approval_chain), e.g. review or approve")
    verdict: Verdict
    reason: OpenText = Field(
        default="", max_length=MAX_REASON, description="required for a rejection; no personal data"
    )


class DecisionOut(BaseModel):
    id: UUID
    act: str
    verdict: Verdict
    decider: str
    reason: str
    decided_on: date


class NextOut(BaseModel):
    """The act whose turn it is, and who may do it."""

    act: str
    name: str
    name_en: str
    roles: list[str]
