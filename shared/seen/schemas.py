"""What the looks API gives."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class LookOut(BaseModel):
    """A look (查阅): who asked, when, by which route, for what. `actor`: "wang for li" when he stood in for somebody.

    `household` and `person`: whom it was at, where the request named one that was in his area. `division`: where that lies, or the
    lowest division that holds all he could see. `mandate`: the engagement he read under. `reason`: of an unmasking.
    """

    id: int
    at: datetime
    actor: str
    client: str
    action: str
    objects: dict[str, str]
    filters: dict[str, str]
    household: UUID | None
    person: UUID | None
    division: str
    mandate: UUID | None
    reason: str | None
