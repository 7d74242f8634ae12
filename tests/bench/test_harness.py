"""The harness of the measurements: rounds, floors, what is noisy, what is met."""

from collections.abc import Callable, Iterator

import pytest

from bench import harness, results
from bench.harness import Case


def gives(*values: float) -> Callable[[], float]:
    numbers: Iterator[float] = iter(values)
    return lambda: next(numbers)


def test_each_measurement_is_held_against_the_floors_on_both_sides():
    result = harness.run(Case("x", "op/s", "at least", 0.5, gives(60), gives(100, 120), rounds=1))  # fmt: skip
    assert (result.value, result.floor, result.ratio) == (60, 110, 60 / 110)


def test_the_median_of_the_rounds_counts():
    result = harness.run(Case("x", "op/s", "at least", 1, gives(10, 90, 20), gives(10, 10, 10, 10), rounds=3))
    assert (result.value, result.ratio, result.met) == (20, 2, True)


def test_a_round_between_floors_that_differ_is_measured_again():
    result = harness.run(Case("x", "op/s", "at least", 1, gives(1, 30, 30), gives(10, 20, 20, 20), rounds=2))
    assert ([r.value for r in result.rounds], result.measured, result.noisy) == ([30, 30], 3, False)


def test_a_machine_that_never_rests_is_named_noisy():
    floors = gives(*(10.0, 20.0) * 4)
    result = harness.run(Case("x", "op/s", "at least", 1, lambda: 30.0, floors, rounds=2))
    assert (result.measured, result.noisy, len(result.rounds)) == (6, True, 6)


@pytest.mark.parametrize(("value", "met"), [(399.0, True), (400.0, True), (401.0, False)])
def test_without_a_floor_the_figure_itself_is_held_against_the_target(value, met):
    result = harness.run(Case("memory", "MB", "at most", 400, lambda: value))
    assert (result.ratio, result.met) == (None, met)


def test_results_of_a_module_take_the_place_of_its_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    for module, value in (("b", 1.0), ("a", 2.0), ("b", 3.0)):
        results.merge(
            module, [results.row(module, harness.run(Case(module, "ms", "at most", 5, gives(value, value, value))))]
        )
    assert [(row["name"], row["value"], row["met"]) for row in results.read()] == [("a", 2.0, True), ("b", 3.0, True)]
