"""When a notice has done its duty. Pure: no clock, no database, no framework."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID

from shared.errors import Refusal
from shared.separation import SamePerson, same_side


class NotPublished(Refusal):
    code = "not_published"


class PublicityNotElapsed(Refusal):
    code = "publicity_not_elapsed"


class ObjectionOpen(Refusal):
    code = "objection_open"


class ObjectionUpheld(Refusal):
    code = "objection_upheld"


class AlreadyAnswered(Refusal):
    code = "already_answered"


class Finding(StrEnum):
    """What became of an objection (异议处理结果)."""

    REJECTED = "rejected"  # 异议不成立
    UPHELD = "upheld"  # 异议成立: what was published must not be carried out


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice (公示) of one subject. `posted_on` is day 0: ten days posted on the 1st end with the 11th.

    `digest`: hash of exactly what is published, hex.
    """

    id: UUID
    posted_on: date
    days: int
    digest: str
    open_objections: int = 0
    upheld_objections: int = 0

    @property
    def ends_on(self) -> date:
        return self.posted_on + timedelta(days=self.days)

    def days_left(self, today: date) -> int:
        return max(0, (self.ends_on - today).days)


NOTICE_BOUND = (
    "id", "subject", "division", "place", "posted_on", "days", "digest", "content", "posted_by", "posted_at",
)  # fmt: skip
"""The columns of a notice that the payment it opens the door to binds by their digest: all of them."""

OBJECTION_BOUND = (
    "id", "notice_id", "number", "raised_by", "raised_on", "raised_at", "finding", "answered_by", "answered_on", "answered_at",
)  # fmt: skip
"""What a payment's entry binds of an objection: all but its words, which are sealed anew with each new key and may be erased."""


def require_publicity(notice: Notice | None, today: date) -> Notice:
    """Lets money pass only after the notice's days, with no objection open or upheld. For everybody alike.

    Source: FND-019, FND-028, FND-031; days: standards.md 5.1, in the pack as `funds.publicity_days`.
    Raises: NotPublished, PublicityNotElapsed (with `days_left`), ObjectionOpen (with `open_objections`), ObjectionUpheld.
    """
    if notice is None:
        raise NotPublished("It has not been published. Post its notice first.")
    if left := notice.days_left(today):
        raise PublicityNotElapsed(
            f"The notice runs until {notice.ends_on}. Ask again on that day.",
            days_left=left,
            ends_on=notice.ends_on.isoformat(),
        )
    if notice.open_objections:
        raise ObjectionOpen("Answer the open objections first.", open_objections=notice.open_objections)
    if notice.upheld_objections:
        raise ObjectionUpheld("An objection was upheld. Void this and apply anew with a corrected list.")
    return notice


def require_answerable(*, raised_by: str, applied_by: Iterable[str], answered: bool, answering: str) -> None:
    """An objection is answered once, by another person than who raised it, or applied for what it is against.

    Raises AlreadyAnswered, SamePerson.
    """
    if answered:
        raise already_answered()
    if same_side(answering, [raised_by, *applied_by]):
        raise SamePerson(
            "You raised this objection, or applied for what it is against. Let another person answer it.", act="answer"
        )


def already_answered() -> AlreadyAnswered:
    return AlreadyAnswered("This objection has its answer already. Read it; a new doubt is a new objection.")
