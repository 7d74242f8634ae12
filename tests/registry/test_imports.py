"""Imports: files checked as a whole, taken over whole or not at all, sent back with their errors marked."""

import io
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter
from sqlalchemy import func, select

from services.registry.api import KINDS, ROUTERS
from services.registry.households import store as households
from services.registry.households.imports import HOUSEHOLDS, PEOPLE
from services.registry.settings import Settings
from services.registry.tables import metadata
from shared import retention
from shared.events.registry import DivisionRecorded, HouseholdRecorded
from shared.imports.kinds import ImportKind
from shared.pii import TEST_ID_AREA, make_check_digit
from shared.roles import Role
from shared.sheets import SheetSpec
from shared.tables import import_file
from shared.testing import OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE, Client, Running, running, settings_for

ROOT = Path(__file__).resolve().parents[2]
SHEETS = ROOT / "tests" / "fixtures" / "sheets"
DIVISIONS = (ROOT / "data" / "divisions" / "divisions-610926-pingli.csv").read_bytes()
PATH = "/registry/v1/imports"


def id_number(born: str = "19700101", sequence: str = "001") -> str:
    body = f"{TEST_ID_AREA}{born}{sequence}"
    return body + make_check_digit(body)


def home(number: str = "H-1", **given: str) -> dict[str, str]:
    return {
        "household_no": number, "division": VILLAGE, "status": "未脱贫", "attribute": "一般贫困户", "cause": "因病",
        "identified_on": "2014-05-01", "housing": "01", "safe_water": "是", "income_2016": "3000", **given,
    }  # fmt: skip


def person(number: str = "H-1", **given: str) -> dict[str, str]:
    return {
        "household_no": number, "name": "王测试", "sex": "男", "id_number": id_number(), "relation": "户主", "ethnic": "汉族",
        "education": "小学", "student": "非在校生", "health": "健康", "labour": "普通劳动力", "dibao": "否", "insured": "是",
        "pension": "否", **given,
    }  # fmt: skip


def child(number: str = "H-1", **given: str) -> dict[str, str]:
    return person(number, **{"relation": "之子", "name": "王小测", "id_number": id_number("20050101"), **given})


def workbook(homes: Sequence[dict[str, str]], people: Sequence[dict[str, str]]) -> bytes:
    output = io.BytesIO()
    with xlsxwriter.Workbook(output) as book:
        for spec, rows in ((HOUSEHOLDS, homes), (PEOPLE, people)):
            page = book.add_worksheet(spec.title)
            page.write_row(0, 0, [column.title for column in spec.columns])
            for i, row in enumerate(rows, start=1):
                page.write_row(i, 0, [row.get(column.key, "") for column in spec.columns])
    return output.getvalue()


@pytest.fixture
async def live(tmp_path: Path, database_url: str) -> AsyncIterator[Running]:
    """A registry that knows Pingli's divisions, on both databases."""
    async with running(settings_for(Settings, tmp_path, database_url), metadata, ROUTERS) as live:
        await _send(live.as_(Role.STATISTICS), "divisions", DIVISIONS)
        yield live


@pytest.fixture
def office(live: Running) -> Client:
    return live.as_(Role.STATISTICS)


def _csv(spec: SheetSpec, rows: Sequence[dict[str, str]], encoding: str = "utf-8") -> bytes:
    lines = [[column.title for column in spec.columns], *[[row.get(c.key, "") for c in spec.columns] for row in rows]]
    return "\r\n".join(map(",".join, lines)).encode(encoding)


async def _send(client: Client, kind: str, data: bytes, query: str = "", **kwargs):
    return await client.post(f"{PATH}/{kind}{query}", content=data, **kwargs)


async def _count(live: Running, table) -> int:
    async with live.service.work(write=False) as work:
        return await work.tx.scalar(select(func.count()).select_from(table))


async def test_the_divisions_of_the_county_import(live: Running, office: Client) -> None:
    towns = (await office.get("/registry/v1/divisions", level="town")).json()["items"]
    villages = (await office.get("/registry/v1/divisions", level="village", limit=500)).json()["items"]
    assert (len(towns), len(villages)) == (11, 152)
    recorded = [body for type, body in await live.recorded() if type == DivisionRecorded.type_name]
    assert len(recorded) == len(DIVISIONS.splitlines()) - 1


