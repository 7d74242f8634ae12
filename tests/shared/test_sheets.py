"""Sheets: what is accepted, which cells are wrong, and that a marked sheet can come back."""

import datetime as dt
import io
from collections.abc import Sequence
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from shared.scope import Level
from shared.sheets import Column, RowError, SheetSpec, annotate, cells, check, read, read_book, template

PEOPLE = SheetSpec(
    "people",
    "人",
    (
        Column("no", ("户编号", "household no"), cells.business_no()),
        Column("name", ("姓名", "name"), cells.text(20), fold=False),
        Column("sex", ("性别", "sex"), cells.one_of({"男": "1", "女": "2", "1": "1", "2": "2"}), choices=("男", "女")),
        Column("born", ("出生日期", "born on"), cells.day, required=False),
        Column("income", ("人均纯收入", "income"), cells.amount_fen(), required=False),
        Column("insured", ("参加医疗保险", "insured"), cells.yes_no, required=False),
    ),
    unique=(("no", "name"),),
)
HEADER = ["户编号", "姓名", "性别", "出生日期", "人均纯收入", "参加医疗保险"]


def xlsx(*rows: Sequence[Any], sheet: str = "人") -> bytes:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        page = book.add_worksheet(sheet)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                page.write(i, j, cell, *([date] if isinstance(cell, dt.date) else []))
    return output.getvalue()


def csv(*rows: Sequence[str], encoding: str = "utf-8") -> bytes:
    return "".join(",".join(row) + "\r\n" for row in rows).encode(encoding)


def errors_of(data: bytes, spec: SheetSpec = PEOPLE) -> list[tuple[int, str, str]]:
    return [(error.row, error.column, error.code) for error in check(read(data, spec)).errors]


