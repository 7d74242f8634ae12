"""What the API of measures takes and gives."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from services.registry.texts import OpenText
from shared.http import MAX_INT, In

Word = Annotated[str, Field(min_length=1, max_length=40)]


class MeasureIn(In):
    """A measure for a household. Pathway and sub-category by key or Chinese name; `scope` is the pathway's own when absent."""

    household_id: UUID
    pathway: Word
    sub: str = Field(default="", max_length=40)
    scope: Word | None = None
    year: int = Field(ge=1, le=MAX_INT)
    persons: int | None = Field(default=None, ge=1, le=100)
    started_on: date
    valid_until: date | None = None
    remark: OpenText | None = None
    client_ref: str | None = Field(default=None, min_length=1, max_length=100)


class EndIn(In):
    """Takes a measure away: it does not count from `ended_on` on."""

    ended_on: date
    reason: OpenText = Field(min_length=1)


class MeasureOut(BaseModel):
    """A measure (帮扶措施) of a household. `sub` is empty when its pathway has no sub-categories."""

    id: UUID
    household_id: UUID
    household_no: str
    division: str
    pathway: str
    sub: str
    scope: str
    year: int
    persons: int | None
    started_on: date
    valid_until: date | None
    ended_on: date | None
    ended_reason: str | None
    remark: str | None
    version: int
