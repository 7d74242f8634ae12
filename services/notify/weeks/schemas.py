"""What the weeks API gives."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.notify.outbound.domain import Reason, State
from services.notify.weeks.domain import Campaign


class Tally(BaseModel):
    """How many prompts of a campaign stand in a state, for a reason."""

    campaign: Campaign
    state: State
    reason: Reason | None
    prompts: int


class WeekOut(BaseModel):
    """How a week went (一周情况), in the caller's area. Every prompt is in exactly one of `tallies`."""

    week: str
    due: int = Field(description="people who owe a report")
    sent: int = Field(description="weekly prompts the gateway accepted")
    delivered: int
    replied: int
    on_time: int
    reminded: int = Field(description="reminders the gateway accepted")
    missing: int = Field(description="people who owe a report and have not reported")
    tallies: list[Tally]


class WeekRecipientOut(BaseModel):
    """How the week went for one person."""

    cadre_no: str
    division: str
    place: str | None
    state: State
    reason: Reason | None
    sent_at: datetime | None
    reminder_state: State | None
    reminder_reason: Reason | None
    reported_at: datetime | None
    on_time: bool | None
