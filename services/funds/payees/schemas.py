"""What the API of payees gives."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel


class PayeeOut(BaseModel):
    """The account of a household: masked name, last four digits."""

    id: UUID
    household_no: str
    division: str
    account_name_masked: str
    card_masked: str
    bank: str
    since: date
