"""What the divisions API gives."""

from datetime import date

from pydantic import BaseModel

from shared.scope import Level


class DivisionOut(BaseModel):
    """A division (行政区划). `predecessors`: codes of those it was made from."""

    code: str
    name: str
    level: Level
    parent: str | None
    valid_from: date | None
    valid_to: date | None
    predecessors: list[str]
    version: int
