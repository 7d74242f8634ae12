"""Readers of cells: each takes the text of a filled cell and gives its value, or raises CellError with a remedy."""

import datetime as dt
import re
from collections.abc import Mapping

from shared import money, scope
from shared.sheets.spec import CellError, Parse

EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2100, 12, 31)
"""Dates outside were mistyped."""

_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?|(\d{4})(\d{2})(\d{2})")
_WHOLE = re.compile(r"-?\d{1,15}")


def text(longest: int = 200) -> Parse:
    """Any text of at most so many characters."""

    def parse(cell: str) -> str:
        if len(cell) > longest:
            raise CellError("too_long", f"超过 {longest} 个字。", f"Longer than {longest} characters.")
        return cell

    return parse


def business_no(longest: int = 32) -> Parse:
    """A number the county gave (户编号 and the like): letters, digits, dashes; upper case."""

    def parse(cell: str) -> str:
        if len(cell) > longest or not cell.replace("-", "").isalnum() or not cell.isascii():
            raise CellError(
                "bad_number",
                f"只能是字母、数字和横线，最多 {longest} 位。",
                f"Only letters, digits and dashes, at most {longest}.",
            )
        return cell.upper()

    return parse


def whole(least: int, most: int) -> Parse:
    """A whole number between the two."""

    def parse(cell: str) -> int:
        value = int(cell) if _WHOLE.fullmatch(cell) else None
        if value is None or not least <= value <= most:
            raise CellError(
                "bad_whole", f"请填 {least} 到 {most} 的整数。", f"Fill in a whole number from {least} to {most}."
            )
        return value

    return parse


def amount_fen(most_yuan: int = 10**9) -> Parse:
    """An amount in yuan with at most two decimals → fen."""

    def parse(cell: str) -> int:
        try:
            value = money.fen(cell.replace(",", ""))
        except ValueError:
            value = -1
        if not 0 <= value <= most_yuan * 100:
            raise CellError(
                "bad_amount", "请填金额（元）,最多两位小数。", "Fill in an amount in yuan with at most two decimals."
            )
        return value

    return parse


def day(cell: str) -> dt.date:
    """2016-11-01, 2016/11/1, 2016.11.1, 2016年11月1日 or 20161101."""
    if found := _DAY.fullmatch(cell.removesuffix(" 00:00:00")):
        year, month, date = (int(part) for part in found.groups() if part)
        try:
            value = dt.date(year, month, date)
        except ValueError:
            value = None
        if value and EARLIEST <= value <= LATEST:
            return value
    raise CellError("bad_date", "日期应如 2016-11-01。", "Write the date like 2016-11-01.")


def one_of(values: Mapping[str, str]) -> Parse:
    """One of the accepted words or codes → the value it stands for. "01" may have been typed as the number 1."""
    known = {word.casefold(): value for word, value in values.items()}
    known |= {
        str(int(word)): value for word, value in values.items() if word.isdecimal() and str(int(word)) not in known
    }
    shown = list(dict.fromkeys(word for word in values if not word.isascii())) or list(values)
    most = 12
    zh = "、".join(shown[:most]) + ("等" if len(shown) > most else "")

    def parse(cell: str) -> str:
        try:
            return known[cell.casefold()]
        except KeyError:
            raise CellError(
                "not_in_list", f"应为其中之一：{zh}。", f"Not one of the list: {', '.join(shown[:most])}."
            ) from None

    return parse


_YES = {"是": True, "有": True, "y": True, "yes": True, "true": True, "1": True, "√": True}
_NO = {"否": False, "无": False, "没有": False, "n": False, "no": False, "false": False, "0": False, "×": False}


def yes_no(cell: str) -> bool:
    """是 or 否."""
    try:
        return {**_YES, **_NO}[cell.casefold()]
    except KeyError:
        raise CellError("not_yes_no", "请填“是”或“否”。", "Fill in 是 (yes) or 否 (no).") from None


def division(*levels: scope.Level) -> Parse:
    """A 12-digit division code, of these levels if any are given. Source: standards.md 7.1."""

    def parse(cell: str) -> str:
        if not scope.is_division(cell):
            raise CellError("bad_division", "应为 12 位行政区划代码。", "Fill in the 12-digit division code.")
        if levels and scope.level_of(cell) not in levels:
            names = ", ".join(levels)
            raise CellError(
                "wrong_level", "行政区划级别不对。", f"A division of another level is needed here: {names}."
            )
        return cell

    return parse
