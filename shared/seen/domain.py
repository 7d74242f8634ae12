"""What a look keeps of a request: which things it named and by which filters, never personal data."""

import re
import unicodedata
from collections.abc import Iterable

from shared import pii

UNSAID = frozenset({"after", "limit"})
"""Filters that say where in a list somebody was, not what he sought."""

WITHHELD = "<withheld>"
MAX_KEPT = 100

_PHONE = re.compile(r"(?<!\d)(?:(?:00)?86)?1[3-9]\d{9}(?!\d)")
_CARD = re.compile(r"(?<!\d)\d{16,19}(?!\d)")
_OLD_ID = re.compile(r"(?<!\d)\d{15}(?!\d)")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s\-]+(?=[\dXx])")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def kept(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Name → value of what a request named, several of one name with commas between; what might be somebody's number is withheld.

    Names too: a query's are whatever somebody wrote.
    """
    found: dict[str, list[str]] = {}
    for name, value in given:
        if name not in UNSAID:
            found.setdefault(plain(name), []).append(plain(value))
    return {name: ",".join(values) for name, values in found.items()}


def plain(value: str) -> str:
    """The value, cut to MAX_KEPT characters. An address is written by whoever asks: it may hold what no address should."""
    if _UUID.fullmatch(value):
        return value
    digits = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", value))
    numbers = [*_CARD.findall(digits), *re.findall(r"\d{17}[\dXx]", digits)]
    personal = (
        _PHONE.search(digits)
        or _OLD_ID.search(digits)
        or any(_luhn(number) or pii.id_number_problems(number) is None for number in numbers)
    )
    return WITHHELD if personal else value[:MAX_KEPT]


def _luhn(number: str) -> bool:
    """Whether the last digit is a bank card's check digit (Luhn)."""
    if not number.isdigit():
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
