"""Files that harm: workbooks and CSVs of every kind of import, changed in their cells, their XML, their archive and their bytes."""

import io
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence

import xlsxwriter

from services.assessment.directory.imports import DIRECTORY
from services.funds.payees.imports import PAYEES
from services.notify.contacts.imports import CONTACTS
from services.registry.divisions.imports import DIVISIONS
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from services.registry.measures.imports import MEASURES
from shared import sheets
from shared.sheets import FileTooLarge, SheetSpec, WrongFile
from tests.fuzz.crossed import NASTY
from tests.fuzz.house import Target
from tests.fuzz.judge import Input, Judge, Tally

KINDS: dict[str, tuple[SheetSpec, ...]] = {
    "registry/divisions": (DIVISIONS,),
    "registry/households": (HOUSEHOLDS, PEOPLE),
    "registry/people": (PEOPLE,),
    "registry/measures": (MEASURES,),
    "funds/payees": (PAYEES,),
    "assessment/directory": (DIRECTORY,),
    "notify/contacts": (CONTACTS,),
}
CELLS = (
    *(value for value in NASTY if isinstance(value, str) and "\ud800" not in value and "\udfff" not in value),
    "是", "否", "01", "男", "汉族", "2016-11-01", "42675", "610926101201", "6109261012010001", "610926199001011234", "1234567890123456789",
    "1.20", "1E+5", "TRUE", "=1+1", "+86 13800138000", "-5", "@x", "\t=1", "\r=1", "＝1", "＠x", "x" * 2000, "x" * 2001, "_x0000_", "_x000D_=1",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "big5", "latin-1", "utf-7", "shift_jis", "utf-32")
NAMES = (
    "../../etc/passwd", "/etc/passwd", "..\\..\\windows\\x.dll", "xl/../../x", "C:\\x", "xl//workbook.xml", "XL/WORKBOOK.XML", "x" * 5000,
    "a\0b", "\u202exml", "", "xl/worksheets/", "xl/vbaProject.bin", "xl/externalLinks/externalLink1.xml", "./xl/workbook.xml",
)  # fmt: skip


