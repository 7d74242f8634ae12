"""Planned values (目标任务) of a year. Pure."""

from services.assessment.periods.domain import MONTHS_A_YEAR, month_number
from shared.errors import Refusal

MAX_ITEMS = 500
"""Targets of one request."""

MAX_PLANNED = 1_000_000


class TargetChanged(Refusal):
    """The target is there already with another version than the one named."""

    status = 412
    code = "stale"


def due_by(planned: int, period: str) -> int:
    """What is due of a year's plan by the end of a period: as many twelfths as months have passed, rounded up (序时进度)."""
    return -(-planned * month_number(period) // MONTHS_A_YEAR)
