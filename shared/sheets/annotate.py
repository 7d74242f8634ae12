"""Sends a sheet back to who filled it in: wrong cells coloured, the reason beside the row, a summary in front."""

import datetime as dt
import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.sheets.checks import cell_text, place
from shared.sheets.reader import ERRORS_TITLE, ROW_TITLE, Table, read_book
from shared.sheets.spec import LIMITS, CellError, Limits, RowError, SheetSpec

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

SUMMARY_TITLE = "汇总 Summary"
_WIDTH = 16
_PINK = "#F8C9C4"
_LISTED = 1_000
"""Errors listed one by one in the summary; all stand beside their rows."""
LONGEST = 32_767
"""Characters that a cell of a workbook holds; a longer text is cut, or it would be left out."""
WHOLE_ROWS = 10_000
"""A larger sheet comes back with its wrong rows only: writing 75,000 rows again would take ten seconds."""


def annotate(
    data: bytes,
    specs: Sequence[SheetSpec],
    errors: Sequence[RowError],
    *,
    wrong_only: bool = False,
    limits: Limits = LIMITS,
) -> bytes:
    """An XLSX of the file as it came, with its errors. `wrong_only`: only the rows that were not taken over;
    so it is for sheets of more than WHOLE_ROWS rows in any case.

    Every cell is written as text, so nothing in it can act as a formula when it is opened (= + - @ included).
    The result can be corrected and sent again as it is: its extra columns and its summary are passed over.
    """
    import xlsxwriter  # 50 ms, needed by few processes and late

    tables = [table for table in read_book(data, specs, limits) if table is not None]
    output = io.BytesIO()
    with xlsxwriter.Workbook(
        output, {"constant_memory": True, "strings_to_numbers": False, "strings_to_formulas": False}
    ) as book:
        formats = {
            "head": book.add_format({"bold": True, "bg_color": "#E8EEF4", "text_wrap": True, "num_format": "@"}),
            "text": book.add_format({"num_format": "@", "quote_prefix": True}),
            "wrong": book.add_format({"num_format": "@", "quote_prefix": True, "bg_color": _PINK}),
            "title": book.add_format({"bold": True, "font_size": 14}),
        }
        _summary(book.add_worksheet(SUMMARY_TITLE), tables, errors, formats)
        for table in tables:
            mine = [error for error in errors if error.sheet in ("", table.spec.title)]
            _sheet(
                book.add_worksheet(table.spec.title),
                table,
                mine,
                formats,
                wrong_only=wrong_only or len(table.rows) > WHOLE_ROWS,
            )
    return output.getvalue()


def _summary(
    sheet: "Worksheet", tables: Sequence[Table], errors: Sequence[RowError], formats: "dict[str, Format]"
) -> None:
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, 2, 22)
    sheet.set_column(3, 4, 60)
    lines: list[tuple[Sequence[Any], str]] = [(("导入检查结果 Import report",), "title"), ((), "text")]
    lines.append((("工作表 Sheet", "行数 Rows", "有错误的行 Rows with errors"), "head"))
    for table in tables:
        wrong = {error.row for error in errors if error.sheet in ("", table.spec.title)}
        lines.append(((table.spec.title, str(len(table.rows)), str(len(wrong))), "text"))
    lines += [((), "text"), (("次数 Count", "列 Column", "代码 Code", "说明", "Meaning"), "head")]
    kinds = Counter((error.column, error.code) for error in errors)
    first = {(error.column, error.code): error for error in reversed(errors)}
    for (column, code), count in kinds.most_common():
        lines.append(((str(count), column, code, first[column, code].zh, first[column, code].en), "text"))
    lines += [((), "text"), (("单元格 Cell", "工作表 Sheet", "列 Column", "说明", "Meaning"), "head")]
    by_title = {table.spec.title: table for table in tables}
    for error in errors[:_LISTED]:
        table = by_title.get(error.sheet) or tables[0]
        lines.append(((place(error, table), table.spec.title, error.column, error.zh, error.en), "text"))
    if len(errors) > _LISTED:
        lines.append(((f"… {len(errors) - _LISTED}",), "text"))
    for number, (cells, style) in enumerate(lines):
        for i, cell in enumerate(cells):
            sheet.write_string(number, i, cell, formats[style])


def _sheet(
    sheet: "Worksheet", table: Table, errors: Sequence[RowError], formats: "dict[str, Format]", *, wrong_only: bool
) -> None:
    shown = [i for i, header in enumerate(table.headers) if header and header not in (ERRORS_TITLE, ROW_TITLE)]
    sheet.set_column(0, len(shown) - 1, _WIDTH, formats["text"])
    sheet.set_column(len(shown), len(shown), 8)
    sheet.set_column(len(shown) + 1, len(shown) + 1, 80)
    sheet.freeze_panes(1, 0)
    for column, title in enumerate([*(table.headers[i] for i in shown), ROW_TITLE, ERRORS_TITLE]):
        sheet.write_string(0, column, title, formats["head"])
    index_of = {column.title: table.at.get(column.key) for column in table.spec.columns}
    by_row: dict[int, list[RowError]] = {}
    for error in errors:
        by_row.setdefault(error.row, []).append(error)
    line = 0
    for number, cells in zip(table.numbers, table.rows, strict=True):
        wrong = by_row.get(number, [])
        if wrong_only and not wrong:
            continue
        line += 1
        marked = {index_of.get(error.column) for error in wrong}
        for column, i in enumerate(shown):
            if (shown_text := _shown(cells[i])) or i in marked:
                style = formats["wrong" if i in marked else "text"]
                if shown_text:
                    sheet.write_string(line, column, shown_text, style)
                else:
                    sheet.write_blank(line, column, None, style)
        sheet.write_string(line, len(shown), str(number), formats["text"])
        if wrong:
            reasons = [f"{error.column}：{error.zh} {error.en}" for error in wrong]
            sheet.write_string(line, len(shown) + 1, "\n".join(reasons), formats["wrong"])


def _shown(cell: object) -> str:
    try:
        text = cell_text(cell)
    except CellError:
        text = format(cell, ".0f") if isinstance(cell, int | float) else str(cell)
    return text[:LONGEST] if not isinstance(cell, dt.datetime) else text.removesuffix(" 00:00:00")
