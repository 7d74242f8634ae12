"""What must hold at the end of a soak. Each check can fail: tests/integration/test_soak_checks.py shows that it does."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.retention import ANSWERS
from tests.soak.growth import LATE, RULES
from tests.soak.load import Asked
from tests.soak.trend import Trend, level, trend
from tests.soak.watch import Series, Table

FLAT_MIB_AN_HOUR = 24.0
"""Memory of a process may seem to grow so fast at most, the uncertainty of the measurement included: 0.5 GiB a day."""

FLAT_AFTER_S = 300.0
"""Shorter than that, a slope an hour says nothing: it is shown and not judged."""

HIGHER, MORE = 1.2, 10
"""Open files, connections and lag of the last third may be so many times those of the first third, and so many more."""

SLOWER = 2.0
"""The median answer of the last third may take so many times that of the first."""

OUTBOX_S = 30.0
"""No fact waits longer for its relay."""

SERVERS = ("postgres", "kafka")
"""Their memory is shown, not judged: it is theirs, and bounded by their settings."""

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Check:
    """`held` is None where the run was too short to tell."""

    name: str
    held: bool | None
    found: str


def flat(memory: Mapping[str, Series], measured_s: float) -> list[Check]:
    """Of every process of ours: the whole confidence interval of its slope lies below the limit."""
    checks = []
    for name, series in sorted(memory.items()):
        if name not in SERVERS:
            slope, margin = an_hour(trend(series.times, series.values))
            held = slope + margin <= FLAT_MIB_AN_HOUR if measured_s >= FLAT_AFTER_S else None
            checks.append(Check(f"memory of {name}", held, f"{slope:+.1f} ± {margin:.1f} MiB/h"))
    return checks


def an_hour(line: Trend) -> tuple[float, float]:
    return line.slope * HOUR, line.margin * HOUR


def steady(what: str, series: Mapping[str, Series]) -> list[Check]:
    """The last third is not above the first."""
    checks = []
    for name, samples in sorted(series.items()):
        first, last = level(samples.values)
        checks.append(Check(f"{what} of {name}", last <= HIGHER * first + MORE, f"{first:g} → {last:g}"))
    return checks


def as_fast(asked: list[Asked]) -> list[Check]:
    """Answers are not slower in the last third, actor by actor."""
    checks = []
    for actor in sorted({one.actor for one in asked}):
        first, last = level([one.seconds for one in asked if one.actor == actor])
        checks.append(
            Check(f"answers of {actor}", last <= SLOWER * first, f"p50 {first * 1e3:.1f} → {last * 1e3:.1f} ms")
        )
    return checks


def growth(before: Mapping[str, Table], after: Mapping[str, Table], now: datetime) -> list[Check]:
    """Every table that grew has a rule, and one whose rows have a period keeps none that is older. `now`: the county's."""
    checks = []
    for name, table in sorted(after.items()):
        rule = RULES.get(name.rpartition(".")[2])
        grew = table.rows - (before[name].rows if name in before else 0)
        found = f"{grew:+,} rows to {table.rows:,}, {table.mib:.1f} MiB; {rule.why if rule else 'no rule'}"
        held = rule is not None or grew <= 0
        if rule is not None and rule.period is not None and table.oldest is not None:
            held = table.oldest >= now - rule.period - LATE
            found += f", oldest {(now - table.oldest).days} of {rule.period.days} days"
        if grew or not held:
            checks.append(Check(f"table {name}", held, found))
    return checks


def fresh(outbox_age_s: Mapping[str, Series]) -> list[Check]:
    """No fact waited longer than OUTBOX_S to be published."""
    longest = {name: max(series.values, default=math.inf) for name, series in sorted(outbox_age_s.items())}
    return [Check(f"outbox of {name}", age <= OUTBOX_S, f"at most {age:.0f} s") for name, age in longest.items()]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p99, in milliseconds."""
    if len(seconds) < 2:
        return (seconds[0] * 1e3, seconds[0] * 1e3) if seconds else (0.0, 0.0)
    cut = statistics.quantiles(seconds, n=100, method="inclusive")
    return cut[49] * 1e3, cut[98] * 1e3


assert ANSWERS > LATE, "what is not due yet is never late"
