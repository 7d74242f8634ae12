"""No ID number, phone or bank card of the demo's county stands anywhere in the open: logs, events, exports, traces, metrics, databases.

Looked for by what the generator's blocks have in common (shared/pii.py), so one number too many is found too.
"""

import io
import re
import shutil
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from conftest import STARTS_AT, Month, issue_at
from test_rotation_load import opened

from demo import cast
from demo.driver import Who
from demo.server import Server
from shared.pii import TEST_CARD_PREFIX, TEST_ID_AREA, TEST_PHONE_PREFIX
from shared.roles import Role
from tests.integration.otlp import Collector

NUMBER = re.compile(
    rf"(?<!\d)(?:{TEST_ID_AREA}\d{{11}}[\dX]|{TEST_PHONE_PREFIX}\d{{6}}|{TEST_CARD_PREFIX}\d{{13}})(?!\d)".encode()
)
HANDED_IN = "out/county/"
"""What the county hands in: full of them."""
HANDED_BACK = "out/bad-rows-annotated.xlsx"
"""The sender's own rows with their errors marked, for the sender."""

Found = Counter[str]


def numbers_in(data: bytes, name: str) -> Iterator[bytes]:
    """The numbers in a file; those of a ZIP (XLSX, bundle) in its unpacked members."""
    if name.endswith((".zip", ".xlsx")):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for member in packed.namelist():
                yield from numbers_in(packed.read(member), member)
    else:
        yield from NUMBER.findall(data)


def leaks(home: Path) -> Found:
    """`file` or `database.table.column` → how many numbers stand there."""
    found = _in_files(home)
    for path in sorted(home.glob("*.db")):
        found += _in_columns(path)
    return +found


def _in_files(home: Path) -> Found:
    found: Found = Counter()
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        name = str(path.relative_to(home))
        if not name.startswith(HANDED_IN) and name != HANDED_BACK:
            found[name] += len(list(numbers_in(path.read_bytes(), name)))
    return +found


def _in_columns(path: Path) -> Found:
    """A long value lies on several pages of the file, so each is looked at as a whole, too."""
    found: Found = Counter()
    with closing(sqlite3.connect(path)) as opened_file:
        tables = opened_file.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            rows = opened_file.execute(f'select * from "{table}"')
            names = [column[0] for column in rows.description]
            for row in rows:
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, str | bytes):
                        data = value.encode() if isinstance(value, str) else value
                        found[f"{path.stem}.{table}.{name}"] += len(NUMBER.findall(data))
    return found


