"""What the pages say of the measurements is what results.json holds."""

import pytest

from bench import pages, results, scale
from bench.harness import Case, run


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.name)
def test_the_page_says_what_was_measured(path):
    text = path.read_text()
    assert pages.renewed(text, pages.PAGES[path](results.read())) == text


def test_a_page_without_a_place_is_refused():
    with pytest.raises(ValueError, match="no place"):
        pages.renewed("a page", "a table")


def rows(**values: tuple[float, float, float]) -> list[results.Row]:
    return [
        results.row(
            "growth", run(Case(name + ending, "MB", "at most", 1.1, lambda v=at: v, lambda v=one: v, 1))
        )
        for name, (one, three, ten) in values.items()
        for ending, at in ((scale.AT_THREE, three), (scale.AT_TEN, ten))
    ]  # fmt: skip


def test_growth_is_read_from_its_rows():
    assert scale.figures(rows(a=(2.0, 2.1, 2.2), b=(1.0, 1.0, 1.5))) == {
        "a": {1: 2.0, 3: 2.1, 10: 2.2},
        "b": {1: 1.0, 3: 1.0, 10: 1.5},
    }


def test_a_step_takes_its_countys_share_as_often_as_it_has_counties():
    county = scale.County(
        registry=100, outbox=30, inbox=20, kafka=60, ledger=300, import_s=7.2, postings_s=5_000, events_s=10_000
    )
    assert county._step(10) == "| 10 | 5 GB | 15 GB | 0.5 GB | 0.6 GB | 1 | 0.0 h | 0.814, 0.0% | 1.63, 0.0% |"
    assert county._step(1_000) == "| 1,000 | 500 GB | 1.5 TB | 50 GB | 60 GB | 3 | 2.0 h | 81.4, 1.6% | 163, 1.6% |"


def test_a_figure_that_misses_its_target_says_by_how_much():
    short = results.row("a", run(Case("a", "/s", "at least", 0.5, lambda: 40.0, lambda: 100.0, 1)))
    long = results.row("b", run(Case("b", "MB", "at most", 100, lambda: 150.0)))
    assert ("**no**, 20% under" in results.line(short), "**no**, 50% over" in results.line(long)) == (True, True)


def test_a_module_that_was_broken_off_replaces_what_it_had_measured_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    old = [results.row("m", run(Case(name, "MB", "at most", 5, lambda: 1.0))) for name in ("a", "b")]
    new = [results.row("m", run(Case("a", "MB", "at most", 5, lambda: 2.0)))]
    results.merge("m", old)
    results.merge("m", new, whole=False)
    assert sorted((row["name"], row["value"]) for row in results.read()) == [("a", 2.0), ("b", 1.0)]
