"""Acceptance point 9: files as other programs and people write them, through `daohu import`."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, House, daohu

from demo.cast import COUNTY, STATISTICS
from shared.roles import Role

SHEETS = ROOT / "tests" / "fixtures" / "sheets"


def token_of(house: House) -> str:
    run = daohu("token", "--role", Role.STATISTICS, "--division", COUNTY, "--home", house.home)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture(scope="module")
def with_divisions(house: House) -> House:
    """A house that knows the county's towns and villages."""
    divisions = ROOT / "data" / "divisions" / "divisions-610926-pingli.csv"
    run = daohu("import", "registry/divisions", divisions, DAOHU_SERVER=house.server.url, DAOHU_TOKEN=token_of(house))
    assert run.returncode == 0, run.stdout + run.stderr
    return house


@pytest.mark.parametrize("sheet", sorted(SHEETS.glob("*households*.xlsx")), ids=lambda path: path.name)
def test_a_sheet_of_another_hand_imports(with_divisions: House, sheet: Path) -> None:
    """Written by LibreOffice, or by hand with merged headers, text-typed numbers, trailing blanks and full-width digits."""
    house = with_divisions
    before = len(house.driver.pages(STATISTICS, "/registry/v1/households"))
    run = daohu("import", "registry/households", sheet, DAOHU_SERVER=house.server.url, DAOHU_TOKEN=token_of(house))
    assert run.returncode == 0, run.stdout + run.stderr
    said = re.search(r"(\d+) rows, entered (\d+), 0 wrong", run.stdout)
    assert said, run.stdout
    assert said[1] == said[2] != "0"
    assert len(house.driver.pages(STATISTICS, "/registry/v1/households")) > before


def test_both_fixtures_are_there() -> None:
    """One by LibreOffice with its command beside it, one by hand."""
    assert len(list(SHEETS.glob("*households*.xlsx"))) >= 2
    assert "soffice" in (SHEETS / "libreoffice.sh").read_text()
