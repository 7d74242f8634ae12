"""What assessment says happened: who holds which post, which score a subject has."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.events.base import Division, Event, lenient


class Post(StrEnum):
    """Posts (职务) that get the weekly prompt or are assessed. Source: NTF-001, XC-004."""

    COUNTY_LEADER = "county_leader"
    TOWN_CHIEF = "town_chief"
    DEPARTMENT_CHIEF = "department_chief"
    FIRST_SECRETARY = "first_secretary"
    PAIRED_CADRE = "paired_cadre"
    UNKNOWN = "unknown"


class CadreAppointed(
    Event,
    type_name="assessment.cadre_appointed.v1",
    topic="daohu.assessment.cadre",
    key_field="cadre_no",
    consumers=("notify",),
):
    """A cadre holds a post (任职), or left it (`until`)."""

    cadre_no: str = Field(max_length=32)
    post: Annotated[Post, lenient(Post)]
    unit: str = Field(max_length=100, description="the unit (单位): a town government, a department")
    division: Division
    since: date
    until: date | None = None


class ScorePublished(
    Event,
    type_name="assessment.score_published.v1",
    topic="daohu.assessment.score",
    key_field="subject",
    consumers=(),
):
    """A subject's score of a period was computed anew and differs from the one before (考核得分)."""

    subject: str = Field(max_length=64, description="town:<division code> or cadre:<number>")
    division: Division
    scheme: str = Field(max_length=64)
    period: str = Field(max_length=16)
    score_milli: int = Field(description="score in thousandths of a point")
