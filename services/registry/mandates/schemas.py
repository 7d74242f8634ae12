"""What the API of mandates takes and gives. People are named by the subjects of their tokens."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from services.registry.texts import OpenText
from shared import accounts
from shared.auth import MAX_NAME
from shared.http import In
from shared.roles import FOR, Role, is_subject
from shared.scope import NOWHERE_ABOVE, Area, is_division

MAX_AUDITORS = 20
MAX_MANDATED_DIVISIONS = 100


def _subject(name: str) -> str:
    if not is_subject(name):
        raise PydanticCustomError("bad_subject", "Name one person, by the subject of his token as it is spelled there.")
    return name


def _divisions(codes: list[str]) -> list[str]:
    if not all(map(is_division, codes)):
        raise PydanticCustomError("bad_division", "Fill in 12-digit codes of divisions.")
    if Area.of(codes).narrowest == NOWHERE_ABOVE:
        raise PydanticCustomError("divisions_apart", "Name divisions of one province.")
    return sorted(set(codes))


def _distinct(values: Sequence[str]) -> list[str]:
    return sorted(set(values))


def _person(subject: str) -> str:
    if subject.startswith(accounts.PREFIX):
        raise PydanticCustomError("bad_subject", "Name a person: a program stands in for nobody.")
    return subject


Subject = Annotated[OpenText, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_subject)]
Divisions = Annotated[list[str], Field(min_length=1, max_length=MAX_MANDATED_DIVISIONS), AfterValidator(_divisions)]
Reason = Annotated[OpenText, Field(min_length=1)]


class _Period(In):
    """First and last day, in the county's zone; both are included."""

    divisions: Divisions
    since: date
    until: date
    reason: Reason

    @model_validator(mode="after")
    def _in_order(self) -> "_Period":
        if self.until < self.since:
            raise PydanticCustomError("period", "The last day is not before the first.")
        return self


class MandateIn(_Period):
    """Who acts (`holder`) for whom (`absent`), with which of his roles, where, how long and why (代理)."""

    holder: Annotated[Subject, AfterValidator(_person)]
    absent: Subject
    roles: list[Role] = Field(min_length=1, max_length=len(Role))

    @model_validator(mode="after")
    def _fits_on_record(self) -> "MandateIn":
        if len(f"{self.holder}{FOR}{self.absent}") > MAX_NAME:
            raise PydanticCustomError(
                "subjects_too_long", "The two subjects have too many characters to stand on record."
            )
        return self


class EngagementIn(_Period):
    """Who audits (`auditors`) what (`object`), where, how long and why (审计项目)."""

    auditors: Annotated[list[Subject], Field(min_length=1, max_length=MAX_AUDITORS), AfterValidator(_distinct)]
    object: Annotated[OpenText, Field(min_length=1, max_length=200)]


class EndingIn(In):
    reason: Reason


class EndingOut(BaseModel):
    """How it ended before its last day."""

    ended_at: datetime
    ended_by: str
    reason: str


class _Given(BaseModel):
    id: UUID
    divisions: list[str]
    since: date
    until: date
    reason: str
    given_by: str
    given_at: datetime
    ending: EndingOut | None


class MandateOut(_Given):
    """A mandate to act for somebody (代理)."""

    holder: str
    absent: str
    roles: list[str]


class EngagementOut(_Given):
    """An audit (审计项目): its auditors read within it and nothing else."""

    auditors: list[str]
    object: str
