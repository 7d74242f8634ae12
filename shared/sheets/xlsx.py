"""Reads the sheets of an XLSX into rows of raw cells, and finds the cells that hold formulas."""

import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from shared.sheets.archive import SAVE_AS, SAVE_AS_ZH, repack, unpack
from shared.sheets.refusals import NotXlsx, TooManyColumns, TooManyRows
from shared.sheets.spec import HEADER_ROWS, Limits

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELS = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

# A look at the references alone is fast; what it suspects is looked at cell by cell.
_FAR = re.compile(rb' r="(?:[A-Z]{3,}\d|[C-Z][A-Z]\d|B[M-Z]\d|[A-Z]{1,2}\d{6})')
_CELL = re.compile(rb"<(?:\w+:)?c(?:\s[^>]*)?>")
_REF = re.compile(rb'\sr="([A-Z]{1,3})(\d{1,7})"')
_VALUE = re.compile(rb"\s*<(?:\w+:)?(?:v|is|f)[\s>/]")
_PREFIXED = re.compile(rb"<\w+:sheetData[\s>/]")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_CELL_OF_FORMULA = re.compile(rb'<(?:\w+:)?c\s(?:[^>]*?\s)?r="([A-Z]{1,3})(\d{1,7})"[^>]*>\s*$')

Cell = Any
"""str, int, float, bool, date, datetime, time or timedelta as calamine gives them; an empty cell is ''."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A sheet as it lies in the file: cells from A1 on, all rows equally long."""

    title: str
    rows: list[list[Cell]]
    formulas: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of cells with a formula, from 0"""
    covered: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of cells hidden under a merged one, from 0"""


@dataclass(slots=True)
class Workbook:
    """An XLSX whose archive was checked. Sheets are read when asked for."""

    titles: list[str]
    _book: CalamineWorkbook
    _parts: dict[str, bytes]
    _paths: dict[str, str]
    _limits: Limits
    _grids: dict[str, Grid] = field(default_factory=dict)

    def grid(self, title: str) -> Grid:
        """Raises TooManyRows or TooManyColumns."""
        if title not in self._grids:
            self._grids[title] = self._read(title)
        return self._grids[title]

    def _read(self, title: str) -> Grid:
        xml = self._parts.get(self._paths[title], b"")
        _refuse_far_cells(xml, self._limits)
        try:
            sheet = self._book.get_sheet_by_name(title)
            rows: list[list[Cell]] = sheet.to_python(skip_empty_area=False)
        except CalamineError as broken:
            raise NotXlsx(f"The sheet cannot be read. {SAVE_AS}", f"工作表无法读取。{SAVE_AS_ZH}") from broken
        return Grid(title, rows, _formulas(xml), _covered(sheet, rows))


def open_workbook(data: bytes, limits: Limits) -> Workbook:
    """Raises NotXlsx (or a kind of it), ZipBomb, XmlBomb. Hidden sheets and charts do not count."""
    parts = unpack(data, limits)
    try:
        book = CalamineWorkbook.from_filelike(repack(parts))
        paths = _sheet_paths(parts)
        titles = [
            sheet.name
            for sheet in book.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
            and sheet.visible == SheetVisibleEnum.Visible
            and sheet.name in paths
        ]
    except (CalamineError, ElementTree.ParseError, KeyError) as broken:
        raise NotXlsx(f"The workbook cannot be read. {SAVE_AS}", f"工作簿无法读取。{SAVE_AS_ZH}") from broken
    return Workbook(titles, book, parts, paths, limits)


def _sheet_paths(parts: dict[str, bytes]) -> dict[str, str]:
    """Sheet title → its part in the archive."""
    targets = {
        relation.get("Id"): relation.get("Target", "")
        for relation in ElementTree.fromstring(parts["xl/_rels/workbook.xml.rels"]).iter(f"{_RELS}Relationship")  # noqa: S314 DTDs were refused
    }
    sheets = ElementTree.fromstring(parts["xl/workbook.xml"]).iter(f"{_MAIN}sheet")  # noqa: S314 DTDs were refused
    paths = {}
    for sheet in sheets:
        target = targets.get(sheet.get(_R_ID)) or ""
        paths[sheet.get("name", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return paths


def _refuse_far_cells(xml: bytes, limits: Limits) -> None:
    """One filled cell in the last corner of a sheet would make a reader lay out seventeen thousand million cells."""
    if _plain(xml) and not _FAR.search(xml):
        return
    row_limit = limits.rows + HEADER_ROWS
    for cell in _CELL.finditer(xml):
        if cell[0].endswith(b"/>") or not _VALUE.match(xml, cell.end()):
            continue
        reference = _REF.search(cell[0])
        if reference is None:
            raise NotXlsx(f"Cells of the sheet have no address. {SAVE_AS}", f"工作表的单元格没有地址。{SAVE_AS_ZH}")
        if _column(reference[1]) >= limits.columns:
            raise too_many_columns(limits)
        if int(reference[2]) > row_limit:
            raise too_many_rows(limits)


def _plain(xml: bytes) -> bool:
    """Whether every cell begins as Excel, WPS and LibreOffice write it, so that a look at the bytes is enough."""
    return xml.count(b'<c r="') == xml.count(b"<c ") + xml.count(b"<c>") and not _PREFIXED.search(xml, 0, 4096)


def _formulas(xml: bytes) -> frozenset[tuple[int, int]]:
    if _plain(xml) and not any(mark in xml for mark in (b"<f>", b"<f ", b"<f/")):
        return frozenset()
    found = set()
    for formula in _FORMULA.finditer(xml):
        start = xml.rfind(b"<", 0, formula.start())
        if cell := _CELL_OF_FORMULA.match(xml, start, formula.start()):
            found.add((int(cell[2]) - 1, _column(cell[1])))
    return frozenset(found)


def _covered(sheet: CalamineSheet, rows: list[list[Cell]]) -> frozenset[tuple[int, int]]:
    hidden = set()
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        for row in range(top, min(bottom + 1, len(rows))):
            for column in range(left, min(right + 1, len(rows[row]))):
                hidden.add((row, column))
        hidden.discard((top, left))
    return frozenset(hidden)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def too_many_rows(limits: Limits) -> TooManyRows:
    return TooManyRows(
        f"The sheet has more than {limits.rows} rows. Split it and send the parts one after the other.",
        f"工作表超过 {limits.rows} 行，请拆分后分次上传。",
        limit=limits.rows,
    )


def too_many_columns(limits: Limits) -> TooManyColumns:
    return TooManyColumns(
        f"The sheet has more than {limits.columns} columns. Use the template.",
        f"工作表超过 {limits.columns} 列，请使用模板。",
        limit=limits.columns,
    )
