"""Periods of assessment (考核周期): months of the county's calendar, written 2016-11. Pure."""

from datetime import date, timedelta

PERIOD_PATTERN = r"^20\d{2}-(0[1-9]|1[0-2])$"
MONTHS_A_YEAR = 12
_THURSDAY = 4


def month_of(day: date) -> str:
    """The period a business date lies in."""
    return f"{day.year:04d}-{day.month:02d}"


def month_of_week(week: str) -> str:
    """The period an ISO week (2016-W45) counts to: the one its Thursday lies in, as ISO 8601 counts weeks to years."""
    year, _, number = week.partition("-W")
    return month_of(date.fromisocalendar(int(year), int(number), _THURSDAY))


def first_day(period: str) -> date:
    return date.fromisoformat(f"{period}-01")


def last_day(period: str) -> date:
    return first_day(after(period)) - timedelta(days=1)


def after(period: str) -> str:
    """The next period."""
    return month_of(first_day(period) + timedelta(days=31))


def before(period: str) -> str:
    """The period before."""
    return month_of(first_day(period) - timedelta(days=1))


def first_of_year(period: str) -> str:
    return f"{period[:4]}-01"


def month_number(period: str) -> int:
    """1 to 12."""
    return int(period[5:])
