"""What the simulated phones show."""

from datetime import datetime

from pydantic import BaseModel


class MessageOut(BaseModel):
    text: str
    parts: int
    received_at: datetime