def test_every_kind_of_cell_becomes_its_value() -> None:
    """Numbers, dates and booleans, typed as such or as text."""
    data = xlsx(
        HEADER,
        ["h-1", "张三", 1, dt.date(1980, 1, 2), 2952.3, True],
        ["H-2", "李四 ", "女", "1980/1/2", " 2952.30", "否"],
        ["H-3", "王五", "男", 19800102, 2952, ""],
    )
    assert [row.values for row in check(read(data, PEOPLE)).valid] == [
        {"no": "H-1", "name": "张三", "sex": "1", "born": dt.date(1980, 1, 2), "income": 295230, "insured": True},
        {"no": "H-2", "name": "李四", "sex": "2", "born": dt.date(1980, 1, 2), "income": 295230, "insured": False},
        {"no": "H-3", "name": "王五", "sex": "1", "born": dt.date(1980, 1, 2), "income": 295200, "insured": None},
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_csv_reads_in_the_encodings_of_the_county(encoding: str) -> None:
    data = csv(HEADER, ["H1", "张三", "男", "2016-11-01", "", "是"], ["", "", "", "", "", ""], encoding=encoding)
    assert [row.values["name"] for row in check(read(data, PEOPLE)).valid] == ["张三"]


def test_marks_that_turn_the_writing_are_taken_off_and_other_control_characters_refused() -> None:
    """With such marks a name looks like another; Windows puts them around numbers that are copied from it."""
    data = csv(HEADER, ["\u202dH1\u202c", "李\u202e四\u2066", "男"] + [""] * 3, ["H2", "李\x9b四", "男"] + [""] * 3)
    checked = check(read(data, PEOPLE))
    assert [(row.values["no"], row.values["name"]) for row in checked.valid] == [("H1", "李四")]
    assert [(error.row, error.code) for error in checked.errors] == [(3, "control_character")]


def test_full_width_is_folded_where_the_column_says_so() -> None:
    data = csv(HEADER, ["Ｈ１２", "Ａ　三", "１", "２０１６－１１－０１", "", ""])
    row = check(read(data, PEOPLE)).valid[0].values
    assert (row["no"], row["name"], row["sex"], row["born"]) == ("H12", "Ａ　三", "1", dt.date(2016, 11, 1))


def test_titles_and_merged_headers_above_the_rows_are_understood() -> None:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        page = book.add_worksheet("任意名称")
        page.merge_range(0, 0, 0, 4, "平利县贫困人口信息表")
        page.merge_range(1, 0, 2, 0, "户编号*")
        page.merge_range(1, 1, 1, 2, "成员信息")
        page.write_row(2, 1, ["姓 名", "性别（必填）"])
        page.write_row(3, 0, ["H1", "张三", "男"])
    checked = check(read(output.getvalue(), PEOPLE))
    assert [(row.number, row.values["name"]) for row in checked.valid] == [(4, "张三")]


def test_english_headers_in_any_order_are_understood() -> None:
    data = csv(["Sex", "NAME", "household_no"], ["男", "张三", "H1"])
    assert check(read(data, PEOPLE)).valid[0].values["no"] == "H1"


def test_rows_are_numbered_as_in_the_file() -> None:
    """Blank rows between and after do not count as rows, but as lines."""
    data = csv(
        HEADER,
        ["H1", "张三", "男", "", "", ""],
        ["", " ", "", "", "", ""],
        ["H2", "李四", "?", "", "", ""],
        ["", "", "", "", "", ""],
    )
    assert errors_of(data) == [(4, "性别", "not_in_list")]


def test_every_wrong_cell_of_a_row_is_named() -> None:
    data = csv(HEADER, ["H 1", "", "x", "2016-02-30", "1.234", "maybe"])
    assert errors_of(data) == [
        (2, "户编号", "bad_number"),
        (2, "姓名", "required"),
        (2, "性别", "not_in_list"),
        (2, "出生日期", "bad_date"),
        (2, "人均纯收入", "bad_amount"),
        (2, "参加医疗保险", "not_yes_no"),
    ]


def test_no_error_repeats_the_cell() -> None:
    """A cell may hold an ID number: neither language of an error shows it."""
    data = csv(HEADER, ["SECRET!", "SECRET" * 9, "SECRET", "SECRET", "SECRET", "SECRET"])
    assert not [error for error in check(read(data, PEOPLE)).errors if "SECRET" in error.zh + error.en]


def test_a_repeated_key_is_an_error_of_the_later_row() -> None:
    data = csv(
        HEADER, ["H1", "张三", "男", "", "", ""], ["H1", "李四", "男", "", "", ""], ["h1", "张三", "女", "", "", ""]
    )
    checked = check(read(data, PEOPLE))
    assert [(error.row, error.column, error.code) for error in checked.errors] == [(4, "姓名", "duplicate_in_file")]
    assert "第 2 行" in checked.errors[0].zh
    assert [row.number for row in checked.valid] == [2, 3]


def test_what_the_database_knows_takes_rows_out_later() -> None:
    checked = check(read(csv(HEADER, ["H1", "张三", "男", "", "", ""], ["H2", "李四", "男", "", "", ""]), PEOPLE))
    checked = checked.without([checked.error(checked.valid[1], "no", "exists", "已存在。", "Exists.")])
    assert [row.number for row in checked.valid] == [2]
    assert (checked.rejected, checked.errors[0].column) == (1, "户编号")


def test_a_formula_is_an_error_of_its_cell() -> None:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        page = book.add_worksheet("人")
        page.write_row(0, 0, HEADER)
        page.write_row(1, 0, ["H1", "张三", "男"])
        page.write_formula(1, 4, "=1000+1952", None, 2952)
        page.write_row(2, 0, ["H2", "李四", "男"])
    assert errors_of(output.getvalue()) == [(2, "人均纯收入", "formula_found")]


def test_a_merged_cell_among_the_rows_is_an_error_of_the_rows_it_hides() -> None:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        page = book.add_worksheet("人")
        page.write_row(0, 0, HEADER)
        page.write_row(1, 1, ["张三", "男"])
        page.write_row(2, 1, ["李四", "男"])
        page.merge_range(1, 0, 2, 0, "H1")
    assert errors_of(output.getvalue()) == [(3, "户编号", "merged_cell")]


def test_a_long_number_that_lost_its_digits_is_an_error() -> None:
    numbers = SheetSpec("n", "n", (Column("id", ("证件号码",)),))
    assert errors_of(xlsx(["证件号码"], [990926198001011234], sheet="n"), numbers) == [(2, "证件号码", "digits_lost")]
    assert errors_of(b"\xe8\xaf\x81\xe4\xbb\xb6\xe5\x8f\xb7\xe7\xa0\x81\n9.90926E+17\n", numbers) == [
        (2, "证件号码", "digits_lost")
    ]


def test_a_cell_may_hold_2000_characters_and_no_more() -> None:
    notes = SheetSpec("n", "n", (Column("note", ("备注",)),))
    data = csv(["备注"], ["字" * 2000], ["字" * 2001])
    assert errors_of(data, notes) == [(3, "备注", "cell_too_long")]


def test_control_characters_are_an_error() -> None:
    assert errors_of(csv(HEADER, ["H1", "张\x07三", "男", "", "", ""])) == [(2, "姓名", "control_character")]


def test_divisions_are_checked_by_form_and_level() -> None:
    village = cells.division(Level.VILLAGE)
    spec = SheetSpec("d", "d", (Column("division", ("行政区划代码",), village),))
    data = csv(["行政区划代码"], ["610926100201"], ["610926100000"], ["61092610"])
    assert errors_of(data, spec) == [(3, "行政区划代码", "wrong_level"), (4, "行政区划代码", "bad_division")]


def test_two_sheets_of_one_workbook_are_told_apart_by_name() -> None:
    homes = SheetSpec("households", "户", (Column("no", ("户编号",)),))
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        book.add_worksheet("说明").write(0, 0, "请填写")
        people, households = book.add_worksheet("人"), book.add_worksheet("户")
        people.write_row(0, 0, HEADER)
        people.write_row(1, 0, ["H1", "张三", "男"])
        households.write_column(0, 0, ["户编号", "H1"])
    tables = read_book(output.getvalue(), (homes, PEOPLE))
    assert [table and table.rows[0][0] for table in tables] == ["H1", "H1"]
    assert read_book(csv(["户编号"], ["H1"]), (homes, PEOPLE))[1] is None


def test_the_annotated_sheet_shows_the_errors_and_can_be_sent_again() -> None:
    data = csv(HEADER, ["H1", "=1+1", "男", "", "", ""], ["H2", "李四", "x", "2016-11-01", "", ""])
    errors = check(read(data, PEOPLE)).errors
    sent_back = annotate(data, (PEOPLE,), errors)
    book = openpyxl.load_workbook(io.BytesIO(sent_back))
    assert book.sheetnames == ["汇总 Summary", "人"]
    page = book["人"]
    assert page["C3"].fill.start_color.rgb == "FFF8C9C4"
    assert (page["B2"].value, page["B2"].data_type, page["B2"].quotePrefix) == ("=1+1", "s", True)
    assert "男、女" in page["H3"].value
    assert page["G3"].value == "3"
    assert "C3" in [cell.value for cell in book["汇总 Summary"]["A"]]
    assert errors_of(sent_back) == [(3, "性别", "not_in_list")]


def test_only_the_wrong_rows_are_sent_back_when_the_good_ones_were_taken() -> None:
    data = csv(HEADER, ["H1", "张三", "男", "", "", ""], ["H2", "李四", "x", "", "", ""])
    back = annotate(data, (PEOPLE,), [RowError(3, "性别", "not_in_list", "不对", "wrong", sheet="人")], wrong_only=True)
    assert [row[0] for row in openpyxl.load_workbook(io.BytesIO(back))["人"].values] == ["户编号", "H2"]


def test_the_template_is_an_empty_sheet_of_the_kind() -> None:
    data = template((PEOPLE,))
    page = openpyxl.load_workbook(io.BytesIO(data))["人"]
    assert [cell.value for cell in page[1]] == HEADER
    assert page["A1"].comment is not None
    assert page.column_dimensions["A"].number_format == "@"
