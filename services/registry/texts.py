"""Free text that other people will read: reasons, evidence, notes, objections. It must not carry anybody's numbers."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field
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


OpenText = Annotated[str, Field(max_length=1000), AfterValidator(_without_numbers)]
"""Up to 1,000 characters without ID number, phone or bank card. Source: standards.md 4 (privacy of publicity)."""
