"""From the bytes of a file to tables: which sheet, where its header is, which column is which.

What the file is (XLSX or CSV, which encoding) is told from its content; nobody's file name is believed.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.sheets.csv_file import read_csv
from shared.sheets.refusals import (
    ColumnsDoubled,
    ColumnsMissing,
    ColumnsUnknown,
    EmptyFile,
    FileTooLarge,
    HeaderMissing,
    SheetMissing,
    WrongDelimiter,
)
from shared.sheets.spec import HEADER_ROWS, LIMITS, Limits, SheetSpec
from shared.sheets.xlsx import Cell, Grid, Workbook, open_workbook, too_many_rows

ERRORS_TITLE = "错误说明 Errors"
ROW_TITLE = "原行号 Row"
"""Columns that an annotated sheet adds; when it comes back corrected they are passed over."""

_NOISE = re.compile(r"[\s_*:]+|\(必填\)|\(选填\)|\(required\)|\(optional\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet with its columns recognised; cells still raw.

    `at`: column key → index of the cell. `numbers`: the row number in the file of each of `rows`.
    `headers`: as the file has them, by index, blank ones included.
    """

    spec: SheetSpec
    at: dict[str, int]
    headers: list[str]
    rows: list[list[Cell]]
    numbers: list[int]
    formulas: frozenset[tuple[int, int]]
    """(row number in the file, index of the cell)"""
    covered: frozenset[tuple[int, int]]
    limits: Limits


def read(data: bytes, spec: SheetSpec, limits: Limits = LIMITS) -> Table:
    """The one sheet of this kind in a file. Raises a WrongFile or FileTooLarge that says what to do."""
    table = read_book(data, (spec,), limits)[0]
    assert table is not None
    return table


def read_book(data: bytes, specs: Sequence[SheetSpec], limits: Limits = LIMITS) -> list[Table | None]:
    """The sheets of a workbook, one for each spec; the first must be there, others may be missing (None).

    A CSV is the first sheet alone. Raises a WrongFile or FileTooLarge that says what to do.
    """
    return list(read_sheets(data, specs, limits))


def read_sheets(data: bytes, specs: Sequence[SheetSpec], limits: Limits = LIMITS) -> Iterator[Table | None]:
    """`read_book`, one sheet after the other: who drops a table before taking the next never holds two."""
    if len(data) > limits.bytes:
        raise FileTooLarge(
            f"The file is larger than {limits.bytes >> 20} MiB. Split it.",
            f"文件超过 {limits.bytes >> 20} MiB,请拆分。",
            limit=limits.bytes,
        )
    if not data.strip():
        raise EmptyFile("The file is empty.", "文件是空的。")
    if not data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0")):
        yield _table(read_csv(data, limits), specs[0], limits)
        yield from [None] * (len(specs) - 1)
        return
    book = open_workbook(data, limits)
    for n, spec in enumerate(specs):
        grid = _choose(book, spec, alone=len(specs) == 1)
        if n == 0:
            grid = grid or (book.grid(book.titles[0]) if len(book.titles) == 1 else None)
            if grid is None:
                raise SheetMissing(
                    f"The workbook has no sheet named “{spec.title}”. Name it so or use the template.",
                    f"工作簿中没有名为“{spec.title}”的工作表，请改名或使用模板。",
                    sheet=spec.title,
                )
        table = _table(grid, spec, limits) if grid else None
        del grid
        yield table
        del table


def _choose(book: Workbook, spec: SheetSpec, *, alone: bool) -> Grid | None:
    named = {_plain(spec.title), _plain(spec.name)}
    for title in book.titles:
        if _plain(title) in named:
            return book.grid(title)
    if alone:
        filled = [grid for title in book.titles if any(map(_filled, (grid := book.grid(title)).rows))]
        fitting = [grid for grid in filled if _header(grid, spec)]
        if len(fitting) == 1 or len(filled) == 1:
            return (fitting or filled)[0]
    return None


def _table(grid: Grid, spec: SheetSpec, limits: Limits) -> Table:
    where = _header(grid, spec)
    if where is None:
        _explain_missing_header(grid, spec)
    assert where is not None
    first, last = where
    headers = _titles(grid.rows, first, last)
    at = _columns(headers, spec)
    named = [i for i, header in enumerate(headers) if header]
    rows, numbers = [], []
    for number, row in enumerate(grid.rows[last + 1 :], start=last + 2):
        if _filled(row):
            rows.append(row)
            numbers.append(number)
    if len(rows) > limits.rows:
        raise too_many_rows(limits)
    if not rows:
        raise EmptyFile(
            f"The sheet “{spec.title}” has a header but no rows.",
            f"“{spec.title}”表只有表头，没有数据。",
            sheet=spec.title,
        )
    for i in range(len(headers)):
        if i not in named and (stray := next((n for n, row in zip(numbers, rows, strict=True) if _text(row[i])), None)):
            raise ColumnsUnknown(
                f"Row {stray} has something in column {letters(i)}, which has no header. Name the column or clear it.",
                f"第 {stray} 行 {letters(i)} 列有内容但没有表头，请补表头或清空该列。",
                row=stray,
                columns=[letters(i)],
            )
    return Table(
        spec,
        at,
        headers,
        rows,
        numbers,
        frozenset((row + 1, column) for row, column in grid.formulas),
        frozenset((row + 1, column) for row, column in grid.covered),
        limits,
    )


