"""Free text and business numbers that other people will read. They must not carry anybody's ID number, phone or card."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from shared import pii, texts
from shared.sheets import CellError, cells
from shared.sheets.spec import Parse

_PHONE = re.compile(r"1[3-9]\d{9}")


def is_personal_number(number: str) -> bool:
    """Whether a business number (户编号, 干部编号) is a phone or a valid ID number: it goes into events and addresses."""
    return _PHONE.fullmatch(number) is not None or pii.id_number_problems(number) is None


def _of_business(number: str) -> str:
    if is_personal_number(number):
        raise PydanticCustomError("personal_number", "Take a number of its own, not an ID number or a phone.")
    return number


def business_cell(cell: str) -> str:
    """A cell of a sheet with a business number."""
    number: str = cells.business_no()(cell)
    if is_personal_number(number):
        raise CellError("personal_number", "请勿用身份证号或电话作编号。", "Take no ID number or phone for it.")
    return number


def open_cell(longest: int) -> Parse:
    """A cell of a sheet with such a text, of at most so many characters."""
    read = cells.text(longest)

    def parse(cell: str) -> str:
        text: str = read(cell)
        if texts.holds_personal_number(text):
            raise CellError(
                "personal_number", "请勿填写身份证号、电话或银行卡号。", "Leave out ID numbers, phones and bank cards."
            )
        return text

    return parse


BusinessNo = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,32}$"), AfterValidator(_of_business)]

OpenText = Annotated[texts.OpenText, Field(max_length=1000)]
