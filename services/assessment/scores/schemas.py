"""What the API of scores takes and gives."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from services.assessment.periods.domain import PERIOD_PATTERN
from services.assessment.schemes.domain import Formula, Kind
from services.assessment.scores.domain import Bears, State
from shared.events.base import Division
from shared.http import In
from shared.texts import OpenText


class RunIn(In):
    """Score a county's towns and cadres for a period, from everything heard up to now (计分)."""

    division: Division = Field(description="the county")
    period: str = Field(pattern=PERIOD_PATTERN, examples=["2016-11"])


class RunOut(BaseModel):
    """A run of the engine. `changed`: how many scores got a new version; GET …/runs/{id}/changes lists them."""

    id: UUID
    county: str
    no: int
    period: str
    actor: str
    on: date
    at: datetime
    subjects: int
    changed: int


class GradeName(BaseModel):
    key: str
    name: str
    name_en: str


class ScoreItem(BaseModel):
    """A score (考核得分): its version in force, and what people decided of it."""

    subject: str = Field(description="town:<division code> or cadre:<number>")
    kind: Kind
    name: str = Field(description="of a cadre masked")
    division: str
    period: str
    version: int
    scheme: str
    score_milli: int = Field(description="thousandths of a point")
    grade: GradeName
    state: State
    run_id: UUID
    computed_at: datetime


class ContributionOut(BaseModel):
    """What one event gives (计分依据). Points without an event: nothing was due."""

    event_id: UUID | None
    type: str | None
    on: date | None
    what: str
    what_en: str
    bears: Bears
    points_milli: int


class IndicatorOut(BaseModel):
    """An indicator: the points of its contributions and the hidden ones add up to its own, exactly."""

    key: str
    name: str
    name_en: str
    formula: Formula
    weight_milli: int
    done: int = Field(description="fen for money")
    due: int
    points_milli: int
    contributions: list[ContributionOut]
    hidden: int = Field(description="contributions outside the caller's area or beyond the limit of one answer")
    hidden_points_milli: int


class DecisionOut(BaseModel):
    kind: State
    text: str | None
    actor: str
    at: datetime


class Explanation(ScoreItem):
    """A score down to the events (得分说明). The points of the indicators add up to the score, exactly."""

    indicators: list[IndicatorOut]
    decisions: list[DecisionOut]


class AppealIn(In):
    """An objection to a score (申诉)."""

    period: str = Field(pattern=PERIOD_PATTERN)
    reason: OpenText = Field(min_length=1, max_length=1000)


class ConfirmationIn(In):
    """A person confirms a score (确认). `answer` replies to an open appeal."""

    period: str = Field(pattern=PERIOD_PATTERN)
    answer: OpenText | None = Field(default=None, min_length=1, max_length=1000)
