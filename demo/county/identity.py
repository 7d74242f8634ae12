"""Numbers of people who do not exist: identity numbers, bank cards and phones in blocks that nobody is given.

They pass every check of form (standards.md 7.2; Luhn for cards), so that imports treat them like real ones.
"""

from collections.abc import Callable
from datetime import date
from random import Random

from demo.county.model import Sex
from shared.pii import TEST_CARD_PREFIX, TEST_ID_AREA, TEST_PHONE_PREFIX, make_check_digit

CARD_DIGITS = 19
PHONE_DIGITS = 11
_SEQUENCES = 500


class Identities:
    """Gives out numbers, each once."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._given: set[str] = set()

    def id_number(self, born: date, sex: Sex) -> str:
        """18 digits: area, birth date, sequence (odd male, even female), check digit."""

        def draw() -> str:
            sequence = 2 * self._rng.randrange(1, _SEQUENCES) + (1 if sex is Sex.MALE else 0)
            body = f"{TEST_ID_AREA}{born:%Y%m%d}{sequence:03d}"
            return body + make_check_digit(body)

        return self._once(draw)

    def card(self) -> str:
        """19 digits with a Luhn check digit."""

        def draw() -> str:
            free = CARD_DIGITS - len(TEST_CARD_PREFIX) - 1
            body = f"{TEST_CARD_PREFIX}{self._rng.randrange(10**free):0{free}d}"
            return body + luhn_digit(body)

        return self._once(draw)

    def phone(self) -> str:
        """11 digits."""
        free = PHONE_DIGITS - len(TEST_PHONE_PREFIX)
        return self._once(lambda: f"{TEST_PHONE_PREFIX}{self._rng.randrange(10**free):0{free}d}")

    def _once(self, draw: Callable[[], str]) -> str:
        while (number := draw()) in self._given:
            pass
        self._given.add(number)
        return number


def luhn_digit(body: str) -> str:
    """The check digit that makes `body` + digit pass the Luhn test of bank cards (ISO/IEC 7812-1)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in body[::-1][::2])
    plain = (int(digit) for digit in body[::-1][1::2])
    return str(-(sum(doubled) + sum(plain)) % 10)
