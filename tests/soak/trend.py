"""Whether a series of samples is flat: its slope by least squares, and how sure that is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SURE = 1.96
"""Standard errors on each side: 95 %."""

MIN_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Trend:
    """`slope` is units a second; the true one lies within `margin` of it with 95 % confidence (both infinite for too few samples)."""

    slope: float
    margin: float


def trend(times: Sequence[float], values: Sequence[float]) -> Trend:
    """A line through the samples. Samples that follow each other closely say the same thing twice: the margin counts them less."""
    n = len(times)
    if n < MIN_SAMPLES:
        return Trend(math.inf, math.inf)
    slope, start = statistics.linear_regression(times, values)
    rest = [value - (start + slope * time) for time, value in zip(times, values, strict=True)]
    squares = sum(r * r for r in rest)
    if squares == 0:
        return Trend(slope, 0.0)
    alike = max(0.0, sum(a * b for a, b in pairwise(rest)) / squares)
    effective = max(3.0, n * (1 - alike) / (1 + alike))
    middle = statistics.fmean(times)
    spread = sum((time - middle) ** 2 for time in times)
    error = math.sqrt(squares / n / (effective - 2) * n / spread)
    return Trend(slope, SURE * error)


def level(values: Sequence[float]) -> tuple[float, float]:
    """Medians of the first and the last third."""
    third = max(1, len(values) // 3)
    return statistics.median(values[:third]), statistics.median(values[-third:])
