"""What the API of the directory takes and gives."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel, Field

from services.assessment.directory.domain import PostKind
from shared.events.base import Division
from shared.http import In


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
