"""What the contacts API gives."""

from datetime import date, datetime

from pydantic import BaseModel


class RecipientOut(BaseModel):
    """A holder of a post and how he is reached; the number is masked."""

    cadre_no: str
    post: str
    unit: str
    division: str
    place: str | None
    since: date
    until: date | None
    phone_masked: str | None
    language: str | None
    opted_out_at: datetime | None
