"""Evidence (考核依据): what was heard of the work, as a score counts it. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from shared.errors import Refusal
from shared.scope import Level, at_level
from shared.separation import SamePerson, same_side


class Counts(StrEnum):
    """Whether a fact is work done (完成) or work that was due (应完成)."""

    DONE = "done"
    DUE = "due"


class AlreadyWithdrawn(Refusal):
    code = "already_withdrawn"


@dataclass(frozen=True, slots=True)
class Fact:
    """One heard event. Its subjects are the town of `division` and the cadre, if it names one.

    `unit` is what it counts for: a household, a week of a cadre's reports, a project. `quantity` is in fen for money, else 1.
    `on` is its business date, `period` the month it counts to, `at` when it was recorded by the service that knows it.
    """

    event_id: UUID
    type: str
    division: str
    unit: str
    on: date
    period: str
    counts: Counts
    quantity: int
    at: datetime
    cadre_no: str | None = None

    @property
    def town(self) -> str | None:
        return at_level(self.division, Level.TOWN)

    @property
    def county(self) -> str | None:
        return at_level(self.division, Level.COUNTY)


def require_withdrawer(cadre_no: str | None, actor: str) -> None:
    """What counts for or against a cadre is withdrawn by another. Raises SamePerson."""
    if cadre_no is not None and same_side(actor, [cadre_no]):
        raise SamePerson("This fact counts in your own score. Let another person withdraw it.")


WORDS: dict[str, tuple[str, str]] = {
    "registry.visit_recorded.v1": ("走访", "Visit"),
    "registry.household_identified.v1": ("识别", "Identification"),
    "registry.household_exited.v1": ("脱贫退出", "Exit"),
    "funds.fund_allocated.v1": ("资金分配", "Allocation"),
    "funds.tranche_paid.v1": ("资金拨付", "Payment"),
    "notify.report_received.v1": ("每周报告", "Weekly report"),
    "notify.report_missed.v1": ("每周报告未按时报送", "Weekly report missed"),
}
"""Event type → what happened, in both languages."""

PLACE_BOUND = frozenset({"registry.visit_recorded.v1"})
"""Events whose cadre is named by whoever records them: they count for him only where he has a post."""


def what(type: str, unit: str) -> tuple[str, str]:
    """What happened, for people: (Chinese, English)."""
    zh, en = WORDS.get(type, (type, type))
    return f"{zh} {unit}", f"{en} {unit}"
