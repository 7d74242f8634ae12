"""The calendar of prompts as plain functions."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.weeks.domain import (
    Campaign,
    Moment,
    Schedule,
    due_occurrences,
    fact_version,
    is_on_time,
    monday_of,
    occurrence,
    reported_week,
    week_after,
    week_of,
)
from shared.clock import county_instant
from shared.errors import Malformed

SCHEDULE = Schedule(prompt=Moment(0, time(9)), catch_up_until=Moment(1, time(12)), due=Moment(4, time(18)))
LONG_AGO = datetime(2016, 1, 1, tzinfo=UTC)


def november(day, hour=0, minute=0):
    return county_instant(date(2016, 11, day), hour, minute)


def due(now, since=LONG_AGO):
    return [(o.campaign, o.week) for o in due_occurrences(SCHEDULE, since=since, now=now)]


def test_a_moment_is_read_from_the_pack():
    assert Moment.read({"weekday": "friday", "at": "18:00"}) == Moment(4, time(18))


@pytest.mark.rule("NTF-001")
def test_the_weekly_prompt_is_due_on_monday_at_nine_in_the_county():
    assert occurrence(SCHEDULE, Campaign.WEEKLY, "2016-W45").due_at == datetime(2016, 11, 7, 1, tzinfo=UTC)


def test_a_minute_before_nine_it_is_not_due():
    assert (Campaign.WEEKLY, "2016-W45") not in due(november(7, 8, 59))
    assert (Campaign.WEEKLY, "2016-W45") in due(november(7, 9))


def test_a_reminder_stays_open_until_the_next_prompt():
    reminder = occurrence(SCHEDULE, Campaign.REMINDER, "2016-W45")
    assert (reminder.due_at, reminder.closes_at) == (november(11, 18), november(14, 9))


def test_weeks_before_we_began_to_watch_are_not_owed():
    assert due(november(9, 8), since=november(9, 7)) == []


def test_who_begins_within_the_catch_up_time_still_owes_the_week():
    assert due(november(8, 10), since=november(8, 9)) == [(Campaign.WEEKLY, "2016-W45")]


def test_a_long_stop_owes_every_campaign_in_between_oldest_first():
    assert due(november(22, 8), since=november(8, 13)) == [
        (Campaign.REMINDER, "2016-W45"),
        (Campaign.WEEKLY, "2016-W46"),
        (Campaign.REMINDER, "2016-W46"),
        (Campaign.WEEKLY, "2016-W47"),
    ]


@pytest.mark.rule("NTF-003")
def test_a_report_is_on_time_before_friday_evening_and_not_at_it():
    assert is_on_time(SCHEDULE, "2016-W45", november(11, 17, 59))
    assert not is_on_time(SCHEDULE, "2016-W45", november(11, 18))


def test_until_the_new_prompt_goes_out_a_report_answers_the_week_before():
    assert reported_week(SCHEDULE, november(14, 8, 59)) == "2016-W45"
    assert reported_week(SCHEDULE, november(14, 9)) == "2016-W46"


def test_the_turn_of_a_year_with_53_weeks():
    assert week_after("2015-W53") == "2016-W01"
    assert week_of(date(2016, 1, 3)) == "2015-W53"


def test_a_week_that_the_year_does_not_have_is_malformed():
    with pytest.raises(Malformed):
        monday_of("2016-W53")


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_date_lies_in_its_week(day):
    assert monday_of(week_of(day)) <= day < monday_of(week_of(day)) + timedelta(weeks=1)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 9), st.integers(0, 9))
def test_versions_of_facts_grow_with_weeks_and_steps(day, step, other):
    week = week_of(day)
    assert fact_version(week, step) < fact_version(week_after(week), other)
    assert (fact_version(week, step) < fact_version(week, other)) == (step < other)


@given(st.integers(0, 2 * 365 * 24 * 60))
def test_looking_more_often_finds_nothing_else(minutes):
    """What is due at an instant, and still open, is due a minute later as well, unless it has closed."""
    now = LONG_AGO + timedelta(minutes=minutes)
    later = now + timedelta(minutes=1)
    open_now = {o for o in due_occurrences(SCHEDULE, since=LONG_AGO, now=now) if o.closes_at > later}
    assert open_now <= set(due_occurrences(SCHEDULE, since=LONG_AGO, now=later))
