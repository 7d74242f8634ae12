"""Readers of cells with personal data. What they refuse is never repeated in the error."""

import re

from shared import pii
from shared.sheets.spec import CellError

MOBILE_DIGITS = 11
CARD_DIGITS = range(12, 20)

_ID_PROBLEMS = {
    "id_15_digits": ("15 位旧号码，请升为 18 位。", "An old number of 15 digits; fill in the one of 18."),
    "id_length": (
        "应为 18 位身份证号，或 20、22 位残疾人证号。",
        "An ID number has 18 characters, a disability certificate 20 or 22.",
    ),
    "id_characters": ("只能是数字，末位可为 X。", "Only digits; the last may be X."),
    "id_date": ("其中的出生日期不存在。", "The birth date in it does not exist."),
    "id_check_digit": ("校验位不对，请核对每一位。", "The check digit is wrong; compare every digit."),
    "id_certificate": (
        "残疾人证号末尾的类别或等级不对。",
        "The kind or grade at the end of the certificate number is wrong.",
    ),
}
_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)


def id_number(cell: str) -> str:
    """An ID or disability-certificate number in one spelling. Date and check digit decide, the place does not.

    Source: standards.md 1.3 and 7.2 (GB 11643).
    """
    if problem := pii.id_number_problems(cell):
        raise CellError(problem, *_ID_PROBLEMS[problem])
    return pii.normal(cell)


def phone(cell: str) -> str:
    """A mobile phone number (手机号) of 11 digits; +86 in front is taken off. Source: standards.md 1.3 (work: phone not 11 digits)."""
    number = pii.normal(cell).removeprefix("+")
    number = number[2:] if len(number) == MOBILE_DIGITS + 2 and number.startswith("86") else number
    if not _MOBILE.fullmatch(number):
        raise CellError("bad_phone", "应为 11 位手机号。", "Fill in a mobile number of 11 digits.")
    return number


def card(cell: str) -> str:
    """A bank card number (银行卡号): 12 to 19 digits, the check digit of cards of 16 or more must fit (Luhn)."""
    number = pii.normal(cell)
    if not (number.isascii() and number.isdecimal()) or len(number) not in CARD_DIGITS:
        raise CellError("bad_card", "应为 12 至 19 位卡号。", "Fill in a card number of 12 to 19 digits.")
    if len(number) >= 16 and _luhn(number):
        raise CellError(
            "card_check_digit",
            "卡号校验位不对，请核对每一位。",
            "The check digit of the card is wrong; compare every digit.",
        )
    return number


def _luhn(digits: str) -> int:
    """0 when the check digit fits (ISO/IEC 7812-1)."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(int(digit) for digit in digits[-1::-2])) % 10
