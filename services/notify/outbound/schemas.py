"""What the prompts API takes and gives."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.notify.outbound.domain import Decision, Reason, Receipt, State
from services.notify.weeks.domain import Campaign
from shared.http import In


class PromptOut(BaseModel):
    """A prompt: to whom, where it stands and why. The number is not part of it."""

    id: UUID
    campaign: Campaign
    week: str
    cadre_no: str
    division: str
    state: State
    reason: Reason | None
    text: str
    parts: int = Field(description="SMS parts the text takes")
    attempt: int
    planned_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None


class DecisionIn(In):
    decision: Decision


class ReceiptIn(In):
    """A receipt (回执) of the gateway."""

    message_id: str = Field(max_length=64)
    type: Receipt