def _header(grid: Grid, spec: SheetSpec) -> tuple[int, int] | None:
    """First and last row of the header: the row, or two rows of merged cells, that names the most columns."""
    known = set(_known(spec))
    best, where = 0, None
    for first in range(min(HEADER_ROWS, len(grid.rows))):
        for last in (first, first + 1):
            if last < len(grid.rows):
                hits = len({_plain(title) for title in _titles(grid.rows, first, last)} & known)
                if hits > best:
                    best, where = hits, (first, last)
    required = sum(column.required for column in spec.columns)
    return where if 2 * best >= required else None


def _titles(rows: list[list[Cell]], first: int, last: int) -> list[str]:
    """The header of each column: of two rows the lower one, or the upper one where a cell was merged downwards."""
    return [_text(low) or _text(high) for low, high in zip(rows[last], rows[first], strict=True)]


def _columns(headers: list[str], spec: SheetSpec) -> dict[str, int]:
    known = _known(spec)
    plain = [_plain(header) for header in headers]
    ours = {_plain(ERRORS_TITLE), _plain(ROW_TITLE)}
    unknown = [i for i, title in enumerate(plain) if title and title not in known and title not in ours]
    if unknown:
        names = [f"{letters(i)} “{headers[i][:40]}”" for i in unknown]
        raise ColumnsUnknown(
            f"The sheet “{spec.title}” has columns it should not have: {', '.join(names)}. Remove them or correct their names.",
            f"“{spec.title}”表有不认识的列：{'、'.join(names)}。请删除或改正列名。",
            sheet=spec.title,
            columns=[letters(i) for i in unknown],
        )
    keys = [known[title] for title in plain if title in known]
    doubled = [spec.column(key).title for key, times in Counter(keys).items() if times > 1]
    if doubled:
        raise ColumnsDoubled(
            f"The sheet “{spec.title}” has columns twice: {', '.join(doubled)}. Keep one of each.",
            f"“{spec.title}”表有重复的列：{'、'.join(doubled)}。每列只保留一个。",
            sheet=spec.title,
            columns=doubled,
        )
    missing = [column.title for column in spec.columns if column.required and column.key not in keys]
    if missing:
        raise ColumnsMissing(
            f"The sheet “{spec.title}” lacks columns: {', '.join(missing)}. Use the template.",
            f"“{spec.title}”表缺少列：{'、'.join(missing)}。请使用模板。",
            sheet=spec.title,
            columns=missing,
        )
    return {known[title]: i for i, title in enumerate(plain) if title in known}


def _explain_missing_header(grid: Grid, spec: SheetSpec) -> None:
    if not grid.rows or not any(map(_filled, grid.rows)):
        raise EmptyFile(f"The sheet “{spec.title}” is empty.", f"“{spec.title}”表是空的。", sheet=spec.title)
    for line, row in enumerate(grid.rows[:HEADER_ROWS], start=1):
        for mark in (";", "\t", "|", "，"):
            titles = [piece for cell in row for piece in _text(cell).split(mark)]
            if len(titles) > len(row) and _header(Grid("", [titles]), spec):
                raise WrongDelimiter(
                    "The columns are not parted by commas. Save it again as CSV with commas.",
                    "各列不是用英文逗号分隔的，请另存为逗号分隔的 CSV。",
                    line=line,
                )
    raise HeaderMissing(
        f"No header of the sheet “{spec.title}” was found in its first {HEADER_ROWS} rows. Use the template.",
        f"在前 {HEADER_ROWS} 行没有找到“{spec.title}”表的表头，请使用模板。",
        sheet=spec.title,
        columns=[column.title for column in spec.columns if column.required],
    )


def _known(spec: SheetSpec) -> dict[str, str]:
    return {_plain(title): column.key for column in spec.columns for title in column.titles}


def _plain(title: str) -> str:
    """A header without blanks, stars and notes like （必填）, wide letters made plain, case ignored."""
    return _NOISE.sub("", unicodedata.normalize("NFKC", title)).casefold()


def _text(cell: Cell) -> str:
    return cell.strip() if isinstance(cell, str) else str(cell)


def _filled(row: Sequence[Cell]) -> bool:
    blank = row.count("")
    return blank < len(row) and (2 * blank < len(row) or any(map(_text, row)))


def letters(index: int) -> str:
    """0 → A, 26 → AA: how a spreadsheet names the column."""
    return "".join(_letters(index))


def _letters(index: int) -> Iterator[str]:
    if index >= 26:
        yield from _letters(index // 26 - 1)
    yield chr(65 + index % 26)
