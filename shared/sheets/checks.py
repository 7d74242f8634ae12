"""Checks every cell of a table, column by column, and sorts rows into good and wrong ones. All errors are found in one go."""

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from shared.sheets.reader import Table, letters
from shared.sheets.spec import CellError, Checked, Column, RowError, SheetSpec, ValidRow
from shared.sheets.xlsx import Cell

RowRule = Callable[[ValidRow], Sequence[RowError]]
"""A rule over several cells of one row; it gets rows whose cells are all good."""

_EXACT = 10**15
"""A spreadsheet keeps 15 digits of a number; what lies beyond was lost when it was typed."""
_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[eE]\+?\d{2}")
_INVISIBLE = dict.fromkeys(
    map(ord, "\u200b\u200c\u200d\u2060\ufeff\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)
"""Of no width, or turning the direction of writing: Windows puts some around numbers that are copied from it."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]|_x00[01][0-9A-Fa-f]_")

_REQUIRED = CellError("required", "必填，不能为空。", "Required; fill it in.")
_FORMULA = CellError(
    "formula_found",
    "单元格是公式，请改为数值（复制后选择性粘贴为值）。",
    "The cell holds a formula; paste its value instead.",
)
_MERGED = CellError(
    "merged_cell", "单元格被合并，请取消合并并逐行填写。", "The cell is merged; unmerge it and fill in each row."
)
_DIGITS_LOST = CellError(
    "digits_lost",
    "按数字录入，末尾数字已丢失，请将列设为文本后重新录入。",
    "Typed as a number, its last digits are lost; set the column to text and type it again.",
)
_CONTROL_CHARACTER = CellError(
    "control_character", "含有看不见的控制字符，请重新录入。", "It holds invisible control characters; type it again."
)
_UNREADABLE = CellError("unreadable", "无法识别，请按模板填写。", "It cannot be read; fill it in as the template says.")


def check(table: Table, rules: Sequence[RowRule] = ()) -> Checked:
    """Reads every cell; then looks for repetitions within the file (`spec.unique`), then applies the row rules.

    What only the database knows comes after it: see `Checked.without`. Errors are in the order of rows.
    """
    spec = table.spec
    found: dict[tuple[int, int], CellError] = {}  # (index of the row, index of the column in the spec)
    columns = [_read_column(table, i, column, found) for i, column in enumerate(spec.columns)]
    bad = {row for row, _ in found}
    keys = [column.key for column in spec.columns]
    good = [
        ValidRow(number, dict(zip(keys, values, strict=True)))
        for i, (number, values) in enumerate(zip(table.numbers, zip(*columns, strict=True), strict=True))
        if i not in bad
    ]
    errors = [
        RowError(table.numbers[row], spec.columns[column].title, error.code, error.zh, error.en, sheet=spec.title)
        for (row, column), error in sorted(found.items(), key=lambda item: item[0])
    ]
    checked = Checked(spec, good, errors)
    checked = checked.without(_repeated(checked, table, columns))
    return checked.without([error for row in checked.valid for rule in rules for error in rule(row)])


def cell_text(cell: Cell) -> str:
    """A cell as a person reads it: 12.0 → "12", a date → "2016-11-01". Raises CellError when digits were lost."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int | float):
        if not abs(cell) < _EXACT:  # nor is "not a number" below it
            raise _DIGITS_LOST
        return str(int(cell)) if cell == int(cell) else format(cell, ".15g")
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(sep=" ")
    return str(cell)


def _read_column(table: Table, index: int, column: Column, found: dict[tuple[int, int], CellError]) -> list[Any]:
    at = table.at.get(column.key)
    if at is None:
        return [None] * len(table.rows)
    cells = [row[at] for row in table.rows]
    # The same cell reads the same: most columns hold a few codes again and again. Of other kinds than text 1 equals 1.0 and True.
    keys: list[Any] = cells if set(map(type, cells)) == {str} else [(type(cell), cell) for cell in cells]
    read = {
        key: _read_cell(cell, column, table.limits.cell) for key, cell in dict(zip(keys, cells, strict=True)).items()
    }
    values = [read[key] for key in keys]
    if any(type(value) is CellError for value in read.values()):
        # One of a kind stands for all: each holds the frames it came through.
        kinds: dict[tuple[str, str, str], CellError] = {}
        for i, value in enumerate(values):
            if type(value) is CellError:
                found[i, index] = kinds.setdefault((value.code, value.zh, value.en), value)
                values[i] = None
    _mark(table, index, at, table.covered, _MERGED, found)
    _mark(table, index, at, table.formulas, _FORMULA, found)
    return values


def _read_cell(cell: Cell, column: Column, longest: int) -> Any:
    """The value, None for an empty cell, or the CellError itself."""
    try:
        text = cell_text(cell)
        if not text.isascii():
            text = (unicodedata.normalize("NFKC", text) if column.fold else text).translate(_INVISIBLE)
        text = text.strip()
        if not text:
            return _REQUIRED if column.required else None
        if len(text) > longest:
            return CellError("cell_too_long", f"超过 {longest} 个字符。", f"Longer than {longest} characters.")
        if _CONTROL.search(text):
            return _CONTROL_CHARACTER
        if column.fold and _SCIENTIFIC.fullmatch(text):
            return _DIGITS_LOST
        return column.parse(text)
    except CellError as error:
        return error
    except (ValueError, OverflowError):
        return _UNREADABLE


def _mark(
    table: Table,
    index: int,
    at: int,
    cells: frozenset[tuple[int, int]],
    error: CellError,
    found: dict[tuple[int, int], CellError],
) -> None:
    wanted = {number for number, column in cells if column == at}
    if wanted:
        found.update({(i, index): error for i, number in enumerate(table.numbers) if number in wanted})


def _repeated(checked: Checked, table: Table, columns: list[list[Any]]) -> list[RowError]:
    """Later rows that repeat the key of an earlier one, wrong in other cells or not."""
    spec = checked.spec
    errors = []
    for group in spec.unique:
        at = [index for index, column in enumerate(spec.columns) if column.key in group]
        first: dict[tuple[Any, ...], int] = {}
        for number, key in zip(table.numbers, zip(*(columns[index] for index in at), strict=True), strict=True):
            if None in key:
                continue
            if (earlier := first.setdefault(key, number)) != number:
                errors.append(_repetition(spec, at[-1], number, earlier))
    return errors


def _repetition(spec: SheetSpec, index: int, number: int, earlier: int) -> RowError:
    title = spec.columns[index].title
    return RowError(
        number,
        title,
        "duplicate_in_file",
        f"与本文件第 {earlier} 行重复，请只保留一行。",
        f"Repeats row {earlier} of this file; keep one of them.",
        sheet=spec.title,
    )


def place(error: RowError, table: Table) -> str:
    """The cell an error speaks of, as the spreadsheet names it, e.g. C12."""
    key = next(column.key for column in table.spec.columns if column.title == error.column)
    return f"{letters(table.at[key])}{error.row}" if key in table.at else str(error.row)