async def test_the_same_divisions_again_change_nothing(live: Running, office: Client) -> None:
    before = len(await live.recorded())
    answer = (await _send(office, "divisions", DIVISIONS)).json()
    assert (answer["state"], answer["created"], answer["changed"], answer["unchanged"]) == (
        "applied",
        0,
        0,
        answer["rows"],
    )
    assert len(await live.recorded()) == before


async def test_a_renamed_division_is_changed_and_recorded(live: Running, office: Client) -> None:
    data = f"code,name,level,parent\n{VILLAGE},新名村,village,{TOWN}\n".encode("gb18030")
    assert (await _send(office, "divisions", data)).json()["changed"] == 1
    shown = (await office.get(f"/registry/v1/divisions/{VILLAGE}")).json()
    assert (shown["name"], shown["version"]) == ("新名村", 2)


async def test_divisions_are_judged_by_code_level_parent_and_area(live: Running, office: Client) -> None:
    rows = [
        "code,name,level,parent",
        f"610926100299,甲村,镇,{TOWN}",
        f"610926100298,乙村,村,{OTHER_TOWN}",
        "610926199201,丙村,村,610926199000",
        "610924100201,丁村,村,610924100000",
    ]
    answer = (await _send(office, "divisions", "\n".join(rows).encode())).json()
    codes = [(error["row"], error["code"]) for error in answer["errors"]]
    assert codes == [(2, "wrong_level"), (3, "wrong_parent"), (4, "parent_unknown"), (5, "outside_area")]


async def test_households_and_people_import_with_history_and_events(live: Running, office: Client) -> None:
    answer = await _send(office, "households", workbook([home()], [person(), child()]))
    assert answer.status_code == 201
    result = answer.json()
    assert (result["state"], result["rows"], result["created"], result["report"]) == ("applied", 3, 3, None)
    [listed] = (await office.get("/registry/v1/households")).json()["items"]
    assert (listed["people"], listed["head_name_masked"], listed["status"], listed["version"]) == (
        2,
        "王**",
        "registered",
        1,
    )
    [fact] = [body for type, body in await live.recorded() if type == HouseholdRecorded.type_name]
    assert (fact["household_no"], fact["people"]) == ("H-1", 2)
    [entry] = (await office.get(f"/registry/v1/households/{listed['id']}/history")).json()["items"]
    assert (entry["valid_from"], entry["actor"], entry["reason"]) == ("2014-05-01", "tester", "imported")
    assert entry["changes"]["members"]["2"]["relation"] == "20"


async def test_nobodys_number_is_stored_in_the_open(live: Running, office: Client) -> None:
    await _send(office, "households", workbook([home()], [person(), child(sex="女")]), "?mode=valid")
    async with live.service.work(write=False) as work:
        for table in [*metadata.sorted_tables]:
            for row in await work.tx.execute(select(table)):
                assert id_number() not in str(row)
    assert id_number() not in str(await live.recorded())


async def test_a_file_with_a_wrong_row_changes_nothing(live: Running, office: Client) -> None:
    data = workbook(
        [home("H-1"), home("H-2", cause="?")], [person("H-1"), person("H-2", id_number=id_number("19710101"))]
    )
    result = (await _send(office, "households", data)).json()
    assert (result["state"], result["accepted"], result["rejected"], result["created"]) == ("refused", 2, 2, 0)
    assert [(e["sheet"], e["row"], e["column"], e["code"]) for e in result["errors"]] == [
        ("户", 3, "主要致贫原因", "not_in_list"),
        ("人", 3, "户编号", "household_unknown"),
    ]
    assert await _count(live, households.households) == 0


async def test_the_good_rows_are_taken_when_asked_for(live: Running, office: Client) -> None:
    data = workbook(
        [home("H-1"), home("H-2", cause="?")], [person("H-1"), person("H-2", id_number=id_number("19710101"))]
    )
    result = (await _send(office, "households", data, "?mode=valid")).json()
    assert (result["state"], result["accepted"], result["created"]) == ("applied", 2, 2)
    assert [row["household_no"] for row in (await office.get("/registry/v1/households")).json()["items"]] == ["H-1"]


async def test_a_dry_run_changes_nothing(live: Running, office: Client) -> None:
    result = (await _send(office, "households", workbook([home()], [person()]), "?dry_run=true")).json()
    assert (result["state"], result["accepted"], result["created"]) == ("checked", 2, 0)
    assert await _count(live, households.households) == 0


