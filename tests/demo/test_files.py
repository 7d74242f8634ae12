"""The county's files: they read back without an error, the one with bad rows does not, and a seed gives the same bytes."""

from pathlib import Path

import pytest

from demo.county import County, generate
from demo.county.rows import REMARK
from services.assessment.directory.imports import DIRECTORY
from services.funds.payees.imports import PAYEES
from services.notify.contacts.imports import CONTACTS
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from services.registry.measures.imports import MEASURES
from shared.sheets import Checked, SheetSpec, check, read, read_book

SPECS: dict[str, tuple[SheetSpec, ...]] = {
    "divisions": (DIVISIONS,),
    "households": (HOUSEHOLDS, PEOPLE),
    "people": (PEOPLE,),
    "measures": (MEASURES,),
    "payees": (PAYEES,),
    "directory": (DIRECTORY,),
    "contacts": (CONTACTS,),
}


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> County:
    return generate(1, tmp_path_factory.mktemp("county"))


def checked(path: Path, specs: tuple[SheetSpec, ...]) -> list[Checked]:
    data = path.read_bytes()
    tables = read_book(data, specs) if path.suffix == ".xlsx" else [read(data, specs[0])]
    return [check(table) for table in tables if table is not None]


def test_every_file_reads_back_without_an_error(county: County) -> None:
    for file in county.files:
        sheets = checked(file.path, SPECS[file.kind])
        assert [error for sheet in sheets for error in sheet.errors] == []
        assert sum(len(sheet.valid) for sheet in sheets) == file.rows


def test_the_files_hold_the_whole_county(county: County) -> None:
    rows = {kind: sum(file.rows for file in county.of_kind(kind)) for kind in SPECS}
    people = sum(len(household.people) for household in county.households)
    assert rows["households"] + rows["people"] == len(county.households) + people
    assert rows["measures"] == len(county.measures)
    assert rows["directory"] == rows["contacts"] == len(county.cadres)
    assert rows["divisions"] == 166


def test_offices_hand_in_workbooks_and_csv_in_two_encodings(county: County) -> None:
    kinds = {(file.path.suffix, file.encoding) for file in county.of_kind("households")}
    assert kinds == {(".xlsx", ""), (".csv", "utf-8-sig"), (".csv", "gb18030")}


def test_generated_rows_say_that_they_are_ours(county: County) -> None:
    for file in (*county.of_kind("households"), *county.of_kind("measures")):
        first = checked(file.path, SPECS[file.kind])[0]
        assert {row.values["remark"] for row in first.valid} == {REMARK}


def test_the_file_with_bad_rows_shows_each_kind_of_mistake(county: County) -> None:
    assert county.bad_rows is not None
    errors = [error for sheet in checked(county.bad_rows, SPECS["households"]) for error in sheet.errors]
    codes = {error.code for error in errors}
    assert {"bad_amount", "bad_date", "not_in_list", "id_check_digit", "duplicate_in_file"} <= codes


def test_a_seed_gives_the_same_bytes(county: County, tmp_path: Path) -> None:
    again = generate(1, tmp_path)
    for first, second in zip(county.files, again.files, strict=True):
        assert second.path.read_bytes() == first.path.read_bytes(), first.path.name