@pytest.fixture(scope="module")
def home(month: Month, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("leaks") / "home"
    shutil.copytree(month.home, copy)
    return copy


@pytest.fixture(scope="module")
def handed_in(home: Path) -> list[str]:
    """Every number of the county's files."""
    files = sorted((home / HANDED_IN).rglob("*"))
    return sorted({number.decode() for file in files for number in numbers_in(file.read_bytes(), file.name)})


def test_the_months_home_holds_none_of_the_countys_numbers_in_the_open(home: Path, handed_in: list[str]) -> None:
    assert {number[:5] for number in handed_in} == {TEST_ID_AREA[:5], TEST_PHONE_PREFIX, TEST_CARD_PREFIX[:5]}
    assert leaks(home) == Counter()


def test_every_sealed_value_of_the_month_is_bound_to_its_own_column_and_row(home: Path) -> None:
    found = opened(home)
    assert set(found) >= {
        "registry.member_identity.number_sealed", "funds.payee.account_name_sealed", "funds.payee.card_sealed",
        "funds.objection.text_sealed", "assessment.cadre.name_sealed", "notify.contact.phone_sealed",
        "notify.inbound_message.sender_sealed", "notify.inbound_message.text_sealed", "notify.report.text_sealed",
    }  # fmt: skip


@pytest.mark.parametrize("place", ["daohu.log", "out/bundle.zip", "registry.household.remark", "bus.log.body"])
def test_a_planted_number_is_found(tmp_path: Path, handed_in: list[str], place: str) -> None:
    number = handed_in[0]
    if place.endswith(".zip"):
        (tmp_path / "out").mkdir()
        with zipfile.ZipFile(tmp_path / place, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("entries.jsonl", f'{{"memo": "{number}"}}')
    elif place.endswith(".log"):
        (tmp_path / place).write_text(f"GET /people/{number}\n")
    else:
        database, table, column = place.split(".")
        with closing(sqlite3.connect(tmp_path / f"{database}.db")) as made:
            made.execute(f'create table "{table}" ("{column}")')
            made.execute(f'insert into "{table}" values (?)', (f"{'长' * 5000}{number}",))
            made.commit()
    assert leaks(tmp_path)[place] == 1


def test_callers_who_put_numbers_everywhere_find_them_in_no_answer_log_trace_or_metric(
    home: Path, handed_in: list[str]
) -> None:
    id_number, phone, card = (
        next(number for number in handed_in if number.startswith(block))
        for block in (TEST_ID_AREA, TEST_PHONE_PREFIX, TEST_CARD_PREFIX)
    )
    sheet = f"户编号,户名,银行卡号,开户银行\nNOBODY,王试验,{card},农商行\nNOBODY,王试验,{card[:-1]},农商行\n".encode()
    person = {"name": "王试验", "sex": "1", "id_number": id_number[:-2] + "00", "relation": "02"}
    clerk = Who("clerk", (Role.STATISTICS, Role.COUNTY_ADMIN, Role.FINANCE), (cast.COUNTY,))
    asked = [
        ("GET", f"/registry/v1/households/{id_number}", clerk, None),
        ("GET", f"/registry/v1/households?household_no={id_number}", clerk, None),
        ("GET", f"/registry/v1/households?id_number={id_number}", clerk, None),
        ("GET", f"/registry/v1/people/{id_number}", clerk, None),
        ("GET", f"/notify/v1/phones/{phone}/messages", clerk, None),
        ("GET", f"/funds/v1/payees?card={card}", clerk, None),
        ("POST", "/registry/v1/cases", clerk, {"kind": "identification", "household": {"members": [person]}}),
        ("POST", "/registry/v1/cases", clerk, f'{{"kind": "{id_number}"'.encode()),
        ("POST", "/funds/v1/imports/payees?mode=valid", clerk, sheet),
        ("POST", "/notify/v1/inbound", cast.SMS_GATEWAY, {"from": phone, "text": phone, "received_at": phone}),
        ("POST", "/notify/v1/reports", clerk, {"cadre_no": phone, "text": id_number}),
    ]
    said: dict[str, str] = {}
    with Collector() as collector:
        server = Server(home, STARTS_AT, env=collector.env, log_level="DEBUG")
        server.start()
        try:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as http:
                for number, (method, path, who, body) in enumerate(asked):
                    headers = {"authorization": f"Bearer {issue_at(home)(who)}", "idempotency-key": f"leak-{number}"}
                    given = {"content": body} if isinstance(body, bytes) else {"json": body}
                    answer = http.request(method, path, headers=headers, **(given if body is not None else {}))
                    said[f"{number} {answer.status_code}"] = answer.text
                said["metrics"] = http.get("/metrics").text
            collector.named("daohu-registry", "GET /registry/v1/households/{household_id}")
            found = _in_files(home)  # with the -wal files that a stop removes
        finally:
            server.stop()
    assert [key for key in said if key.endswith(" 500")] == []
    assert {key: text for key, text in said.items() if NUMBER.search(text.encode())} == {}
    assert [span.text for span in collector.spans if NUMBER.search(span.text.encode())] == []
    assert found == Counter()
    log = server.log.read_text()
    assert "/registry/v1/households/{household_id}" in log
    assert NUMBER.findall(log.encode()) == []
