"""shared.scope: levels of division codes and the area rule."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.scope import (
    EVERYWHERE,
    NOWHERE_ABOVE,
    Area,
    Level,
    ancestors,
    at_level,
    is_division,
    level_of,
    parent_of,
    prefix_of,
)

ROOT = Path(__file__).parents[2]
DIVISIONS = list(csv.DictReader((ROOT / "data" / "divisions" / "divisions-610926-pingli.csv").open()))
CODES = [row["code"] for row in DIVISIONS]
codes = st.sampled_from(CODES)


class TestRealDivisions:
    def test_each_code_has_the_level_and_parent_the_list_gives_it(self):
        for row in DIVISIONS:
            assert is_division(row["code"])
            assert level_of(row["code"]) == row["level"]
            assert parent_of(row["code"]) == (row["parent"] or None)

    def test_pingli_has_11_towns_and_152_villages(self):
        levels = [level_of(code) for code in CODES]
        assert (levels.count(Level.TOWN), levels.count(Level.VILLAGE)) == (11, 152)


class TestLevels:
    def test_the_chain_goes_from_the_village_to_the_province(self):
        assert ancestors("610926100224") == (
            "610926100224",
            "610926100000",
            "610926000000",
            "610900000000",
            "610000000000",
        )

    def test_the_ancestor_at_a_level(self):
        assert at_level("610926100224", Level.TOWN) == "610926100000"
        assert at_level("610926100000", Level.TOWN) == "610926100000"
        assert at_level("610926000000", Level.TOWN) is None

    @pytest.mark.parametrize(
        "code", ["", "610926", "61092610022a", "６１０９２６０００００0", "000000000000", "6109261002241"]
    )
    def test_what_is_no_code(self, code):
        assert not is_division(code)


class TestArea:
    @given(st.lists(codes, max_size=5), codes)
    def test_a_division_is_seen_exactly_when_it_lies_in_one_of_the_callers(self, own, code):
        assert Area.of(own).covers(code) == any(division in ancestors(code) for division in own)

    @given(st.lists(codes, max_size=5))
    def test_no_prefix_lies_in_another(self, own):
        prefixes = Area.of(own).prefixes
        assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]
        assert list(prefixes) == sorted(set(prefixes))

    @given(codes)
    def test_an_empty_area_sees_nothing_and_everywhere_sees_all(self, code):
        assert not Area.of([]).covers(code)
        assert EVERYWHERE.covers(code)

    def test_a_neighbour_with_a_similar_number_is_not_seen(self):
        assert not Area.of(["610926100000"]).covers("610926101201")
        assert prefix_of("610926100000") == "610926100"

    @given(st.lists(codes, max_size=5), st.lists(codes, max_size=5), codes)
    def test_what_lies_within_two_areas_lies_in_both(self, one, other, code):
        both = Area.of(one).within(Area.of(other))
        assert both.covers(code) == (Area.of(one).covers(code) and Area.of(other).covers(code))

    @given(st.lists(codes, min_size=1, max_size=5))
    def test_the_narrowest_division_holds_all_of_an_area_and_none_below_it_does(self, own):
        narrowest = Area.of(own).narrowest
        assert all(narrowest in ancestors(code) for code in own)
        assert not [code for code in CODES if code != narrowest and parent_of(code) == narrowest
                    and all(code in ancestors(division) for division in own)]  # fmt: skip

    def test_what_lies_in_two_provinces_or_nowhere_has_no_division_above(self):
        assert Area.of(["610926000000", "420000000000"]).narrowest == NOWHERE_ABOVE
        assert Area.of([]).narrowest == NOWHERE_ABOVE
        assert not Area.of(["610926000000"]).covers(NOWHERE_ABOVE)
