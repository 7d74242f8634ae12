"""When a visit (走访) may be recorded. Pure."""

from datetime import date, timedelta
from enum import StrEnum

from shared.errors import Refusal


class VisitKind(StrEnum):
    """What the visit was for (走访类别)."""

    HOME = "home"  # 入户走访
    PHONE = "phone"  # 电话回访
    FESTIVAL = "festival"  # 节日慰问, REG-140


class VisitInFuture(Refusal):
    code = "visit_in_future"


class VisitTooOld(Refusal):
    code = "visit_too_old"


def require_recent(visited_on: date, today: date, back_days: int) -> None:
    """A visit is recorded on its day or at most `back_days` later (pack: registry.visit_back_days).

    Raises: VisitInFuture, VisitTooOld (with `earliest`).
    """
    if visited_on > today:
        raise VisitInFuture("A visit is recorded after it took place.", today=today.isoformat())
    earliest = today - timedelta(days=back_days)
    if visited_on < earliest:
        raise VisitTooOld(f"Visits are recorded within {back_days} days.", earliest=earliest.isoformat())
