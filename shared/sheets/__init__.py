"""Sheets (表格): XLSX and CSV files that the county sends, checked cell by cell and sent back with their errors marked."""

from shared.sheets.annotate import annotate
from shared.sheets.checks import RowRule, check
from shared.sheets.reader import Table, read, read_book, read_sheets
from shared.sheets.refusals import FileTooLarge, WrongFile
from shared.sheets.spec import LIMITS, CellError, Checked, Column, Limits, RowError, SheetSpec, ValidRow
from shared.sheets.template import template

__all__ = [
    "LIMITS",
    "CellError",
    "Checked",
    "Column",
    "FileTooLarge",
    "Limits",
    "RowError",
    "RowRule",
    "SheetSpec",
    "Table",
    "ValidRow",
    "WrongFile",
    "annotate",
    "check",
    "read",
    "read_book",
    "read_sheets",
    "template",
]
