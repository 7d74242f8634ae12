"""What comes back (回复): a report, an opt-out, or a message of an unknown number. Pure."""

import unicodedata
from enum import StrEnum

from shared.errors import Forbidden, Refusal

_OPT_OUT = frozenset({"r", "t", "td", "退订"})
"""Words of an opt-out. Source: handbook sms.md."""

_AROUND = " \t\r\n。.,，!！\"'“”"


class InboundKind(StrEnum):
    """What an inbound message turned out to be."""

    REPORT = "report"  # 每周报告
    FURTHER = "further"  # 补充: the week's report is there already
    OPT_OUT = "opt_out"  # 退订
    UNMATCHED = "unmatched"  # 号码不明


class Channel(StrEnum):
    """How a report came."""

    SMS = "sms"
    APP = "app"


class AlreadyReported(Refusal):
    code = "already_reported"


class WeekNotOpen(Refusal):
    code = "week_not_open"


class NotYourReport(Forbidden):
    code = "not_your_report"


class FromTheFuture(Refusal):
    code = "from_the_future"


class TooLongAgo(Refusal):
    code = "too_long_ago"


def readable(text: str) -> str:
    """A message as far as it can be read. Nobody can be asked to send it again without the control character that his gateway put in,
    or without the half of a character at which it cut a long message.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return "".join(c for c in whole if c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cf"))


def is_opt_out(text: str) -> bool:
    """Whether the whole text is a word of opting out, wide or narrow, in any case (退订, T, TD, R)."""
    return unicodedata.normalize("NFKC", text).strip(_AROUND).casefold() in _OPT_OUT
