"""What a payment must know of an account. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Payee:
    """A household's account (收款账户): the number stays sealed, `card_blind` recognises it, people see the last four digits."""

    household_no: str
    name_masked: str
    card_last4: str
    card_blind: str