async def test_the_report_marks_the_wrong_cells(office: Client) -> None:
    result = (await _send(office, "households", workbook([home(cause="?")], [person()]))).json()
    report = await office.get(result["report"])
    assert report.status_code == 200
    book = openpyxl.load_workbook(io.BytesIO(report.content))
    assert book["户"]["F2"].fill.start_color.rgb == "FFF8C9C4"
    assert (await office.get(result["report"].removesuffix("/report"))).json()["rejected"] == 2


async def _forget_old(live: Running) -> None:
    async with live.service.work() as work:
        await retention.forget_old(work.tx, now=work.now)


async def test_a_report_is_kept_sealed_for_30_days(live: Running, office: Client) -> None:
    result = (await _send(office, "households", workbook([home(cause="?")], [person()]))).json()
    async with live.service.work(write=False) as work:
        sealed = await work.tx.scalar(select(import_file.c.file_sealed).where(import_file.c.file_sealed.is_not(None)))
    assert sealed.startswith("k")
    live.clock.move_to(live.clock.now() + timedelta(days=29))
    await _forget_old(live)
    assert (await office.get(result["report"])).status_code == 200
    live.clock.move_to(live.clock.now() + timedelta(days=1))
    await _forget_old(live)
    answer = await office.get(result["report"])
    assert (answer.status_code, answer.json()["code"]) == (410, "report_expired")


async def test_a_file_without_errors_has_no_report(office: Client) -> None:
    result = (await _send(office, "households", workbook([home()], [person()]))).json()
    answer = await office.get(f"{PATH}/{result['import_id']}/report")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_report")


async def test_the_same_key_gives_the_same_answer_and_another_key_finds_all_there(
    live: Running, office: Client
) -> None:
    data = workbook([home()], [person(), child()])
    first = await _send(office, "households", data, key="once")
    assert (await _send(office, "households", data, key="once")).json() == first.json()
    before = len(await live.recorded())
    again = (await _send(office, "households", data, key="twice")).json()
    assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, 3)
    assert (len(await live.recorded()), await _count(live, households.members)) == (before, 2)


async def test_a_later_file_changes_what_differs_and_adds_who_is_new(office: Client) -> None:
    await _send(office, "households", workbook([home()], [person(), child()]))
    newborn = child(id_number=id_number("20160901", "002"), sex="女", relation="之女", name="王新测")
    data = workbook([home(housing="危房C类", income_2016="3100.50")], [person(health="长期慢性病"), newborn])
    result = (await _send(office, "households", data)).json()
    assert (result["created"], result["changed"], result["unchanged"]) == (1, 2, 0)
    [listed] = (await office.get("/registry/v1/households")).json()["items"]
    assert (listed["people"], listed["version"]) == (3, 2)
    file = (await office.get(f"/registry/v1/households/{listed['id']}")).json()
    assert (file["housing"], file["incomes"][0]["net_per_head_fen"]) == ("02", 310050)
    assert [(m["member_no"], m["health"]) for m in file["members"]] == [(1, "02"), (2, "01"), (3, "01")]


async def test_a_later_file_may_change_the_head_but_not_take_it_away(office: Client) -> None:
    """Husband and wife: she becomes the head in one file, or nobody does."""
    wife = child(relation="其他", id_number=id_number("19720202", "002"), sex="女", name="李试验")
    await _send(office, "households", workbook([home()], [person(), wife]))
    gone = (await _send(office, "people", _csv(PEOPLE, [person(relation="其他")]))).json()
    assert (gone["state"], [error["code"] for error in gone["errors"]]) == ("refused", ["one_head_needed"])
    given = [person(relation="其他"), wife | {"relation": "户主"}]
    changed = (await _send(office, "people", _csv(PEOPLE, given))).json()
    assert (changed["state"], changed["changed"]) == ("applied", 2)


async def test_csv_files_of_households_and_then_of_people_import(office: Client) -> None:
    assert (await _send(office, "households", _csv(HOUSEHOLDS, [home()], "utf-8-sig"))).json()["state"] == "applied"
    result = (await _send(office, "people", _csv(PEOPLE, [person(), child()], "gb18030"))).json()
    assert (result["state"], result["created"]) == ("applied", 2)
    [listed] = (await office.get("/registry/v1/households")).json()["items"]
    assert (listed["people"], listed["head_name_masked"], listed["version"]) == (2, "王**", 2)


