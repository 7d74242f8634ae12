"""What a sheet (表) should look like: its columns, how a cell is read, and what an error of a cell says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Parse = Callable[[str], Any]
"""Reads the text of a filled cell. Raises CellError when it is wrong; the text itself never goes into the error."""


class CellError(ValueError):
    """What is wrong with a cell: a stable code and a remedy in Chinese and English. It never repeats the cell: it may be personal."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(code)
        self.code, self.zh, self.en = code, zh, en


@dataclass(frozen=True, slots=True)
class Column:
    """A column (列). `titles`: headers it is known by, the template's first, then other Chinese and English ones.

    `required`: the column must be there and filled in every row. `fold`: full-width digits and letters count as plain ones
    (NFKC); not for names. `choices`: what the template offers in its drop-down.
    """

    key: str
    titles: tuple[str, ...]
    parse: Parse = str
    required: bool = True
    fold: bool = True
    help: str = ""
    choices: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.titles[0]


@dataclass(frozen=True, slots=True)
class SheetSpec:
    """A sheet (表): `name` in English, `title` its name in the workbook.

    `unique`: keys of columns whose filled values must not repeat within the file (each group together).
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...] = ()

    def column(self, key: str) -> Column:
        return next(column for column in self.columns if column.key == key)


@dataclass(frozen=True, slots=True)
class RowError:
    """One wrong cell: `row` as the spreadsheet numbers it, `column` its title, a stable code, the remedy in both languages."""

    row: int
    column: str
    code: str
    zh: str
    en: str
    sheet: str = ""


@dataclass(frozen=True, slots=True)
class ValidRow:
    """A row that passed: its number in the file and its values by column key (None where an optional cell is empty)."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came out of a sheet: good rows, and every error of the others, in the order of the file."""

    spec: SheetSpec
    valid: list[ValidRow]
    errors: list[RowError] = field(default_factory=list)

    @property
    def rejected(self) -> int:
        return len({error.row for error in self.errors})

    def without(self, errors: list[RowError]) -> "Checked":
        """The same after a further look (at the database, at another sheet) found more errors: their rows are no longer good."""
        if not errors:
            return self
        bad = {error.row for error in errors}
        return Checked(
            self.spec,
            [row for row in self.valid if row.number not in bad],
            sorted([*self.errors, *errors], key=lambda error: error.row),
        )

    def error(self, row: ValidRow, key: str, code: str, zh: str, en: str) -> RowError:
        """An error at a column of a good row, for `without`."""
        return RowError(row.number, self.spec.column(key).title, code, zh, en, sheet=self.spec.title)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may hold. Beyond any of these it is refused before it is read."""

    bytes: int = 32 << 20
    rows: int = 100_000
    """data rows a sheet, without headers and blank rows"""
    columns: int = 64
    cell: int = 2_000
    """characters"""
    entries: int = 500
    """files inside an XLSX"""
    unzipped_bytes: int = 256 << 20
    ratio: int = 250
    """an entry of an XLSX may unzip to so many times its size; spreadsheets reach about 60"""


LIMITS = Limits()

HEADER_ROWS = 10
"""How far down the header may begin: titles and notes stand above it."""
