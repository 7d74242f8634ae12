"""What notify says happened: prompts accepted by the gateway, reports received or missed."""

from datetime import date, datetime
from uuid import UUID

from pydantic import Field

from shared.events.base import Division, Event


class PromptSent(
    Event, type_name="notify.prompt_sent.v1", topic="daohu.notify.prompt", key_field="cadre_no", consumers=()
):
    """The gateway accepted a prompt to a cadre (短信提示)."""

    prompt_id: UUID
    cadre_no: str = Field(max_length=32)
    division: Division
    campaign: str = Field(max_length=40, description="weekly or reminder")
    week: str = Field(pattern=r"^\d{4}-W\d{2}$")
    sent_at: datetime


class ReportReceived(
    Event,
    type_name="notify.report_received.v1",
    topic="daohu.notify.report",
    key_field="cadre_no",
    consumers=("assessment",),
):
    """A cadre reported on the week (每周报告)."""

    report_id: UUID
    cadre_no: str = Field(max_length=32)
    division: Division
    week: str = Field(pattern=r"^\d{4}-W\d{2}$")
    received_on: date
    on_time: bool


class ReportMissed(
    Event,
    type_name="notify.report_missed.v1",
    topic="daohu.notify.report",
    key_field="cadre_no",
    consumers=("assessment",),
):
    """The due day passed without a cadre's report; a reminder goes out."""

    cadre_no: str = Field(max_length=32)
    division: Division
    week: str = Field(pattern=r"^\d{4}-W\d{2}$")
    due_on: date
