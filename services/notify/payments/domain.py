"""What was paid to households in one week of one county. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paid:
    """Households in the tranches paid (a household in two of them counts twice), and their sum in fen."""

    households: int
    amount_fen: int


NOTHING = Paid(0, 0)

LONGEST = Paid(999_999, 99_999_999_999_99)
"""No county's week is longer in words: the room that a brief leaves for it in the message."""
