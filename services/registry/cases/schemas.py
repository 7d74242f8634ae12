"""What the API of cases takes and gives."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.registry.cases.domain import CaseState, Finding, Verdict
from services.registry.cases.procedure import Answer, CaseKind, IncomeTest, StepKind
from services.registry.households.schemas import HouseholdIn
from services.registry.texts import OpenText
from shared.http import In
from shared.roles import Role
from shared.scope import Level

MAX_REPLIES = 50
MAX_REPRESENTATIVES = 10_000

ClientRef = Annotated[str, Field(min_length=1, max_length=100)]
StepKey = Annotated[str, Field(min_length=1, max_length=40)]


class CaseIn(In):
    """Opens a case: of a household on file, or (identification only) with the file of a new candidate."""

    kind: CaseKind
    household_id: UUID | None = None
    household: HouseholdIn | None = None
    reason: OpenText = ""
    client_ref: ClientRef | None = None

    @model_validator(mode="after")
    def _one_household(self) -> Self:
        if (self.household_id is None) == (self.household is None):
            raise PydanticCustomError("one_household", "Send either household_id or household.")
        if self.household is not None and self.kind is not CaseKind.IDENTIFICATION:
            raise PydanticCustomError("new_household", "Only an identification begins with a new file.")
        return self


class AttendanceIn(In):
    """Who came to the meeting of village representatives."""

    present: int = Field(ge=0, le=MAX_REPRESENTATIVES)
    total: int = Field(ge=1, le=MAX_REPRESENTATIVES)

    @model_validator(mode="after")
    def _not_more_than_all(self) -> Self:
        if self.present > self.total:
            raise PydanticCustomError("more_than_all", "More were present than there are.")
        return self


class ReplyIn(In):
    """The answer to one criterion, with what shows it."""

    key: StepKey
    answer: Answer
    evidence: OpenText = Field(min_length=1)


class DecisionIn(In):
    """Passes or rejects the step that waits. `income_year`: which year's income the checklist speaks of; this year when absent."""

    step: StepKey
    verdict: Verdict
    reason: OpenText = ""
    attendance: AttendanceIn | None = None
    checklist: list[ReplyIn] = Field(default=[], max_length=MAX_REPLIES)
    income_year: int | None = Field(default=None, ge=2010, le=2100)

    @model_validator(mode="after")
    def _a_rejection_says_why(self) -> Self:
        if self.verdict is Verdict.REJECT and not self.reason:
            raise PydanticCustomError("reason_missing", "A rejection says why.")
        return self


class NoticeIn(In):
    step: StepKey
    place: OpenText = Field(min_length=1, description="where it hangs, as people of the village call it")


class ObjectionIn(In):
    text: OpenText = Field(min_length=1)


class ObjectionReplyIn(In):
    finding: Finding
    text: OpenText = Field(min_length=1)


class CriterionOut(BaseModel):
    """A criterion of the waiting step; a pass needs `answer`, and where `test` stands the income on file as well."""

    key: str
    name: str
    name_en: str
    answer: Answer
    test: IncomeTest | None


class ObjectionOut(BaseModel):
    """An objection (异议). `ref` numbers it within the case."""

    ref: int
    step: str
    text: str
    raised_on: date
    finding: Finding | None = None
    answer: str | None = None
    answered_on: date | None = None


class WaitsOut(BaseModel):
    """What the case waits for: which step, by whom, and for a notice how many days are left."""

    step: str
    name: str
    name_en: str
    kind: StepKind
    level: Level
    actors: list[Role]
    yours: bool = Field(description="whether the caller may act in this step")
    quorum: bool
    checklist: list[CriterionOut]
    days: int
    posted_on: date | None
    ends_on: date | None
    days_left: int | None
    open_objections: int


class StepOut(BaseModel):
    """A step and how it ended: verdict None when it waits or lies ahead."""

    key: str
    name: str
    name_en: str
    kind: StepKind
    verdict: Verdict | None = None
    reason: str | None = None
    by: str | None = None
    on: date | None = None
    at: datetime | None = None


class CaseItem(BaseModel):
    """A case in a list."""

    id: UUID
    case_no: str
    kind: CaseKind
    household_id: UUID
    household_no: str
    division: str
    state: CaseState
    step: str | None
    opened_on: date
    decided_on: date | None
    closed_on: date | None
    version: int


class CaseOut(CaseItem):
    """A case with its steps, what it waits for, and the objections to it."""

    waits: WaitsOut | None
    steps: list[StepOut]
    objections: list[ObjectionOut]


class NoticeOut(BaseModel):
    """A notice as it hung on the board (公示): masked name, place, people and kind; no number of a person.

    Source: standards.md 4 (publicity must not show ID number, phone, bank account, health).
    """

    case_id: UUID
    kind: CaseKind
    step: str
    division: str
    division_name: str
    head_name_masked: str
    people: int
    place: str
    posted_on: date
    ends_on: date
    text_zh: str
    text_en: str
