"""What the API of visits takes and gives."""

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from services.registry.texts import BusinessNo, OpenText
from services.registry.visits.domain import VisitKind
from shared.http import In

MAX_BATCH = 200
"""Visits in one batch of a phone."""


DeviceTime = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2100, 1, 1, tzinfo=UTC))]
"""What the clock of a phone may show; one that was never set begins in 1970."""


class VisitIn(In):
    """A visit (走访). `cadre_no` is the cadre's number in the directory of assessment; `device_time` is what the phone's clock showed."""

    household_id: UUID
    cadre_no: BusinessNo
    visited_on: date
    kind: VisitKind = VisitKind.HOME
    note: OpenText | None = None
    device_time: DeviceTime | None = None
    client_ref: str | None = Field(default=None, min_length=1, max_length=100)


class VisitOut(BaseModel):
    id: UUID
    household_id: UUID
    household_no: str
    division: str
    cadre_no: str
    visited_on: date
    kind: VisitKind
    note: str | None
    device_time: datetime | None
    recorded_at: datetime
    client_ref: str | None


class BatchIn(In):
    """Visits of a phone that was out of reach. Each is judged for itself; items are read one by one, so a wrong one spoils no other."""

    items: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_BATCH)


class ItemError(BaseModel):
    field: str
    code: str
    message: str


class ItemResult(BaseModel):
    """What became of item `index` (from 0): the status it would have had alone, its visit's id, or its errors."""

    index: int
    status: int
    id: UUID | None = None
    errors: list[ItemError] = []


class BatchOut(BaseModel):
    results: list[ItemResult]