def in_process(tally: Tally, count: int, seed: int) -> None:
    """Files read and checked as an import does, without a house: a refusal or a result, nothing else; what is wrong is written back."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice(tuple(KINDS))
        what, data = made(KINDS[kind], rng)
        digest(tally, kind, what, data, report=rng.random() < _REPORTED)
        if tally.enough:
            return


def digest(tally: Tally, kind: str, what: str, data: bytes, *, report: bool = True) -> None:
    """One file; `report`: should it have wrong rows, it is also marked and read again, which takes ten times as long."""
    tally.inputs[f"files, {what}"] += 1
    try:
        tally.answers[_outcome(KINDS[kind], data, report=report)] += 1
    except (WrongFile, FileTooLarge) as refused:
        tally.answers[refused.code] += 1
    except Exception as fault:  # any of these would be an answer of 500
        sent = Input("POST", f"/{kind.replace('/', '/v1/imports/')}", {}, data)
        path = sent.keep(f"files-{what}", repr(fault)[:200])
        tally.failures.append(f"files, {what}: {kind}: {fault!r} ({path.name})")


def _outcome(specs: Sequence[SheetSpec], data: bytes, *, report: bool) -> str:
    checked = [sheets.check(table) for table in sheets.read_sheets(data, specs) if table]
    errors = [error for sheet in checked for error in sheet.errors]
    if not errors:
        return "good"
    if not report:
        return "wrong rows"
    marked = sheets.annotate(data, specs, errors)
    again = [sheets.check(table) for table in sheets.read_sheets(marked, specs) if table]
    assert sum(sheet.rejected for sheet in again) > 0, "the report of a wrong file is a good file"
    return "wrong rows"


def attack(target: Target, judge: Judge, count: int, seed: int, *, bombs: bool) -> None:
    """Files sent to a running house; with `bombs` each of these once, which no database ever sees."""
    rng = random.Random(seed)
    made_bombs = list(BOMBS.values()) if bombs else []
    for number in range(count):
        kind = rng.choice(tuple(KINDS))
        if number < len(made_bombs):
            what, data = "bomb", made_bombs[number](KINDS[kind])
        else:
            what, data = made(KINDS[kind], rng)
        given = Input("POST", f"/{kind.replace('/', '/v1/imports/')}?dry_run={rng.choice(('true', 'false'))}", {}, data)
        answer = target.send(given)
        judge.see(f"files sent, {what}", given, answer)
        if answer.status_code == 201 and (report := answer.json()["report"]):
            told = Input("GET", report)
            judge.see("reports of files", told, target.send(told))
        if judge.tally.enough:
            return


_REPORTED, _FRESH, _KEPT = 0.03, 0.03, 8
_BOOKS: dict[tuple[SheetSpec, ...], list[bytes]] = {}
"""Workbooks that are spoiled in turn: writing one takes longer than reading ten."""


def made(specs: tuple[SheetSpec, ...], rng: random.Random) -> tuple[str, bytes]:
    """What was done, and the file."""
    if rng.random() < 0.7:
        return "CSV", _bytes_spoiled(_csv(specs[0], rng), rng, often=0.3)
    fresh = len(_BOOKS.setdefault(specs, [])) < _KEPT or rng.random() < _FRESH
    book = workbook(specs, rng) if fresh else rng.choice(_BOOKS[specs])
    _BOOKS[specs] = [*_BOOKS[specs], book][-_KEPT:] if fresh else _BOOKS[specs]
    spoil = rng.choice((None, _xml_spoiled, _xml_spoiled, _archive_spoiled, _bytes))
    return ("XLSX, cells", book) if spoil is None else (f"XLSX, {_WHERE[spoil]}", spoil(book, rng))


def _titles(spec: SheetSpec, rng: random.Random) -> list[str]:
    titles = [rng.choice(column.titles) for column in spec.columns if column.required or rng.random() < 0.7]
    if rng.random() < 0.1:
        titles.insert(rng.randrange(len(titles) + 1), str(rng.choice(CELLS)))
    if rng.random() < 0.1:
        rng.shuffle(titles)
    return titles


def _csv(spec: SheetSpec, rng: random.Random) -> bytes:
    titles = _titles(spec, rng)
    mark, end = rng.choice(",,,,,;\t"), rng.choice(("\r\n", "\n", "\r"))
    rows = [titles, *([rng.choice(CELLS) for _ in titles] for _ in range(rng.randrange(0, 6)))]
    wrap = rng.random() < 0.7
    text = end.join(
        mark.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if wrap else cell for cell in row) for row in rows
    )
    return text.encode(rng.choice((*ENCODINGS, *["utf-8"] * 20)), "replace")


def workbook(specs: Sequence[SheetSpec], rng: random.Random) -> bytes:
    """A workbook of these sheets whose cells hold anything, of any type, merged and with formulas at times."""
    output = io.BytesIO()
    with xlsxwriter.Workbook(output, {"in_memory": True, "strings_to_numbers": False}) as book:
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        for spec in specs[: rng.choice((1, len(specs), len(specs)))]:
            sheet = book.add_worksheet(spec.title)
            titles = _titles(spec, rng)
            first = rng.choice((0, 0, 0, 1, 3))
            for i, title in enumerate(titles):
                sheet.write_string(first, i, title[:32_000])
            for row in range(first + 1, first + rng.randrange(1, 7)):
                for i in range(len(titles)):
                    _write(sheet, row, i, date, rng)
            if rng.random() < 0.1:
                sheet.merge_range(first + 1, 0, first + 2, 1, "x")
    return output.getvalue()


def _write(sheet: "xlsxwriter.worksheet.Worksheet", row: int, i: int, date: object, rng: random.Random) -> None:
    pick = rng.random()
    if pick < 0.75:
        sheet.write_string(row, i, rng.choice(CELLS)[:32_000])
    elif pick < 0.85:
        sheet.write_number(row, i, rng.choice((0, -1, 1.5, 1e15, 1e300, 42675, 61092610120100010)))
    elif pick < 0.9:
        sheet.write_number(row, i, rng.choice((0, 1, 60, 42675.5, 2958466, 1e9, -5)), date)
    elif pick < 0.95:
        sheet.write_formula(row, i, rng.choice(("=1+1", "=cmd|'/c calc'!A0", '=HYPERLINK("http://x")')), None, "x")
    else:
        sheet.write_boolean(row, i, rng.random() < 0.5)


def _parts(book: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(parts: Iterator[tuple[str, bytes]] | Sequence[tuple[str, bytes]], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    output = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(output, "w", how) as archive:
        warnings.simplefilter("ignore")  # that a name comes twice is what is wanted
        for name, part in parts:
            archive.writestr(zipfile.ZipInfo(name) if name else zipfile.ZipInfo("\x01"), part, how)
    return output.getvalue()


_CELL = re.compile(rb'<c r="[A-Z]+\d+"')
_VALUE = re.compile(rb"<v>[^<]*</v>")
_TAG = re.compile(rb"<[A-Za-z][^<>]*>")
_ADDRESSES = (
    b"A0",
    b"XFD1048576",
    b"ZZZZ1",
    b"A99999999999",
    b"a1",
    b"",
    b"1A",
    b"A-1",
    b"$A$1",
    b"A1:B2",
    b"\xef\xbc\xa11",
)
_VALUES = (
    b"-1",
    b"99999999",
    b"1e999",
    b"NaN",
    b"",
    b"0x1",
    b"1;DROP",
    b"9" * 400,
    b"&#0;",
    b"&lol;",
    b"1e308",
    b"2958466",
    b"<f>1</f>",
)
_INSERTS = (
    b"<!DOCTYPE x [<!ENTITY lol 'lol'>]>", b"<!ENTITY x SYSTEM 'file:///etc/passwd'>", b"<![CDATA[x]]>", b"<!--", b"<?x y?>", b"<a>" * 3000,
    b"</a>", b"&lt;", b"&bogus;", b"\0", b"\xff\xfe", b"<mergeCells><mergeCell ref='A1:XFD1048576'/></mergeCells>",
    b"<c r='ZZ9'><v>1</v></c>", b"<row r='0'/>", b"<row r='99999999'><c><v>1</v></c></row>", b'<c r="A2" t="s"><v>7</v></c>',
    b'<c r="A2" t="inlineStr"><is><t>=1</t></is></c>', b'<c r="A2" t="e"><v>#REF!</v></c>', b'<c r="A2" t="zz"><v>1</v></c>', b' a="b"' * 200,
)  # fmt: skip


def _xml_spoiled(book: bytes, rng: random.Random) -> bytes:
    parts = _parts(book)
    names = [name for name in parts if name.endswith((".xml", ".rels"))]
    likely = [name for name in names if "sheet" in name or "sharedStrings" in name or "workbook" in name]
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(likely + names)
        parts[name] = _part_spoiled(parts[name], rng)
    return _zipped(list(parts.items()))


def _part_spoiled(part: bytes, rng: random.Random) -> bytes:
    how = rng.randrange(8)
    if how == 0:
        return _once(_CELL, b'<c r="' + rng.choice(_ADDRESSES) + b'"', part, rng)
    if how == 1:
        return _once(_VALUE, b"<v>" + rng.choice(_VALUES) + b"</v>", part, rng)
    if how == 2:
        return _once(_TAG, lambda tag: tag + rng.choice(_INSERTS), part, rng)
    if how == 3:
        return _once(_TAG, b"", part, rng)
    if how == 4:
        return _once(_TAG, lambda tag: tag * 2, part, rng)
    if how == 5:
        return part.replace(
            b'encoding="UTF-8"', b'encoding="' + rng.choice((b"UTF-16", b"EBCDIC", b"utf-7", b"x")) + b'"'
        )
    if how == 6:
        return part.decode("utf-8", "replace").encode("utf-16")
    return _bytes(part, rng)


def _once(pattern: re.Pattern[bytes], by: bytes | Callable[[bytes], bytes], part: bytes, rng: random.Random) -> bytes:
    """One match of the pattern, anywhere, replaced."""
    found = list(pattern.finditer(part))
    if not found:
        return part
    match = rng.choice(found)
    return part[: match.start()] + (by if isinstance(by, bytes) else by(match.group())) + part[match.end() :]


def _archive_spoiled(book: bytes, rng: random.Random) -> bytes:
    parts = list(_parts(book).items())
    at, how = rng.randrange(len(parts)), rng.randrange(6)
    if how == 0:
        parts.append((rng.choice(NAMES), b"x" * rng.randrange(100)))
    elif how == 1:
        parts[at] = (rng.choice(NAMES), parts[at][1])
    elif how == 2:
        parts.append(parts[at])
    elif how == 3:
        del parts[at]
    elif how == 4:
        other = rng.randrange(len(parts))
        parts[at], parts[other] = (parts[at][0], parts[other][1]), (parts[other][0], parts[at][1])
    else:
        return _zipped(parts, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    return _zipped(parts)


def _bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, cut out, doubled or put in."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 3, 10))):
        if not spoiled:
            break
        at = rng.randrange(len(spoiled))
        how = rng.randrange(5)
        if how == 0:
            spoiled[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            spoiled[at] = rng.choice((0, 0xFF, 0x7F, 0x80))
        elif how == 2:
            del spoiled[at : at + rng.randrange(1, 50)]
        elif how == 3:
            spoiled[at:at] = spoiled[at : at + rng.randrange(1, 50)]
        else:
            del spoiled[at:]
    return bytes(spoiled)


def _bytes_spoiled(data: bytes, rng: random.Random, *, often: float) -> bytes:
    return _bytes(data, rng) if rng.random() < often else data


_WHERE: dict[Callable[[bytes, random.Random], bytes], str] = {
    _xml_spoiled: "XML",
    _archive_spoiled: "archive",
    _bytes: "bytes",
}

# Bombs: small files that would fill a memory or hold a core, if they were believed


def _with(part: str, by: Callable[[bytes], bytes]) -> Callable[[Sequence[SheetSpec]], bytes]:
    def make(specs: Sequence[SheetSpec]) -> bytes:
        parts = _parts(workbook(specs, random.Random(1)))
        return _zipped([(name, by(content) if name == part else content) for name, content in parts.items()])

    return make


def _put(before: bytes, what: bytes) -> Callable[[bytes], bytes]:
    return lambda part: part.replace(before, what + before, 1)


SHEET, STRINGS, BOOK = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"
_LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'>" + b"".join(
    b"<!ENTITY a%d '%s'>" % (n, (b"&a%d;" % (n - 1) if n else b"&a;") * 10) for n in range(10)
) + b"]>"  # fmt: skip
_ROWS = b"".join(b'<row r="%d"><c r="A%d" t="s"><v>0</v></c></row>' % (n, n) for n in range(10, 30_000))
_WIDE = b'<row r="9">' + b'<c r="A9"><v>1</v></c>' * 400_000 + b"</row>"
BOMBS: dict[str, Callable[[Sequence[SheetSpec]], bytes]] = {
    "zip": lambda _: _zipped([("xl/workbook.xml", bytes(64 << 20))]),
    "zip in a sheet": _with(SHEET, lambda part: part + b" " * (64 << 20)),
    "zips in zips": lambda _: _zipped([("a.zip", _zipped([("b", bytes(50 << 20))]))]),
    "many parts": lambda _: _zipped([(f"p{n}", b"") for n in range(20_000)]),
    "billion laughs": _with(SHEET, lambda part: part.replace(b"?>", b"?>" + _LAUGHS, 1)),
    "billion laughs in texts": _with(STRINGS, lambda part: part.replace(b"?>", b"?>" + _LAUGHS, 1)),
    "external entity": _with(BOOK, lambda p: p.replace(b"?>", b"?><!DOCTYPE x SYSTEM 'http://127.0.0.1:1/x.dtd'>", 1)),
    "deep XML": _with(SHEET, _put(b"</sheetData>", b"<a>" * 1_000_000)),
    "deep texts": _with(STRINGS, _put(b"</sst>", b"<r>" * 1_000_000)),
    "an attribute of 20 MB": _with(SHEET, _put(b"<sheetData", b"<x a='" + b"a" * (20 << 20) + b"'/>")),
    "a hundred thousand attributes": _with(SHEET, _put(b"<sheetData", b"<x " + b"".join(b"a%d='' " % n for n in range(100_000)) + b"/>")),
    "the last corner": _with(SHEET, _put(b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')),
    "a text in every row": _with(SHEET, _put(b"</sheetData>", _ROWS)),
    "one cell 400,000 times": _with(SHEET, _put(b"</sheetData>", _WIDE)),
    "a million texts": _with(STRINGS, _put(b"</sst>", b"<si><t>a</t></si>" * 1_000_000)),
    "merged cells over each other": _with(SHEET, _put(b"<pageMargins", b"<mergeCells>" + b'<mergeCell ref="A1:XFD1048576"/>' * 50_000 + b"</mergeCells>")),
    "a million formulas": _with(SHEET, _put(b"</sheetData>", b"<f>1</f>" * 1_000_000)),
    "a CSV of one line": lambda _: b"a," * (9 << 20),
    "a CSV of quotes": lambda _: b'"' * (19 << 20),
    "a CSV of line ends": lambda _: b"\n" * (19 << 20),
    "a CSV of rows": lambda specs: ",".join(c.title for c in specs[0].columns).encode() + b"\nx" * (9 << 20),
    "a CSV in mixed encodings": lambda _: ("甲\n".encode() + "甲\n".encode("gb18030")) * 2_000_000,
}  # fmt: skip
"""Each is asked of the house once a run, and its memory is looked at afterwards."""
