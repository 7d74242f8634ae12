"""What the API of targets takes and gives."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from services.assessment.targets.domain import MAX_ITEMS, MAX_PLANNED
from shared.events.base import Division
from shared.http import In


class TargetIn(In):
    """A planned value (目标任务): division × year × indicator. `version` names the one it changes."""

    division: Division
    year: int = Field(ge=2014, le=2100)
    indicator: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$", description="key of an indicator of the scheme")
    planned: int = Field(ge=0, le=MAX_PLANNED)
    version: int | None = Field(default=None, ge=1)


class TargetsIn(In):
    items: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS)


class ItemError(BaseModel):
    field: str
    code: str
    message: str


class ItemResult(BaseModel):
    """What became of one item: 201 new, 200 changed or the same, else why not."""

    index: int
    status: int
    errors: list[ItemError] = []


class TargetsOut(BaseModel):
    results: list[ItemResult]


class TargetOut(BaseModel):
    division: str
    year: int
    indicator: str
    planned: int
    version: int
    actor: str
    at: datetime
