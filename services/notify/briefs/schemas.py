"""What the briefs API takes and gives."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.notify.briefs.domain import MAX_TASK_LENGTH, MAX_TASKS
from services.notify.weeks.domain import WEEK_PATTERN
from shared.events.base import Division
from shared.http import In

Task = Annotated[str, Field(min_length=1, max_length=MAX_TASK_LENGTH, pattern=r"^[^\x00-\x1f\x7f]*$")]
Tasks = Annotated[list[Task], Field(min_length=1, max_length=MAX_TASKS)]


class BriefIn(In):
    """The key tasks of a week, of one county."""

    division: Division
    week: str = Field(pattern=WEEK_PATTERN, examples=["2016-W45"])
    tasks: Tasks


class BriefChange(In):
    tasks: Tasks


class BriefOut(BaseModel):
    id: UUID
    division: str
    week: str
    tasks: list[str]
    entered_by: str
    entered_at: datetime
    version: int
    text: str = Field(description="the message as it will be sent, in Chinese")
    text_en: str = Field(description="the same in English")
    parts: int = Field(description="SMS parts the Chinese message takes")
