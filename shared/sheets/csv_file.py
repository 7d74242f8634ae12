"""Reads a CSV: UTF-8 with or without BOM, or GB18030 as Excel in China writes it. Never both in one file."""

import csv
import io
from collections.abc import Iterator

from shared.sheets.refusals import BrokenQuotes, MixedEncodings, NotXlsx, NulBytes, UnknownEncoding
from shared.sheets.spec import HEADER_ROWS, Limits
from shared.sheets.xlsx import Grid, too_many_columns, too_many_rows

_NOT_TEXT = (
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\x1f\x8b",
    b"{\\rtf",
    b"<html",
    b"<!DOCTYPE",
    b"<?xml",
    b"<table",
)
_MOST_LINES = 200_000
"""Lines whose encoding is looked at one by one; no file that is taken over has more of them."""
_ENOUGH = 1_000
"""Lines of both encodings after which nobody needs to see more."""

SAVE_AS_CSV = "Save it again as “CSV UTF-8”."
SAVE_AS_CSV_ZH = "请另存为“CSV UTF-8”后重新上传。"


def read_csv(data: bytes, limits: Limits) -> Grid:
    """Raises UnknownEncoding, MixedEncodings, NulBytes, BrokenQuotes, TooManyRows, TooManyColumns, or NotXlsx for other formats."""
    head = data[:64].lstrip().lower()
    if head.startswith(tuple(mark.lower() for mark in _NOT_TEXT)):
        raise NotXlsx("This is neither XLSX nor CSV. Use the template.", "文件既不是 XLSX 也不是 CSV,请使用模板。")
    text = decode(data)
    rows: list[list[str]] = []
    most = limits.rows + HEADER_ROWS
    reader = csv.reader(_lines(text, limits), strict=True)
    try:
        for row in reader:
            if len(rows) < most:
                rows.append(row)
            elif any(row):
                raise too_many_rows(limits)
    except csv.Error as broken:
        raise BrokenQuotes(
            f"The quotation marks of line {reader.line_num} do not fit. Save the file again from Excel or WPS.",
            f"第 {reader.line_num} 行的引号不成对，请用 Excel 或 WPS 重新保存。",
            line=reader.line_num,
        ) from broken
    while rows and not any(rows[-1]):
        rows.pop()
    width = max(map(len, rows), default=0)
    if width > limits.columns:
        width = max((len(row) for row in rows if any(row[limits.columns :])), default=limits.columns)
        if width > limits.columns:
            raise too_many_columns(limits)
    return Grid("", [row[:width] + [""] * (width - len(row)) for row in rows])


def _lines(text: str, limits: Limits) -> Iterator[str]:
    """The lines of a text. One that is longer than all its columns full is refused before it is cut into millions of cells."""
    longest = 2 * limits.columns * (limits.cell + len('"",'))  # twice: quotes inside of quotes
    for line in io.StringIO(text, newline=""):
        if len(line) > longest:
            raise too_many_columns(limits)
        yield line


def decode(data: bytes) -> str:
    """Raises UnknownEncoding, MixedEncodings or NulBytes, each with the line (from 1)."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnknownEncoding(f"The file is UTF-16. {SAVE_AS_CSV}", f"文件是 UTF-16 编码。{SAVE_AS_CSV_ZH}", line=1)
    if (nul := data.find(b"\x00")) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise NulBytes(
            f"Line {line} holds a NUL byte; the file is damaged or no CSV. {SAVE_AS_CSV}",
            f"第 {line} 行含有 NUL 字节，文件已损坏或不是 CSV。{SAVE_AS_CSV_ZH}",
            line=line,
        )
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_gb18030(data)


def _decode_gb18030(data: bytes) -> str:
    """GB18030 accepts most UTF-8 as rare characters, so each line is asked which of the two it is."""
    utf8: list[int] = []
    gb: list[int] = []
    neither: list[int] = []
    for number, raw in enumerate(io.BytesIO(data), start=1):
        if raw.isascii():
            continue
        if len(utf8) + len(gb) + len(neither) >= _MOST_LINES or (len(utf8) > _ENOUGH and len(gb) > _ENOUGH):
            break
        is_utf8, gb_text = _is_utf8(raw), _as_gb(raw)
        if is_utf8 and (gb_text is None or not _common(gb_text)):
            utf8.append(number)
        elif gb_text is not None:
            gb.append(number)
        else:
            neither.append(number)
    if utf8 and (gb or neither):
        line = min((utf8, sorted(gb + neither)), key=lambda lines: (len(lines), -lines[0]))[0]
        raise MixedEncodings(
            f"Line {line} is written in another encoding than the rest. {SAVE_AS_CSV}",
            f"第 {line} 行的编码与其他行不同。{SAVE_AS_CSV_ZH}",
            line=line,
        )
    if neither:
        raise _unknown(neither[0])
    try:
        return data.decode("gb18030")
    except UnicodeDecodeError as error:
        raise _unknown(data.count(b"\n", 0, error.start) + 1) from None


def _unknown(line: int) -> UnknownEncoding:
    return UnknownEncoding(
        f"Line {line} is neither UTF-8 nor GB18030. {SAVE_AS_CSV}",
        f"第 {line} 行既不是 UTF-8 也不是 GB18030。{SAVE_AS_CSV_ZH}",
        line=line,
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _as_gb(line: bytes) -> str | None:
    try:
        return line.decode("gb18030")
    except UnicodeDecodeError:
        return None


def _common(text: str) -> bool:
    """Whether it is made of the 6,763 usual characters of GB 2312: text that was really written in it mostly is."""
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
