"""What the API of the directory takes and gives."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.assessment.directory.domain import PostKind
from shared.events.base import Division
from shared.http import In

Mode = Literal["all", "valid"]


class RowProblem(BaseModel):
    """A wrong cell of an imported file: where, which rule, what to do."""

    row: int
    column: str
    code: str
    zh: str
    en: str


class ImportOut(BaseModel):
    """What became of a file. Nothing was changed when `applied` is false."""

    kind: Literal["directory"] = "directory"
    rows: int
    accepted: int
    unchanged: int
    rejected: int
    applied: bool
    errors: list[RowProblem] = Field(description="at most 100 of them")


class PostIn(In):
    """A cadre takes a post (任职)."""

    post: PostKind
    title: str = Field(default="", max_length=100)
    unit: str = Field(min_length=1, max_length=100)
    division: Division
    since: date


class EndingIn(In):
    """A cadre leaves a post (离任): `until` is the first day he holds it no more."""

    until: date


class PostOut(BaseModel):
    id: UUID
    post: PostKind
    title: str
    unit: str
    division: str
    since: date
    until: date | None


class CadreOut(BaseModel):
    """A cadre (干部) and the posts that lie in the caller's area; the name is masked."""

    cadre_no: str
    name_masked: str
    posts: list[PostOut]
    version: int
