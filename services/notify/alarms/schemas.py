"""What the alarms API gives."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from services.notify.alarms.domain import AlarmKind


class AlarmOut(BaseModel):
    id: UUID
    kind: AlarmKind
    subject: str
    division: str
    zh: str
    en: str
    raised_at: datetime
    seen_by: str | None
    seen_at: datetime | None