async def test_a_person_in_two_households_of_the_file_is_named(office: Client) -> None:
    data = workbook([home("H-1"), home("H-2")], [person("H-1"), person("H-2")])
    errors = (await _send(office, "households", data)).json()["errors"]
    assert ("人", 3, "duplicate_in_file") in [(e["sheet"], e["row"], e["code"]) for e in errors]


async def test_a_person_in_another_household_of_the_register_is_named(office: Client) -> None:
    await _send(office, "households", workbook([home("H-1")], [person("H-1")]))
    errors = (await _send(office, "households", workbook([home("H-2")], [person("H-2")]))).json()["errors"]
    assert ("人", 2, "person_in_other_household") in [(e["sheet"], e["row"], e["code"]) for e in errors]


@pytest.mark.parametrize(
    ("homes", "people", "expected"),
    [
        ([home(division="610926100299")], [person()], ("户", "行政村代码", "division_unknown")),
        ([home(other_cause="因病")], [person()], ("户", "其他致贫原因", "causes_repeat")),
        ([home(status="已脱贫")], [person()], ("户", "脱贫时间", "required")),
        ([home()], [child()], ("户", "户编号", "one_head_needed")),
        ([home()], [person(), person(id_number=id_number("19800101"))], ("人", "与户主关系", "one_head_needed")),
        ([home()], [person(sex="女")], ("人", "性别", "sex_differs_from_id")),
        ([home()], [person(), child(relation="之女")], ("人", "与户主关系", "relation_differs_from_sex")),
        ([home()], [person(), child(ethnic="02")], ("人", "民族", "not_in_list")),
        ([home(remark="电话19900123456")], [person()], ("户", "备注", "personal_number")),
    ],
)
async def test_what_a_household_file_may_not_say(office: Client, homes, people, expected) -> None:
    errors = (await _send(office, "households", workbook(homes, people))).json()["errors"]
    assert expected in [(error["sheet"], error["column"], error["code"]) for error in errors]


async def test_the_status_of_a_household_on_file_changes_by_procedure_alone(office: Client) -> None:
    await _send(office, "households", workbook([home()], [person()]))
    changed = workbook([home(status="已脱贫", exited_on="2016-10-01")], [person()])
    errors = (await _send(office, "households", changed)).json()["errors"]
    assert [(error["column"], error["code"]) for error in errors][:1] == [("脱贫状态", "by_procedure_only")]


async def test_a_town_imports_its_own_villages_only(live: Running) -> None:
    town = live.as_(Role.TOWN_OFFICE, division=TOWN)
    data = workbook(
        [home("H-1"), home("H-2", division=OTHER_VILLAGE)],
        [person("H-1"), person("H-2", id_number=id_number("19710101"))],
    )
    errors = (await _send(town, "households", data)).json()["errors"]
    assert [(e["row"], e["code"]) for e in errors if e["sheet"] == "户"] == [(3, "division_unknown")]


async def test_a_town_may_send_the_county_along_but_not_change_it(live: Running) -> None:
    clerk = live.as_(Role.TOWN_OFFICE, division=TOWN)
    county = b"".join(DIVISIONS.splitlines(keepends=True)[:4])
    assert (await _send(clerk, "divisions", county)).json()["unchanged"] == 3
    renamed = (await _send(clerk, "divisions", county.replace("平利县".encode(), "改名县".encode()))).json()
    assert (renamed["state"], [error["code"] for error in renamed["errors"]]) == ("refused", ["above_area"])


async def test_a_town_does_not_see_another_towns_import(live: Running) -> None:
    town, other = live.as_(Role.TOWN_OFFICE, division=TOWN), live.as_(Role.TOWN_OFFICE, division=OTHER_TOWN)
    result = (await _send(town, "households", workbook([home(cause="?")], [person()]))).json()
    for path in (f"{PATH}/{result['import_id']}", result["report"]):
        assert (await other.get(path)).status_code == 404
        assert (await town.get(path)).status_code == 200


async def test_the_report_of_another_towns_import_is_not_given_out(live: Running) -> None:
    town, other = live.as_(Role.TOWN_OFFICE, division=TOWN), live.as_(Role.TOWN_OFFICE, division=OTHER_TOWN)
    result = (await _send(town, "households", workbook([home(cause="?")], [person()]))).json()
    assert [(await who.get(result["report"])).status_code for who in (town, other)] == [200, 404]


