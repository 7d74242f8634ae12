"""Time. Record time is UTC; a business date (业务日期) is a date in the county's zone.

Everything that asks for the time asks a Clock, so that a month can pass without a row being edited.
Waiting (retries, leases, polls) is measured by the event loop, not by this clock.
"""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

COUNTY_ZONE = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    def now(self) -> datetime:
        """The current instant, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class MovableClock:
    """A clock that stands still until it is moved forward; it lives in a file, so it survives the process.

    Several clocks and processes may share the file: whoever moves it, all show the same from then on.
    Raises ValueError when moved backwards.
    """

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        self._path = path
        if not path.exists():
            if start is None:
                raise FileNotFoundError(f"{path}: no clock here; move one there first")
            self._write(start)
        self._now = self._read()

    def now(self) -> datetime:
        if self._mark() != self._read_at:
            self._now = self._read()
        return self._now

    def move_to(self, instant: datetime) -> None:
        """Lets time pass until `instant` (UTC). Moving to the present instant again is allowed and does nothing."""
        if instant < self._read():
            raise ValueError(f"time does not go back: it is {self._now.isoformat()} already")
        self._write(instant)
        self._now = self._read()

    def _mark(self) -> tuple[int, int]:
        """Changes with every move, as each writes a new file; asking for it costs a hundredth of reading."""
        file = os.stat(self._path)
        return file.st_mtime_ns, file.st_ino

    def _read(self) -> datetime:
        self._read_at = self._mark()
        return datetime.fromisoformat(self._path.read_text()).astimezone(UTC)

    def _write(self, instant: datetime) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        with fresh.open("w") as file:
            file.write(instant.astimezone(UTC).isoformat())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def business_date(instant: datetime, zone: ZoneInfo = COUNTY_ZONE) -> date:
    """The date that a calendar in the county shows at this instant."""
    return instant.astimezone(zone).date()


def county_instant(day: date, hour: int = 0, minute: int = 0, zone: ZoneInfo = COUNTY_ZONE) -> datetime:
    """The instant (UTC) at which clocks in the county show this date and time."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
