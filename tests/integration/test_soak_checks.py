"""The checks of the soak (tests/soak) find what they are for, and its page says what its file says."""

import json
import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from services.catalogue import NAMES, part
from shared import tables
from shared.retention import SEEN
from tests.soak import judge, report
from tests.soak.growth import RULES
from tests.soak.judge import FLAT_AFTER_S, FLAT_MIB_AN_HOUR, Check
from tests.soak.load import Asked
from tests.soak.trend import trend
from tests.soak.watch import Series, Table

NOW = datetime(2017, 3, 1, tzinfo=UTC)
SECONDS = 600


def memory(mib_an_hour: float, noise: float = 0.5) -> dict[str, Series]:
    """A process that grows so fast, sampled each second."""
    rng = random.Random(1)
    values = [120 + mib_an_hour * t / 3600 + rng.uniform(-noise, noise) for t in range(SECONDS)]
    return {"funds-api-1": Series([float(t) for t in range(SECONDS)], values)}


def held(checks: list[Check]) -> list[bool | None]:
    return [check.held for check in checks]


def test_every_table_has_a_rule_and_no_rule_is_for_nothing() -> None:
    there = {table.name for name in NAMES for table in part(name).tables.sorted_tables}
    there |= {table.name for table in tables.metadata.sorted_tables}
    assert there == RULES.keys()


def test_the_columns_of_the_rules_exist() -> None:
    dated = {name: rule.column for name, rule in RULES.items() if rule.period is not None}
    assert {name: tables.metadata.tables[name].c[column].name for name, column in dated.items()} == dated


@pytest.mark.parametrize("slope", [-3.0, 0.0, 12.5])
def test_a_slope_is_found_within_its_margin(slope: float) -> None:
    times = [float(t) for t in range(300)]
    rng = random.Random(2)
    found = trend(times, [slope * t + rng.gauss(0, 20) for t in times])
    assert abs(found.slope - slope) <= found.margin < 0.1


def test_samples_that_follow_each_other_closely_leave_it_less_sure() -> None:
    times = [float(t) for t in range(300)]
    rng = random.Random(3)
    each = [rng.gauss(0, 1) for _ in times]
    walk = [sum(each[max(0, t - 20) : t + 1]) / 20**0.5 for t in range(300)]
    assert trend(times, walk).margin > 2 * trend(times, each).margin


def test_too_few_samples_say_nothing() -> None:
    assert trend([1.0, 2.0], [1.0, 2.0]).margin == math.inf


def test_flat_memory_holds() -> None:
    assert held(judge.flat(memory(0), SECONDS)) == [True]


def test_memory_that_leaks_does_not_hold() -> None:
    assert held(judge.flat(memory(2 * FLAT_MIB_AN_HOUR), SECONDS)) == [False]


def test_memory_too_uneven_to_tell_does_not_hold() -> None:
    assert held(judge.flat(memory(0, noise=100), SECONDS)) == [False]


def test_a_short_run_does_not_judge_memory() -> None:
    assert held(judge.flat(memory(1000), FLAT_AFTER_S - 1)) == [None]


def test_the_servers_memory_is_not_ours_to_judge() -> None:
    assert judge.flat({"kafka": memory(1000)["funds-api-1"]}, SECONDS) == []


@pytest.mark.parametrize(("last", "holds"), [(20, True), (50, False)])
def test_open_files_that_grow_do_not_hold(last: int, holds: bool) -> None:
    series = Series([float(t) for t in range(30)], [20.0] * 20 + [float(last)] * 10)
    assert held(judge.steady("open files", {"funds-api-1": series})) == [holds]


@pytest.mark.parametrize(("last_s", "holds"), [(0.005, True), (0.05, False)])
def test_answers_that_grow_slower_do_not_hold(last_s: float, holds: bool) -> None:
    asked = [Asked(t, "reads", 0.005 if t < 60 else last_s) for t in range(90)]
    assert held(judge.as_fast(asked)) == [holds]


@pytest.mark.parametrize(("age_s", "holds"), [(1.0, True), (60.0, False)])
def test_a_fact_that_waits_does_not_hold(age_s: float, holds: bool) -> None:
    assert held(judge.fresh({"funds": Series([0.0, 1.0], [0.0, age_s])})) == [holds]


def test_an_outbox_nobody_looked_at_does_not_hold() -> None:
    assert held(judge.fresh({"funds": Series()})) == [False]


def test_a_table_that_grew_without_a_rule_does_not_hold() -> None:
    checks = judge.growth({"funds.scratch": Table(1, 0.1, None)}, {"funds.scratch": Table(2, 0.1, None)}, NOW)
    assert held(checks) == [False]


def test_a_table_that_came_without_a_rule_does_not_hold() -> None:
    assert held(judge.growth({}, {"funds.scratch": Table(2, 0.1, None)}, NOW)) == [False]


@pytest.mark.parametrize(("age", "holds"), [(SEEN, True), (SEEN + timedelta(days=3), False)])
def test_rows_beyond_their_period_do_not_hold(age: timedelta, holds: bool) -> None:
    assert held(judge.growth({}, {"funds.inbox": Table(10, 0.1, NOW - age)}, NOW)) == [holds]


def test_the_page_shows_the_last_soak() -> None:
    """docs/reliability.md is written from bench/soak.json by the run itself."""
    page, found = report.PAGE.read_text(), json.loads(report.FILE.read_text())
    assert report.with_section(page, report.section(found)) == page


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="soak"):
        report.with_section("# Nothing here", "")
