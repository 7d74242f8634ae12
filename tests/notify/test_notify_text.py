"""Texts: rendering and counting parts."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.outbound.text import (
    MAX_PARTS,
    PART_UNITS,
    SINGLE_UNITS,
    Language,
    TextTooLong,
    parts,
    render,
    require_sendable,
    tasks_line,
    units,
    week_label,
)


def test_a_template_is_filled_once():
    assert render("${a}和${b}", {"a": "${b}", "b": "乙"}) == "${b}和乙"


def test_an_unknown_variable_is_an_error():
    with pytest.raises(KeyError):
        render("${nobody}", {})


def test_tasks_are_numbered():
    assert tasks_line(["甲", "乙"], Language.ZH) == "1.甲；2.乙"


def test_a_week_is_named_by_its_days():
    assert week_label(date(2016, 11, 28), Language.ZH) == "第48周（11月28日至12月4日）"
    assert week_label(date(2016, 11, 28), Language.EN) == "week 48 (28 Nov to 04 Dec)"


def test_seventy_units_are_one_part_and_seventy_one_are_two():
    assert [
        len(parts("扶" * length)) for length in (0, SINGLE_UNITS, SINGLE_UNITS + 1, 2 * PART_UNITS, 2 * PART_UNITS + 1)
    ] == [0, 1, 2, 2, 3]


def test_a_character_of_two_units_is_not_split():
    assert [units(part) for part in parts("扶" * (PART_UNITS - 1) + "𠮷" * 10)] == [PART_UNITS - 1, 20]


def test_the_longest_message_is_accepted_and_one_unit_more_is_refused():
    assert require_sendable("扶" * (MAX_PARTS * PART_UNITS)) == MAX_PARTS
    with pytest.raises(TextTooLong) as refused:
        require_sendable("扶" * (MAX_PARTS * PART_UNITS + 1))
    assert refused.value.facts == {"parts": MAX_PARTS + 1, "max_parts": MAX_PARTS}


@given(st.text(st.sampled_from("扶贫a𠮷😀 "), max_size=400))
def test_parts_put_together_are_the_text(text):
    cut = parts(text)
    assert "".join(cut) == text
    assert all(0 < units(part) <= (SINGLE_UNITS if len(cut) == 1 else PART_UNITS) for part in cut)
