"""What the replies API takes and gives."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from services.notify.replies.domain import Channel, InboundKind, readable
from services.notify.weeks.domain import WEEK_PATTERN
from shared.http import In

MAX_TEXT = 2000
"""Characters of a reply: about thirty parts of an SMS."""


class InboundIn(In):
    """An SMS from a phone, as the gateway brings it. `message_ref` is the gateway's own number of it."""

    sender: str = Field(alias="from", min_length=5, max_length=20)
    text: str = Field(max_length=MAX_TEXT)
    received_at: AwareDatetime
    message_ref: str = Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")

    @model_validator(mode="before")
    @classmethod
    def _as_phones_send_it(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(text := given.get("text"), str):
            return {**given, "text": readable(text)}
        return given


class InboundOut(BaseModel):
    """What became of an inbound message. The same message again gets the same answer."""

    kind: InboundKind
    cadre_no: str | None = None
    week: str | None = None
    on_time: bool | None = None


class ReportIn(In):
    """A report (每周报告) from the app, or taken by the office on the telephone."""

    cadre_no: str = Field(max_length=32, pattern=r"^[\x21-\x7e]+$")
    text: str = Field(min_length=1, max_length=MAX_TEXT)
    week: str | None = Field(
        default=None, pattern=WEEK_PATTERN, description="default: the week that is being reported on now"
    )


class ReportTaken(BaseModel):
    """That a report was taken. Its text is not said again: first answers are kept in clear, texts are sealed."""

    id: UUID
    cadre_no: str
    division: str
    week: str
    channel: Channel
    received_at: datetime
    on_time: bool


class ReportOut(ReportTaken):
    """A report as the office reads it."""

    text: str | None = Field(description="null: no longer kept, or its key is lost")


class InboundRow(BaseModel):
    """An inbound message as the office reads it; the number is masked."""

    message_ref: str
    kind: InboundKind
    sender_masked: str
    cadre_no: str | None
    week: str | None
    text: str | None = Field(description="null: no longer kept, or its key is lost")
    received_at: datetime
