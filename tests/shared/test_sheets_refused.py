"""Files that are refused as a whole, each with its own code and remedy."""

import csv as csv_writer
import io
import struct
import zipfile
import zlib

import pytest
import xlsxwriter

from shared.sheets import LIMITS, Column, FileTooLarge, Limits, SheetSpec, WrongFile, cells, read

SPEC = SheetSpec(
    "people",
    "人",
    (
        Column("no", ("户编号",), cells.business_no()),
        Column("name", ("姓名",)),
        Column("note", ("备注",), required=False),
    ),
)
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


def code_of(data: bytes, spec: SheetSpec = SPEC, limits: Limits = LIMITS) -> str:
    with pytest.raises((WrongFile, FileTooLarge)) as refusal:
        read(data, spec, limits)
    assert refusal.value.facts["detail_zh"]
    assert refusal.value.detail
    return refusal.value.code


def workbook(*rows: list[str], sheet: str = "人") -> bytes:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        page = book.add_worksheet(sheet)
        for i, row in enumerate(rows):
            page.write_row(i, 0, row)
    return output.getvalue()


GOOD = workbook(["户编号", "姓名"], ["H1", "张三"])


def changed(name: str, part: bytes, *, add: bool = False, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The good workbook with one part replaced or added."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(output, "w", compression) as new:
        for entry in old.namelist():
            new.writestr(entry, part if entry == name else old.read(entry))
        if add:
            new.writestr(name, part)
    return output.getvalue()


def sheet_xml(cells_xml: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as book:
        xml = book.read("xl/worksheets/sheet1.xml").decode()
    return changed("xl/worksheets/sheet1.xml", xml.replace("</sheetData>", f"{cells_xml}</sheetData>").encode())


@pytest.mark.parametrize("data", [b"", b" \r\n\r\n", b"\xef\xbb\xbf", b",,\r\n,,\r\n", workbook()])
def test_an_empty_file(data: bytes) -> None:
    assert code_of(data) == "file_empty"


def test_a_header_without_rows() -> None:
    assert code_of(workbook(["户编号", "姓名"])) == "file_empty"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 ...",
        b"<html><table><tr><td>1</td></tr></table></html>",
        b"\x89PNG\r\n\x1a\n",
        GOOD[:700],
        GOOD[:-200],
    ],
)
def test_other_formats_and_damaged_files(data: bytes) -> None:
    assert code_of(data) == "not_xlsx"


def test_a_zip_that_is_no_workbook() -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    assert code_of(output.getvalue()) == "not_xlsx"


def test_an_old_xls() -> None:
    assert code_of(OLE + "Workbook".encode("utf-16-le")) == "old_xls"


def test_a_workbook_with_a_password() -> None:
    assert code_of(OLE + "EncryptedPackage".encode("utf-16-le")) == "password_protected"


def test_a_workbook_with_macros() -> None:
    assert code_of(changed("xl/vbaProject.bin", b"\xd0\xcf", add=True)) == "has_macros"


def test_a_zip_bomb() -> None:
    assert code_of(changed("xl/media/zeros.bin", bytes(300 << 20), add=True)) == "zip_bomb"


def test_a_zip_bomb_that_lies_about_its_size() -> None:
    """The directory says 10 bytes; the stream holds 64 MiB."""
    data = bytearray(changed("xl/worksheets/sheet1.xml", bytes(64 << 20)))
    true_size, crc = struct.pack("<I", 64 << 20), struct.pack("<I", zlib.crc32(bytes(64 << 20)))
    assert data.count(true_size) == 2
    data = bytearray(
        bytes(data).replace(true_size, struct.pack("<I", 10)).replace(crc, struct.pack("<I", zlib.crc32(bytes(10))))
    )
    assert code_of(bytes(data)) == "zip_bomb"


def test_too_many_entries() -> None:
    output = io.BytesIO(GOOD)
    with zipfile.ZipFile(output, "a") as archive:
        for i in range(LIMITS.entries):
            archive.writestr(f"xl/media/{i}", b"")
    assert code_of(output.getvalue()) == "zip_bomb"


def test_an_xml_bomb() -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    assert code_of(changed("xl/sharedStrings.xml", bomb)) == "xml_bomb"


def test_a_cell_in_the_far_corner_is_refused_before_the_sheet_is_laid_out() -> None:
    assert code_of(sheet_xml('<row r="3"><c r="XFD3"><v>1</v></c></row>')) == "too_many_columns"
    assert code_of(sheet_xml('<row r="1048576"><c r="A1048576"><v>1</v></c></row>')) == "too_many_rows"
    assert code_of(sheet_xml("<row><c><v>1</v></c></row>")) == "not_xlsx"


