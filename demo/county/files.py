"""Writes a county's files: XLSX and CSV (UTF-8 and GB18030), as different offices would hand them in.

The headers are those of the import templates; which columns there are is theirs to say. Same county, same bytes.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import xlsxwriter

from demo.county import rows
from demo.county.model import County, File, Household
from services.assessment.directory.imports import DIRECTORY
from services.funds.payees.imports import PAYEES
from services.notify.contacts.imports import CONTACTS
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from services.registry.measures.imports import MEASURES
from shared.scope import Level, at_level
from shared.sheets import SheetSpec

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV: Final = "text/csv"
UTF8, GB18030 = "utf-8-sig", "gb18030"

CSV_TOWNS = {
    "610926103000": UTF8,
    "610926106000": UTF8,
    "610926107000": UTF8,
    "610926108000": UTF8,
    "610926109000": GB18030,
}
"""Towns whose office keeps CSV instead of a workbook, and in which encoding. The other towns hand in XLSX."""

MADE_ON = datetime(2016, 10, 28, 9, 0)  # noqa: DTZ001  a property of a workbook has no zone
Row = Mapping[str, str]


def write(county: County, out: Path) -> None:
    """Writes every file of the county and notes them in `county.files`, in the order they are to be imported."""
    out.mkdir(parents=True, exist_ok=True)
    writer = _Writer(out)
    writer.csv("divisions", "divisions.csv", DIVISIONS, map(rows.division, county.divisions), UTF8)
    towns = {division.code: division.name for division in county.divisions if division.level == Level.TOWN}
    by_town: dict[str, list[Household]] = defaultdict(list)
    for household in county.households:
        by_town[str(at_level(household.division, Level.TOWN))].append(household)
    for code, households in sorted(by_town.items()):
        homes = [rows.household(household) for household in households]
        people = [rows.person(household, person) for household in households for person in household.people]
        stem = f"{code[6:9]}-{towns[code]}"
        if encoding := CSV_TOWNS.get(code):
            writer.csv("households", f"{stem}-户.csv", HOUSEHOLDS, homes, encoding)
            writer.csv("people", f"{stem}-人.csv", PEOPLE, people, encoding)
        else:
            writer.xlsx("households", f"{stem}.xlsx", [(HOUSEHOLDS, homes), (PEOPLE, people)])
    writer.csv("measures", "measures.csv", MEASURES, map(rows.measure, county.measures), UTF8)
    writer.csv("payees", "payees.csv", PAYEES, map(rows.payee, county.payees), GB18030)
    writer.xlsx("directory", "directory.xlsx", [(DIRECTORY, map(rows.cadre, county.cadres))])
    writer.csv("contacts", "contacts.csv", CONTACTS, map(rows.contact, county.cadres), UTF8)
    county.files = writer.files
    county.bad_rows = out / "bad-rows.xlsx"
    bad_homes, bad_people = rows.bad(county)
    write_xlsx(county.bad_rows, [(HOUSEHOLDS, bad_homes), (PEOPLE, bad_people)])


class _Writer:
    def __init__(self, out: Path) -> None:
        self._out = out
        self.files: list[File] = []

    def csv(self, kind: str, name: str, spec: SheetSpec, given: Iterable[Row], encoding: str) -> None:
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(column.title for column in spec.columns)
        found = [_cells(spec, row) for row in given]
        lines.writerows(found)
        path = self._out / name
        path.write_bytes(text.getvalue().encode(encoding))
        self.files.append(File(kind, path, CSV, encoding, len(found)))

    def xlsx(self, kind: str, name: str, sheets: Sequence[tuple[SheetSpec, Iterable[Row]]]) -> None:
        path = self._out / name
        self.files.append(File(kind, path, XLSX, "", write_xlsx(path, sheets)))


def write_xlsx(path: Path, sheets: Sequence[tuple[SheetSpec, Iterable[Row]]]) -> int:
    """Writes every cell as text: numbers of 18 digits are no numbers. Returns the rows of all sheets."""
    count = 0
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_numbers": False}) as book:
        book.set_properties({"created": MADE_ON, "comments": rows.REMARK})
        for spec, given in sheets:
            sheet = book.add_worksheet(spec.title)
            for column, title in enumerate(spec.columns):
                sheet.write_string(0, column, title.title)
            for line, row in enumerate(given, start=1):
                count += 1
                for column, text in enumerate(_cells(spec, row)):
                    if text:
                        sheet.write_string(line, column, text)
    return count


def _cells(spec: SheetSpec, row: Row) -> list[str]:
    """The cells of a row in the order of the template. A required one must be filled."""
    missing = [column.key for column in spec.columns if column.required and not row.get(column.key)]
    assert not missing, f"{spec.name}: the generator has no value for {missing}"
    return [row.get(column.key, "") for column in spec.columns]
