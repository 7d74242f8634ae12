"""No number of a person gets into a log."""

import pytest

from shared.observability import without_numbers


@pytest.mark.parametrize(
    "text",
    [
        "99092619500101123X",
        "身份证99092619500101123X号",
        "电话19900123456",
        "+8619900123456",
        "card 9999991234567890123",
        "残疾证99092619500101123X42",
        19900123456,
    ],
)
def test_a_number_of_a_person_is_cut_out(text):
    entry = without_numbers(None, "info", {"event": "x", "detail": {"inner": [text]}})
    assert not any(digits in str(entry) for digits in ("19500101", "0123456", "999999123"))


@pytest.mark.parametrize(
    "text", ["610926100201", "0193b1c2-7a55-7000-8000-123456789012", "a1b2c3d4e5f612345678901a", 40, True, None, 1.5]
)
def test_codes_ids_and_counts_stay(text):
    assert without_numbers(None, "info", {"event": "x", "detail": text})["detail"] == text
