"""The month day by day. Time passes only by moving the clock; what a day brings is done once it has come."""

import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from demo import cast
from demo.month.fieldwork import Fieldwork
from demo.month.imports import Imports
from demo.month.messages import Messages
from demo.month.money import Money
from demo.month.procedures import Procedures
from demo.month.scores import Scores
from demo.month.stage import Stage
from demo.month.statistics import Statistics
from demo.month.trail import Trail
from shared.clock import county_instant

STARTS_AT = county_instant(date(2016, 10, 31), 8)
"""Monday 31 October 2016, eight in the morning in the county."""

Act = Callable[[], None]


def live(stage: Stage) -> dict[str, Any]:
    """Lives the whole month and returns what came of it. Raises CheckFailed, Unexpected or Gone."""
    started = time.monotonic()
    imports, statistics = Imports(stage), Statistics(stage)
    procedures, money = Procedures(stage), Money(stage)
    trail = Trail(stage, money)
    messages, fieldwork, scores = Messages(stage), Fieldwork(stage), Scores(stage)

    def at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
        return county_instant(date(2016, month, day), hour, minute)

    def on(month: int, day: int, hour: int, minute: int, *acts: Act) -> tuple[datetime, tuple[Act, ...]]:
        return at(month, day, hour, minute), acts

    def replies(week: str, month: int, day: int) -> Act:
        return lambda: messages.reply_on_time(week, at(month, day, 15, 30))

    def late(week: str, month: int, day: int) -> Act:
        return lambda: messages.reply_late(week, at(month, day, 18, 5))

    def visits(week: str, month: int, day: int) -> Act:
        return lambda: fieldwork.visit(week, date(2016, month, day))

    def prompted(week: str) -> Act:
        return lambda: messages.prompted(week)

    def reminded(week: str) -> Act:
        return lambda: messages.reminded(week)

    def friday(week: str, month: int, day: int) -> tuple[Act, ...]:
        return reminded(week), late(week, month, day), visits(week, month, day)

    days = (
        on(10, 31, 8, 0, trail.open_audit, imports.take_over, imports.send_back_bad_rows, statistics.check_figures),
        on(10, 31, 8, 30, messages.enter_briefs, scores.set_targets),
        on(10, 31, 9, 0, prompted("2016-W44")),
        on(11, 1, 10, 0, procedures.apply, lambda: money.receive(date(2016, 11, 1))),
        on(11, 2, 10, 0, procedures.review_in_village, money.apply),
        on(11, 3, 16, 0, procedures.hang_first_notices, money.approve, replies("2016-W44", 11, 3)),
        on(11, 4, 18, 5, *friday("2016-W44", 11, 4), money.draw_up_tranche),
        on(11, 7, 9, 0, prompted("2016-W45"), money.publish),
        on(11, 10, 16, 0, procedures.after_first_notices, replies("2016-W45", 11, 10)),
        on(11, 11, 18, 5, *friday("2016-W45", 11, 11)),
        on(11, 14, 9, 0, prompted("2016-W46")),
        on(11, 16, 10, 0, procedures.close_exit, money.pay_too_early),
        on(11, 17, 16, 0, money.pay, replies("2016-W46", 11, 17)),
        on(11, 18, 18, 5, procedures.after_second_notice, *friday("2016-W46", 11, 18)),
        on(11, 21, 9, 0, prompted("2016-W47")),
        on(11, 24, 16, 0, procedures.close_identification, replies("2016-W47", 11, 24)),
        on(11, 25, 18, 5, *friday("2016-W47", 11, 25)),
        on(11, 28, 9, 0, prompted("2016-W48")),
        on(12, 1, 16, 0, replies("2016-W48", 12, 1)),
        on(12, 2, 18, 5, reminded("2016-W48"), late("2016-W48", 12, 2)),
        on(12, 2, 18, 30, scores.run, trail.follow),
    )
    for moment, acts in days:
        stage.driver.clock(cast.ADMIN, moment)
        for act in acts:
            act()
    stage.driver.clock(cast.ADMIN)
    return {
        "seed": stage.county.seed,
        "pathways": statistics.result(),
        "divisions": imports.divisions(),
        "imports": imports.result(),
        "cases": procedures.result(),
        "money": money.result(),
        "trail": trail.result(),
        "scores": {**scores.result(), "visits": fieldwork.result()},
        "sms": messages.result(),
        "requests": stage.driver.requests,
        "seconds": round(time.monotonic() - started, 1),
    }
