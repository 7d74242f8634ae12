"""The week (周): its id, its moments, and which campaigns are due. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from shared.clock import business_date, county_instant
from shared.errors import FieldError, Malformed

WEEK_PATTERN = r"^\d{4}-W\d{2}$"
WEEKS_BACK = 8
"""How many past weeks a tick looks at after a long stop."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Campaign(StrEnum):
    """A series of prompts (短信批次): a person gets at most one prompt of each in a week."""

    WEEKLY = "weekly"  # 每周一重点工作提示, NTF-001
    REMINDER = "reminder"  # 催报


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the week in county time, e.g. Monday 09:00. `weekday` counts from Monday = 0."""

    weekday: int
    at: time

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "Moment":
        """From the pack's `{weekday: monday, at: "09:00"}`. Raises ValueError when it is no moment."""
        return cls(_WEEKDAYS.index(value["weekday"]), time.fromisoformat(value["at"]))

    def within(self, week: str) -> datetime:
        """The instant (UTC) of this moment in a week."""
        return county_instant(monday_of(week) + timedelta(days=self.weekday), self.at.hour, self.at.minute)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the prompt goes out, until when a missed one is made up for, and before when the report is due.

    Source: NTF-001, NTF-003; pack keys notify.weekly_prompt, notify.catch_up_until, notify.report_due.
    """

    prompt: Moment
    catch_up_until: Moment
    due: Moment


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One campaign of one week: it may be sent from `due_at` and before `closes_at`."""

    campaign: Campaign
    week: str
    due_at: datetime
    closes_at: datetime


def week_of(day: date) -> str:
    """The ISO week a date lies in: 2016-11-07 → 2016-W45."""
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


def monday_of(week: str) -> date:
    """The Monday of an ISO week. Raises Malformed when the year has no such week."""
    try:
        return date.fromisocalendar(int(week[:4]), int(week[6:]), 1)
    except ValueError:
        raise Malformed(
            "There is no such week.", errors=[FieldError("week", "no_such_week", "Give an ISO week, e.g. 2016-W45.")]
        ) from None


def week_after(week: str, weeks: int = 1) -> str:
    return week_of(monday_of(week) + timedelta(weeks=weeks))


def occurrence(schedule: Schedule, campaign: Campaign, week: str) -> Occurrence:
    """The weekly prompt can be made up for until the pack's moment, a reminder until the next week's prompt."""
    if campaign is Campaign.WEEKLY:
        return Occurrence(campaign, week, schedule.prompt.within(week), schedule.catch_up_until.within(week))
    return Occurrence(campaign, week, schedule.due.within(week), schedule.prompt.within(week_after(week)))


def due_occurrences(schedule: Schedule, *, since: datetime, now: datetime) -> list[Occurrence]:
    """What has become due by `now` and was still open at some time after `since` (when we began to watch), oldest first.

    A stop longer than WEEKS_BACK weeks leaves what lies before unreported.
    """
    this_week = week_of(business_date(now))
    candidates = (
        occurrence(schedule, campaign, week_after(this_week, back))
        for back in range(-WEEKS_BACK, 1)
        for campaign in (Campaign.WEEKLY, Campaign.REMINDER)
    )
    return [each for each in candidates if each.due_at <= now and each.closes_at > since]


def reported_week(schedule: Schedule, received_at: datetime) -> str:
    """The week a report answers: until the new week's prompt goes out, it is still the week before. Source: NTF-003."""
    week = week_of(business_date(received_at))
    return week if received_at >= schedule.prompt.within(week) else week_after(week, -1)


def is_on_time(schedule: Schedule, week: str, received_at: datetime) -> bool:
    """A report is on time (按时) before the due moment, not at it. Source: NTF-003; pack key notify.report_due."""
    return received_at < schedule.due.within(week)


def fact_version(week: str, step: int) -> int:
    """The version of a cadre's facts: it grows from week to week, and within one from step to step (0 to 9)."""
    return (int(week[:4]) * 100 + int(week[6:])) * 10 + step
