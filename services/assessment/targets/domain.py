"""Planned values (目标任务) of a year. Pure."""

from services.assessment.periods.domain import MONTHS_A_YEAR, month_number

MAX_ITEMS = 500
"""Targets of one request."""

MAX_PLANNED = 1_000_000


def due_by(planned: int, period: str) -> int:
    """What is due of a year's plan by the end of a period: as many twelfths as months have passed, rounded up (序时进度)."""
    return -(-planned * month_number(period) // MONTHS_A_YEAR)
