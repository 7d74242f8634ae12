"""shared.clock: time that can be moved forward only, and business dates in the county's zone."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import COUNTY_ZONE, MovableClock, SystemClock, business_date, county_instant

START = datetime(2016, 11, 1, 1, 0, tzinfo=UTC)


class TestMovableClock:
    def test_it_stands_still_until_it_is_moved(self, tmp_path):
        clock = MovableClock(tmp_path / "clock", START)
        assert clock.now() == clock.now() == START
        clock.move_to(START + timedelta(days=10))
        assert clock.now() == START + timedelta(days=10)

    def test_it_survives_the_process(self, tmp_path):
        MovableClock(tmp_path / "clock", START).move_to(START + timedelta(days=1))
        assert MovableClock(tmp_path / "clock").now() == START + timedelta(days=1)

    def test_a_start_does_not_set_an_existing_clock_back(self, tmp_path):
        MovableClock(tmp_path / "clock", START).move_to(START + timedelta(days=1))
        assert MovableClock(tmp_path / "clock", START).now() == START + timedelta(days=1)

    def test_another_process_sees_the_move(self, tmp_path):
        mine, theirs = MovableClock(tmp_path / "clock", START), MovableClock(tmp_path / "clock")
        mine.move_to(START + timedelta(hours=1))
        assert theirs.now() == START + timedelta(hours=1)

    def test_time_does_not_go_back(self, tmp_path):
        clock = MovableClock(tmp_path / "clock", START)
        with pytest.raises(ValueError, match="does not go back"):
            clock.move_to(START - timedelta(seconds=1))
        clock.move_to(START)
        assert clock.now() == START

    def test_without_a_start_there_must_be_a_clock(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            MovableClock(tmp_path / "clock")

    def test_it_speaks_utc_whatever_zone_it_was_moved_in(self, tmp_path):
        clock = MovableClock(tmp_path / "clock", START)
        clock.move_to(datetime(2016, 11, 7, 9, 0, tzinfo=COUNTY_ZONE))
        assert clock.now() == datetime(2016, 11, 7, 1, 0, tzinfo=UTC)
        assert clock.now().tzinfo is UTC


def test_the_system_clock_speaks_utc():
    assert SystemClock().now().tzinfo is UTC


class TestBusinessDate:
    @pytest.mark.parametrize(
        ("instant", "day"),
        [
            (datetime(2016, 11, 6, 15, 59, 59, tzinfo=UTC), date(2016, 11, 6)),
            (datetime(2016, 11, 6, 16, 0, tzinfo=UTC), date(2016, 11, 7)),
            (datetime(2016, 11, 6, 16, 0, tzinfo=timezone(timedelta(hours=8))), date(2016, 11, 6)),
        ],
    )
    def test_the_day_begins_at_midnight_in_the_county(self, instant, day):
        assert business_date(instant) == day

    @given(st.dates(date(1995, 1, 1), date(2100, 1, 1)), st.integers(0, 23), st.integers(0, 59))
    def test_a_county_instant_lies_on_its_own_date(self, day, hour, minute):
        instant = county_instant(day, hour, minute)
        assert instant.tzinfo is UTC
        assert business_date(instant) == day
        assert instant.astimezone(COUNTY_ZONE).strftime("%H:%M") == f"{hour:02d}:{minute:02d}"
