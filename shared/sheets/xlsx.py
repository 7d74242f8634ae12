"""Reads the sheets of an XLSX into rows of raw cells, and finds the cells that hold formulas."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from shared.sheets.archive import SAVE_AS, SAVE_AS_ZH, unpack
from shared.sheets.refusals import MergedTooMuch, NotXlsx, TooManyColumns, TooManyRows, ZipBomb
from shared.sheets.spec import HEADER_ROWS, Limits

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELS = "{http://schemas.openxmlformats.org/package/2006/relationships}"
_R_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"

# A look at the bytes is fast; what it suspects is read as XML.
_SUSPECT = re.compile(rb'<c(?:(?! r=")[\s/>]| r="(?:[A-Za-z]{3}|[C-Zc-z][A-Za-z]|[Bb][M-Zm-z]|[A-Za-z]{1,2}\d{6}))')
"""A cell that does not begin as Excel, WPS and LibreOffice write it, or one beyond column BL, the 64th, or row 99,999."""
_PREFIXED_CELL = re.compile(rb":c[\s/>]")
_PREFIXED_FORMULA = re.compile(rb":f[\s/>]")
_ADDRESS = re.compile(r"([A-Za-z]{1,3})(\d{1,9})")
_NUMBER = re.compile(rb"<v>\+?(\d*)([^<&]*)</v>")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_CELL_OF_FORMULA = re.compile(rb'<(?:\w+:)?c\s(?:[^>]*?\s)?r="([A-Z]{1,3})(\d{1,7})"[^>]*>\s*$')

MAX_MERGED = 100_000
"""Cells under merged ones. A title above a list merges dozens; ranges may lie over each other a million times."""

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
    _paths: dict[str, str]
    _with_formulas: dict[str, bytes]
    _extents: dict[str, tuple[int, int]]
    _limits: Limits

    def grid(self, title: str) -> Grid:
        """Read anew each time: a county's sheet fills a hundred megabytes.

        Raises NotXlsx, ZipBomb, TooManyRows, TooManyColumns or MergedTooMuch.
        """
        path = self._paths[title]
        if path not in self._extents:
            raise _unreadable()
        columns, rows = self._extents[path]
        if columns > self._limits.columns:
            raise too_many_columns(self._limits)
        if rows > self._limits.rows + HEADER_ROWS:
            raise too_many_rows(self._limits)
        # Which part is the sheet of a name could be told to us and to the reader in two ways.
        if any(columns * rows > _most_cells(self._limits) for columns, rows in self._extents.values()):
            raise _swollen(self._limits)
        with _readable():
            sheet = self._book.get_sheet_by_name(title)
            cells = _cells(sheet)
            formulas = _formulas(self._with_formulas[path]) if path in self._with_formulas else frozenset()
            return Grid(title, cells, formulas, _covered(sheet, cells))


def open_workbook(data: bytes, limits: Limits) -> Workbook:
    """Raises NotXlsx (or a kind of it), ZipBomb, XmlBomb. Hidden sheets and charts do not count."""
    parts, packed = unpack(data, limits)
    with _readable():
        extents = _extents(parts, limits)
        paths = _sheet_paths(parts)
        with_formulas = {path: parts[path] for path in extents if _holds_formulas(parts[path])}
        del parts  # a hundred megabytes
        book = CalamineWorkbook.from_filelike(io.BytesIO(packed))
        titles = [
            sheet.name
            for sheet in book.sheets_metadata
            if sheet.typ == SheetTypeEnum.WorkSheet
            and sheet.visible == SheetVisibleEnum.Visible
            and sheet.name in paths
        ]
    return Workbook(titles, book, paths, with_formulas, extents, limits)


def _cells(sheet: CalamineSheet) -> list[list[Cell]]:
    """The rows of a sheet from A1 on. Equal texts are one object: a column of codes takes an eighth of the memory."""
    seen: dict[Cell, Cell] = {}
    once = seen.setdefault
    return [[once(cell, cell) if type(cell) is str else cell for cell in row] for row in sheet.iter_rows()]


@contextmanager
def _readable() -> Iterator[None]:
    """Raises NotXlsx for whatever the readers below stumble over."""
    try:
        yield
    except (CalamineError, ElementTree.ParseError, expat.ExpatError, LookupError, OverflowError, ValueError) as broken:
        raise _unreadable() from broken
    except BaseException as panic:
        # What Rust calls a panic (a date of the year 300,000) is no Exception here, and has no name to be caught by.
        if type(panic).__name__ != "PanicException":
            raise
        raise _unreadable() from panic


def _unreadable() -> NotXlsx:
    return NotXlsx(f"The workbook cannot be read. {SAVE_AS}", f"工作簿无法读取。{SAVE_AS_ZH}")


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


def _most_cells(limits: Limits) -> int:
    return limits.columns * (limits.rows + HEADER_ROWS)


def _extents(parts: Mapping[str, bytes], limits: Limits) -> dict[str, tuple[int, int]]:
    """The columns and rows that the filled cells of each sheet span. Raises NotXlsx, ZipBomb.

    A reader lays a sheet out from A1 to its last cell, and writes a shared text out wherever it is named: one cell in the last
    corner makes seventeen thousand million cells, and a text of 30 kB in each cell of a small file fills any memory.
    """
    texts = [part for name, part in parts.items() if name.lower().endswith("sharedstrings.xml")]
    if sum(part.count(b"<si") + part.count(b":si") for part in texts) > 2 * _most_cells(limits):
        raise _swollen(limits)
    sheets = {name: part for name, part in parts.items() if b"sheetData" in part}
    for xml in sheets.values():
        if _written_out(xml, texts, limits.unzipped_bytes) > limits.unzipped_bytes:
            raise _swollen(limits)
    return {name: _extent(xml) for name, xml in sheets.items()}


def _extent(xml: bytes) -> tuple[int, int]:
    """The last column and row that hold something, from 1; (0, 0) when none of them is suspect. Raises NotXlsx."""
    if not _SUSPECT.search(xml) and not _PREFIXED_CELL.search(xml):
        return 0, 0
    address: str | None = None
    columns, rows = 0, 0

    def begin(tag: str, attributes: dict[str, str], _: int) -> None:
        nonlocal address, columns, rows
        if tag == "c":
            address = attributes.get("r", "")
        elif address is not None and tag in ("v", "is", "f"):
            place = _ADDRESS.fullmatch(address)
            if place is None:
                raise NotXlsx(f"Cells of the sheet have no address. {SAVE_AS}", f"工作表的单元格没有地址。{SAVE_AS_ZH}")
            columns, rows = max(columns, _column(place[1].encode()) + 1), max(rows, int(place[2]))

    _walk(xml, begin)
    return columns, rows


def _written_out(xml: bytes, texts: Sequence[bytes], enough: int) -> int:
    """Bytes of a sheet's shared texts, each counted in every cell that names it; a larger number, unless that is over `enough`."""
    if not texts:
        return 0
    cells = xml.count(b"<v") + xml.count(b":v")
    longest = max((len(piece) for part in texts for piece in part.split(b"si>")), default=0)
    if cells * longest <= enough:
        return cells * longest
    numbers = _NUMBER.findall(xml)
    if len(numbers) < cells:
        return cells * longest
    lengths = [length for part in texts for length in _lengths(part)]
    return sum(lengths[int(n)] for n, rest in numbers if n and not rest and int(n) < len(lengths))


