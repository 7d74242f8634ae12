"""The text of a message: rendering, and how many SMS it is. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum

from shared.clock import COUNTY_ZONE
from shared.errors import Refusal

SINGLE_UNITS = 70
PART_UNITS = 67
"""UTF-16 units of a lone SMS and of each part of a longer one; we always send UCS-2 (sms.md)."""

MAX_PARTS = 5
"""Parts of one message at most: past its own limit a gateway cuts the text silently."""

_VARIABLE = re.compile(r"\$\{([a-z_]+)\}")


class TextTooLong(Refusal):
    code = "text_too_long"


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


def render(template: str, values: Mapping[str, str]) -> str:
    """Replaces each ${name} once; what the values contain is never a template. Raises KeyError for an unknown name."""
    return _VARIABLE.sub(lambda found: values[found[1]], template)


def units(text: str) -> int:
    """Length in UTF-16 units: what an SMS counts."""
    return len(text.encode("utf-16-le")) // 2


def parts(text: str) -> list[str]:
    """The text as the SMS parts a phone gets; a character of two units is never split. An empty text has no part."""
    if units(text) <= SINGLE_UNITS:
        return [text] if text else []
    cut, filled = [""], 0
    for character in text:
        size = units(character)
        if filled + size > PART_UNITS:
            cut.append("")
            filled = 0
        cut[-1] += character
        filled += size
    return cut


def require_sendable(text: str) -> int:
    """How many parts the text has. Raises TextTooLong past MAX_PARTS (with `parts`, `max_parts`)."""
    count = len(parts(text))
    if count > MAX_PARTS:
        raise TextTooLong("Shorten the tasks: the message has too many parts.", parts=count, max_parts=MAX_PARTS)
    return count


def tasks_line(tasks: Sequence[str], language: Language) -> str:
    """The numbered tasks in one line."""
    joint = "；" if language is Language.ZH else "; "
    return joint.join(f"{number}.{task}" for number, task in enumerate(tasks, 1))


def week_label(monday: date, language: Language) -> str:
    """The week by its number and days, as people read it."""
    sunday, number = monday + timedelta(days=6), monday.isocalendar().week
    if language is Language.ZH:
        return f"第{number}周（{monday.month}月{monday.day}日至{sunday.month}月{sunday.day}日）"
    return f"week {number} ({monday:%d %b} to {sunday:%d %b})"


def moment_label(instant: datetime, language: Language) -> str:
    """An instant as clocks in the county show it."""
    local = instant.astimezone(COUNTY_ZONE)
    return f"{local.month}月{local.day}日{local:%H:%M}" if language is Language.ZH else f"{local:%d %b %H:%M}"