async def test_who_may_not_import_a_kind_does_not_get_its_report(live: Running, office: Client) -> None:
    result = (await _send(office, "households", workbook([home(cause="?")], [person()]))).json()
    for path in (f"{PATH}/{result['import_id']}", result["report"]):
        answer = await live.as_(Role.POVERTY_OFFICE).get(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_your_ledger")


@pytest.mark.rule("REG-006")
async def test_the_poverty_office_does_not_register_households(live: Running) -> None:
    answer = await _send(live.as_(Role.POVERTY_OFFICE), "households", workbook([home()], [person()]))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_your_ledger")


async def test_a_file_that_is_no_sheet_is_refused_with_both_languages(office: Client) -> None:
    answer = await _send(office, "households", b"%PDF-1.7")
    problem = answer.json()
    assert (answer.status_code, problem["code"], bool(problem["detail_zh"])) == (422, "not_xlsx", True)


async def test_an_unknown_kind_names_the_known_ones(office: Client) -> None:
    answer = await _send(office, "cows", b"x")
    assert (answer.status_code, answer.json()["code"]) == (404, "import_kind_unknown")
    assert "households" in answer.json()["detail"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
async def test_every_kind_has_a_template(office: Client, kind: ImportKind) -> None:
    answer = await office.get(f"{PATH}/{kind.key}/template")
    assert openpyxl.load_workbook(io.BytesIO(answer.content)).sheetnames == [spec.title for spec in kind.specs]


@pytest.mark.parametrize(("sheet", "homes", "people"), [("by-hand", 4, 7), ("libreoffice", 3, 6)])
async def test_sheets_of_other_hands_import(live: Running, office: Client, sheet: str, homes: int, people: int) -> None:
    result = (await _send(office, "households", (SHEETS / f"{sheet}-households.xlsx").read_bytes())).json()
    assert (result["errors"], result["created"]) == ([], homes + people)
    assert (await _count(live, households.households), await _count(live, households.members)) == (homes, people)


async def test_a_caller_of_several_divisions_says_whose_import_it_is(live: Running) -> None:
    """What is filed under a town is read by that town: it is never guessed."""
    both = live.as_(Role.STATISTICS, division=(OTHER_TOWN, TOWN))
    data = workbook([home(division=OTHER_VILLAGE, status="错")], [person()])
    refused = await _send(both, "households", data)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "division_unclear")
    elsewhere = await _send(both, "households", data, f"?division={VILLAGE}")
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["code"]) == (422, "division_unclear")
    filed = (await _send(both, "households", data, f"?division={OTHER_TOWN}")).json()
    for division, status in ((TOWN, 404), (OTHER_TOWN, 200)):
        reader = live.as_(Role.STATISTICS, division=division)
        assert (await reader.get(f"{PATH}/{filed['import_id']}")).status_code == status
        assert (await reader.get(filed["report"])).status_code == status


async def test_a_person_on_file_by_his_id_number_comes_with_a_certificate_and_stays_one_person(
    live: Running, office: Client
) -> None:
    await _send(office, "households", workbook([home()], [person()]))
    again = (await _send(office, "households", workbook([home()], [person(id_number=id_number() + "41")]))).json()
    assert (again["created"], again["changed"]) == (0, 1)
    [listed] = (await office.get("/registry/v1/households")).json()["items"]
    [shown] = (await office.get(f"/registry/v1/households/{listed['id']}")).json()["members"]
    assert len(shown["id_number_masked"]) == 20
    privacy = live.as_(Role.PRIVACY)
    path = f"/registry/v1/households/{listed['id']}/members/{shown['id']}/unmask"
    assert (await privacy.post(path, {"reason": "核对证件"})).json()["id_number"] == id_number() + "41"
    shorter = (await _send(office, "households", workbook([home()], [person()]))).json()
    assert (shorter["changed"], shorter["unchanged"]) == (0, 2)


async def test_a_certificate_and_the_id_number_in_it_are_one_person_in_a_file_and_on_the_register(
    office: Client,
) -> None:
    both = workbook([home("H-1"), home("H-2")], [person("H-1"), person("H-2", id_number=id_number() + "41")])
    errors = (await _send(office, "households", both)).json()["errors"]
    assert ("人", 3, "duplicate_in_file") in [(e["sheet"], e["row"], e["code"]) for e in errors]
    await _send(office, "households", workbook([home("H-1")], [person("H-1")]))
    second = workbook([home("H-2")], [person("H-2", id_number=id_number() + "41")])
    errors = (await _send(office, "households", second)).json()["errors"]
    assert ("人", 2, "person_in_other_household") in [(e["sheet"], e["row"], e["code"]) for e in errors]
