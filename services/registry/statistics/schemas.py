"""What the API of statistics gives."""

from pydantic import BaseModel

from shared.scope import Level


class CountOut(BaseModel):
    """Households (户) and people (人)."""

    households: int
    people: int


class PathwayOut(CountOut):
    """A pathway's DISTINCT households and the members living in them; its sub-categories by name may overlap."""

    name: str
    name_en: str
    scope: str
    year: int
    subs: dict[str, CountOut]


class PathwaysOut(BaseModel):
    """The pathways by key. Their sum is no total of the county: a household may hold several."""

    pathways: dict[str, PathwayOut]


class DivisionOut(BaseModel):
    """Households of one division by status (candidate, registered, exited)."""

    division: str
    statuses: dict[str, CountOut]
    total: CountOut


class HouseholdsOut(BaseModel):
    level: Level
    divisions: list[DivisionOut]
    total: CountOut
