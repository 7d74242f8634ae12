"""Texts that other people will read (公开文字): they must not carry anybody's ID number, phone or card"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s\-]+(?=[\dXx])")
_PERSONAL = re.compile(r"(?<!\d)(?:(?:00)?(?:86)?1[3-9]\d{9}(?!\d)|\d{15,}|\d{17}[Xx])")


def holds_personal_number(text: str) -> bool:
    """Whether the text holds what looks like a phone (11 digits), an ID number or disability certificate (15, 18 to 22) or a bank card (16 to 19)."""
    return _PERSONAL.search(_BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text))) is not None


def _without_numbers(text: str) -> str:
    if holds_personal_number(text):
        raise PydanticCustomError("personal_number", "Leave out ID numbers, phones and bank cards.")
    return text


OpenText = Annotated[str, AfterValidator(_without_numbers)]
"""A text that is kept and shown in the open. Source: standards.md 4 (privacy of publicity)."""