FAR_CELLS = {
    "small letters": '<c r="xfd1048576"><v>1</v></c>',
    "a tab": '<c\tr="XFD1048576"><v>1</v></c>',
    "a comment": '<c r="XFD1048576"><!-- --><v>1</v></c>',
    "a bracket in a value": '<c x=">" r="XFD1048576"><v>1</v></c>',
    "an ending in a value": '<c x="/>" r="XFD1048576"><v>1</v></c>',
    "blanks around =": '<c r = "XFD1048576"><v>1</v></c>',
    "single quotes": "<c r='XFD1048576'><v>1</v></c>",
    "another prefix": '<x:c xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" r="XFD1048576"><v>1</v></x:c>',
    "no address": '<x:c xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><v>1</v></x:c>' * 2_000,
}


@pytest.mark.parametrize("cell", FAR_CELLS.values(), ids=FAR_CELLS)
def test_a_far_cell_is_found_however_it_is_written(cell: str) -> None:
    """Each of these made the reader ask for terabytes, which ends the whole process."""
    assert code_of(sheet_xml(f'<row r="1048576">{cell}</row>')) in ("too_many_columns", "not_xlsx")


def test_a_far_cell_is_found_in_a_part_that_only_the_reader_takes_for_the_sheet() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as book:
        xml = book.read("xl/worksheets/sheet1.xml")
    far = xml.replace(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    assert code_of(changed("xl/worksheets/SHEET1.xml", far, add=True)) == "zip_bomb"


def test_a_long_text_named_by_every_cell_is_refused_before_it_is_written_out() -> None:
    """30,000 characters in each of 30,000 cells: a file of some kilobytes, and a gigabyte of text."""
    rows = "".join(f'<row r="{r}"><c r="A{r}" t="s"><v>0</v></c></row>' for r in range(3, 30_003))
    data = sheet_xml(rows)
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            part = old.read(entry)
            if entry == "xl/sharedStrings.xml":
                part = part.replace("户编号".encode(), b"x" * 30_000)
            new.writestr(entry, part)
    assert code_of(output.getvalue()) == "zip_bomb"


def test_a_number_of_thousands_of_digits_is_a_refusal_and_no_fault() -> None:
    long, digits = b"x" * 3_000_000, "9" * 5000
    rows = "".join(f'<row r="{r}"><c r="A{r}" t="s"><v>1</v></c></row>' for r in range(3, 200))
    data = sheet_xml(f'{rows}<row r="200"><c r="A200" t="s"><v>{digits}</v></c></row>')
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as new:
        for entry in old.namelist():
            part = old.read(entry)
            new.writestr(entry, part.replace("户编号".encode(), long) if entry == "xl/sharedStrings.xml" else part)
    assert code_of(output.getvalue()) == "not_xlsx"


def test_merged_ranges_that_lie_over_each_other_are_refused() -> None:
    with zipfile.ZipFile(io.BytesIO(GOOD)) as book:
        xml = book.read("xl/worksheets/sheet1.xml").decode()
    ranges = "".join(f'<mergeCell ref="A1:B{n}"/>' for n in range(2, 60_002))
    merged = f'<mergeCells count="60000">{ranges}</mergeCells>'
    data = changed("xl/worksheets/sheet1.xml", xml.replace("</sheetData>", f"</sheetData>{merged}").encode())
    assert code_of(data) == "merged_too_much"


@pytest.mark.parametrize("number", [1e12, 1e15, 1e308])
def test_a_time_no_clock_has_is_a_refusal_and_no_panic(number: float) -> None:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        page = book.add_worksheet("人")
        page.write_row(0, 0, ["户编号", "姓名"])
        page.write_number(1, 0, number, book.add_format({"num_format": "[h]:mm:ss"}))
    assert code_of(output.getvalue()) == "not_xlsx"


def test_a_csv_of_nothing_but_line_breaks_is_empty() -> None:
    assert code_of(b"\n" * 1_000_000) == "file_empty"
    assert len(read("户编号,姓名\nH1,张三\n".encode() + b"\n" * 200_000, SPEC).rows) == 1


def test_a_formatted_but_empty_far_corner_is_harmless() -> None:
    data = sheet_xml('<row r="1048576"><c r="A1048576" s="1"/><c r="XFD1048576" s="1"></c></row>')
    assert len(read(data, SPEC).rows) == 1


def test_64_columns_are_read_and_65_are_not() -> None:
    wide = SheetSpec("w", "w", tuple(Column(f"c{i}", (f"列{i}",)) for i in range(65)))
    narrow = SheetSpec("w", "w", wide.columns[:64])
    for build in (workbook, _csv):
        assert len(read(build([f"列{i}" for i in range(64)], ["x"] * 64), narrow).at) == 64
        assert code_of(build([f"列{i}" for i in range(65)], ["x"] * 65), wide) == "too_many_columns"


def test_a_file_is_read_up_to_its_limit_of_rows_and_not_one_row_beyond() -> None:
    def rows_of(lines: int) -> int | str:
        try:
            return len(read("户编号,姓名\n".encode() + "H1,张三\n".encode() * lines, SPEC, Limits(rows=3)).rows)
        except FileTooLarge as refused:
            return refused.code

    assert [rows_of(3), rows_of(4)] == [3, "too_many_rows"]


def test_a_csv_line_no_columns_could_fill_is_refused_before_it_is_cut_into_cells() -> None:
    head, longest = "户编号,姓名,备注\n", 2 * 64 * (2_000 + 3)
    line = "H1," + "x" * 130_000 + "," + "x" * (longest - 130_000 - 5) + "\n"
    assert len(read((head + line).encode(), SPEC).rows) == 1
    assert code_of((head + "x" + line).encode()) == "too_many_columns"
    assert code_of(b"a," * (1 << 20)) == "too_many_columns"


def test_the_line_of_another_encoding_is_named_however_many_there_are() -> None:
    lines = ["户编号,姓名\n".encode(), *["H1,张三\n".encode("gb18030"), "H1,张三\n".encode()] * 5_000]
    with pytest.raises(WrongFile) as refusal:
        read(b"".join(lines), SPEC)
    assert (refusal.value.code, refusal.value.facts["line"]) == ("encodings_mixed", 2)


def test_100000_rows_are_read_and_100001_are_not() -> None:
    head, row = "户编号,姓名\n".encode(), "H1,张三\n".encode()
    assert len(read(head + row * 100_000, SPEC).rows) == LIMITS.rows == 100_000
    assert code_of(head + row * 100_001) == "too_many_rows"


def test_100001_rows_in_a_workbook_are_refused() -> None:
    assert code_of(workbook(["户编号", "姓名"], *[["H1", "张三"]] * 100_001)) == "too_many_rows"


def test_a_file_beyond_the_bytes() -> None:
    assert code_of(b"x" * 11, limits=Limits(bytes=10)) == "file_too_large"


def test_columns_missing_doubled_unknown_and_without_header() -> None:
    assert code_of(_csv(["户编号", "备注"], ["H1", ""])) == "columns_missing"
    assert code_of(_csv(["户编号", "姓名", "姓 名"], ["H1", "张三", "李四"])) == "columns_doubled"
    assert code_of(_csv(["户编号", "姓名", "电话"], ["H1", "张三", "1"])) == "columns_unknown"
    assert code_of(_csv(["户编号", "姓名", ""], ["H1", "张三", "1"])) == "columns_unknown"


def test_a_refused_column_is_named() -> None:
    with pytest.raises(WrongFile) as refusal:
        read(_csv(["户编号", "备注"], ["H1", ""]), SPEC)
    assert refusal.value.facts["columns"] == ["姓名"]
    with pytest.raises(WrongFile) as refusal:
        read(_csv(["户编号", "姓名", "电话"], ["H1", "张三", "1"]), SPEC)
    assert refusal.value.facts["columns"] == ["C"]


def test_a_file_without_our_header() -> None:
    assert code_of(_csv(["a", "b"], ["1", "2"])) == "header_missing"


def test_a_workbook_without_our_sheet() -> None:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        for title in ("甲", "乙"):
            book.add_worksheet(title).write(0, 0, "x")
    assert code_of(output.getvalue()) == "sheet_missing"


@pytest.mark.parametrize("mark", [";", "\t", "，"])
def test_a_csv_with_another_delimiter(mark: str) -> None:
    assert code_of(f"户编号{mark}姓名\nH1{mark}张三\n".encode()) == "wrong_delimiter"


def test_mixed_encodings_name_the_line() -> None:
    lines = ["户编号,姓名", *[f"H{i},张三丰" for i in range(5)]]
    for usual, strange in (("utf-8", "gb18030"), ("gb18030", "utf-8")):
        data = b"\n".join(line.encode(strange if i == 3 else usual) for i, line in enumerate(lines))
        with pytest.raises(WrongFile) as refusal:
            read(data, SPEC)
        assert (refusal.value.code, refusal.value.facts["line"]) == ("encodings_mixed", 4)


def test_utf16_and_unknown_encodings() -> None:
    assert code_of("户编号,姓名\n".encode("utf-16")) == "encoding_unknown"
    assert code_of(b"\xff\xff,\xfe\xfe\n") == "encoding_unknown"


def test_nul_bytes_name_the_line() -> None:
    with pytest.raises(WrongFile) as refusal:
        read("户编号,姓名\nH1,张\x00三\n".encode(), SPEC)
    assert (refusal.value.code, refusal.value.facts["line"]) == ("nul_bytes", 2)


def test_broken_quotes_name_the_line() -> None:
    with pytest.raises(WrongFile) as refusal:
        read('户编号,姓名\nH1,"张三\n'.encode(), SPEC)
    assert refusal.value.code == "broken_quotes"


def test_whatever_bytes_come_the_answer_is_a_refusal() -> None:
    """A good workbook cut or flipped anywhere is read or refused, never anything else."""
    for at in range(0, len(GOOD), 97):
        for data in (GOOD[:at], GOOD[:at] + bytes([GOOD[at] ^ 0xFF]) + GOOD[at + 1 :]):
            try:
                read(data, SPEC)
            except (WrongFile, FileTooLarge):
                continue


def _csv(*rows: list[str]) -> bytes:
    output = io.StringIO()
    csv_writer.writer(output).writerows(rows)
    return output.getvalue().encode()
