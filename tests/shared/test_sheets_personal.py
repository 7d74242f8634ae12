"""Cells with personal data: ID numbers, phones, cards. Test numbers only."""

import pytest

from shared import pii
from shared.sheets import CellError
from shared.sheets.personal import card, id_number, phone

BODY = pii.TEST_ID_AREA + "19491231002"
VALID = BODY + pii.make_check_digit(BODY)


def test_an_id_number_is_kept_in_one_spelling() -> None:
    spelled = VALID.lower()
    assert id_number(f" {spelled[:6]} {spelled[6:]}") == VALID


def test_a_disability_certificate_is_accepted() -> None:
    assert id_number(VALID + "41") == VALID + "41"


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (VALID[:15], "id_15_digits"),
        (VALID[:-2], "id_length"),
        (VALID[:-1] + ("1" if VALID[-1] != "1" else "2"), "id_check_digit"),
        (VALID[:10] + "1331" + VALID[14:], "id_date"),
        ("A" + VALID[1:], "id_characters"),
        (VALID + "91", "id_certificate"),
    ],
)
def test_a_wrong_id_number_says_why(cell: str, code: str) -> None:
    with pytest.raises(CellError) as error:
        id_number(cell)
    assert (error.value.code, cell in error.value.zh + error.value.en) == (code, False)


def test_a_phone_has_11_digits() -> None:
    assert phone("+86 199-0012-3456") == "19900123456"
    with pytest.raises(CellError, match="bad_phone"):
        phone("1990012345")


@pytest.mark.parametrize("zero", ["\u0660", "\u0966"])
def test_digits_of_other_scripts_are_no_second_spelling(zero: str) -> None:
    """With them one card would be taken for two, and one phone for two."""
    other = {ord(str(digit)): chr(ord(zero) + digit) for digit in range(10)}
    with pytest.raises(CellError, match="bad_card"):
        card("99999900000000014".translate(other))
    with pytest.raises(CellError, match="bad_phone"):
        phone("1" + "9900123456".translate(other))


def test_a_card_has_a_check_digit() -> None:
    assert card("9999 9900 0000 0001 4") == "99999900000000014"
    with pytest.raises(CellError, match="card_check_digit"):
        card("99999900000000015")
    with pytest.raises(CellError, match="bad_card"):
        card("12345")
