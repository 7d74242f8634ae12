"""What the API of schemes takes and gives."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.assessment.schemes.domain import Formula, Kind, Units
from shared.events.base import Division
from shared.http import In


class IndicatorOut(BaseModel):
    key: str
    name: str
    name_en: str
    weight_milli: int = Field(description="thousandths of a point")
    formula: Formula
    target: int | None = Field(description="where no target of the division is entered")
    events: list[str]
    most_milli: int
    full_when_nothing_due: bool


class SchemeOut(BaseModel):
    """A scheme in force (考核方案)."""

    id: str
    kind: Kind
    name: str
    name_en: str
    indicators: list[IndicatorOut]


class GradeOut(BaseModel):
    key: str
    name: str
    name_en: str
    from_points: int


class SchemesOut(BaseModel):
    """What a county's towns and cadres are assessed by in a period, and where it is written."""

    division: str
    period: str
    source: str
    basis: str
    schemes: list[SchemeOut]
    grades: list[GradeOut]
    weight_min: dict[Units, int] = Field(description="percent; ASM-010")


class WeightIn(In):
    """How much poverty work weighs in a year's assessment of a county's towns or departments (考核权重)."""

    division: Division
    year: int = Field(ge=2014, le=2100)
    units: Units
    percent: int = Field(ge=0, le=100)


class WeightOut(WeightIn):
    version: int
    actor: str
    at: datetime
