"""What the publicity API takes and gives."""

from datetime import date
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from services.funds.publicity.domain import Finding
from shared.http import In

MAX_TEXT = 1000
SUBJECT = r"^(project|tranche):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class NoticeIn(In):
    subject: str = Field(pattern=SUBJECT, description="project:<id> or tranche:<id>")
    place: str = Field(min_length=1, max_length=100, description="where it hangs, as people of the village call it")


class ObjectionIn(In):
    text: str = Field(min_length=1, max_length=MAX_TEXT, description="kept encrypted: it may name people")


class AnswerIn(In):
    finding: Finding
    text: str = Field(min_length=1, max_length=MAX_TEXT, description="kept encrypted, like the objection")


class NoticeOut(BaseModel):
    """A notice as everybody may read it. `content` holds no personal data beyond what a public list shows."""

    id: UUID
    subject: str
    division: str
    place: str
    posted_on: date
    days: int
    ends_on: date
    days_left: int
    open_objections: int
    upheld_objections: int
    digest: str
    content: dict[str, Any]


class LineOut(BaseModel):
    """One line of a published payment list: the name is masked, numbers of people are none of it."""

    line: int
    division: str
    division_name: str | None
    name_masked: str
    people: int
    amount_fen: int
    amount_yuan: str


class ObjectionOut(BaseModel):
    """Where an objection stands. Without its words: the answer to a POST is kept in clear, to be given again."""

    id: UUID
    notice_id: UUID
    number: int
    raised_by: str
    raised_on: date
    finding: Finding | None
    answered_by: str | None
    answered_on: date | None


class ObjectionWords(ObjectionOut):
    """An objection with what was said and answered, for those who handle it."""

    text: str | None = Field(description="null: no longer kept, or its key is lost")
    answer: str | None