def _lengths(texts: bytes) -> list[int]:
    """Bytes of each shared text, in order. Raises NotXlsx."""
    begins: list[int] = []

    def begin(tag: str, _: dict[str, str], at: int) -> None:
        if tag == "si":
            begins.append(at)

    _walk(texts, begin)
    return [end - start for start, end in pairwise([*begins, len(texts)])]


def _walk(xml: bytes, begin: Callable[[str, dict[str, str], int], None]) -> None:
    """Calls `begin` with each element's name, without its prefix, its attributes and where it begins. Raises NotXlsx."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: begin(
        tag.rpartition(":")[2], attributes, parser.CurrentByteIndex
    )
    with _readable():
        parser.Parse(xml, True)


def _holds_formulas(xml: bytes) -> bool:
    return b"<f" in xml or _PREFIXED_FORMULA.search(xml) is not None


def _formulas(xml: bytes) -> frozenset[tuple[int, int]]:
    found = set()
    for formula in _FORMULA.finditer(xml):
        start = xml.rfind(b"<", 0, formula.start())
        if cell := _CELL_OF_FORMULA.match(xml, start, formula.start()):
            found.add((int(cell[2]) - 1, _column(cell[1])))
    return frozenset(found)


def _covered(sheet: CalamineSheet, rows: list[list[Cell]]) -> frozenset[tuple[int, int]]:
    """Raises MergedTooMuch."""
    hidden: set[tuple[int, int]] = set()
    left_to_take = MAX_MERGED
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        left_to_take -= max(0, min(bottom + 1, len(rows)) - top) * (right + 1 - left)
        if left_to_take < 0:
            raise MergedTooMuch(
                "Too many cells of the sheet are merged. Unmerge them, or use the template.",
                "工作表合并的单元格过多，请取消合并或使用模板。",
                limit=MAX_MERGED,
            )
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


def _swollen(limits: Limits) -> ZipBomb:
    return ZipBomb(
        f"A sheet of the file is far larger than {limits.rows} rows and {limits.columns} columns. Use the template.",
        f"文件中的工作表远远超过 {limits.rows} 行、{limits.columns} 列，请使用模板。",
    )


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
