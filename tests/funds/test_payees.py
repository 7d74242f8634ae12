"""Payees: imported from a sheet, sealed, one card for one household."""

import io

import openpyxl
import pytest
from funds_county import County, card, created, household_no
from sqlalchemy import select

from services.funds.payees.imports import PAYEES
from services.funds.payees.store import payee
from shared import sheets
from shared.roles import Role
from shared.testing import OTHER_TOWN, OTHER_VILLAGE, TOWN


async def test_a_card_is_sealed_in_the_column_and_masked_in_the_answer(county: County):
    no = await county.hear_household(1)
    answer = await county.import_payees([(no, "王小明", card(1), "农商行")])
    result = answer.json()
    assert (answer.status_code, result["kind"], result["state"]) == (201, "payees", "applied")
    assert (result["rows"], result["created"], result["changed"], result["report"]) == (1, 1, 0, None)
    shown = await county.finance.get("/funds/v1/payees")
    item = shown.json()["items"][0]
    assert (item["account_name_masked"], item["card_masked"], item["bank"]) == ("王**", f"****{card(1)[-4:]}", "农商行")
    async with county.live.service.database.read() as tx:
        row = (await tx.execute(select(payee))).one()
        assert card(1) not in str(row)
        assert "王小明" not in str(row)
        assert county.live.service.vault.open(row.card_sealed, column="payee.card", row=row.id) == card(1)


async def test_the_same_file_again_changes_nothing(county: County):
    rows = [(await county.hear_household(n), f"王{n}", card(n), "农商行") for n in (1, 2)]
    await county.import_payees(rows)
    again = (await county.import_payees(rows)).json()
    assert (again["accepted"], again["unchanged"]) == (2, 2)
    async with county.live.service.database.read() as tx:
        assert len((await tx.execute(select(payee))).all()) == 2


async def test_an_account_that_changed_keeps_its_past(county: County):
    no = await county.hear_household(1)
    results = [(await county.import_payees([(no, "王一", card(number), "农商行")])).json() for number in (1, 2)]
    assert [(result["created"], result["changed"]) for result in results] == [(1, 0), (0, 1)]
    async with county.live.service.database.read() as tx:
        rows = (await tx.execute(select(payee.c.card_last4, payee.c.ended_at).order_by(payee.c.id))).all()
    assert [(row.card_last4, row.ended_at is None) for row in rows] == [(card(1)[-4:], False), (card(2)[-4:], True)]


async def test_a_card_of_another_household_is_an_error_of_its_row(county: County):
    first, second = [await county.hear_household(n) for n in (1, 2)]
    await county.import_payees([(first, "王一", card(1), "农商行")])
    answer = await county.import_payees([(second, "王二", card(1), "农商行")])
    assert [(e["row"], e["code"]) for e in answer.json()["errors"]] == [(2, "card_taken")]
    assert card(1) not in answer.text


async def test_a_card_twice_in_one_file_is_an_error(county: County):
    first, second = [await county.hear_household(n) for n in (1, 2)]
    answer = await county.import_payees([(first, "王一", card(1), "农商行"), (second, "王二", card(1), "农商行")])
    assert [e["code"] for e in answer.json()["errors"]] == ["duplicate_in_file"]


async def test_two_households_may_swap_their_cards_in_one_file(county: County):
    first, second = [await county.hear_household(n) for n in (1, 2)]
    await county.import_payees([(first, "王一", card(1), "农商行"), (second, "王二", card(2), "农商行")])
    answer = await county.import_payees([(first, "王一", card(2), "农商行"), (second, "王二", card(1), "农商行")])
    assert (answer.json()["state"], answer.json()["changed"]) == ("applied", 2)


async def test_bad_rows_change_nothing_unless_the_good_ones_are_asked_for(county: County):
    no = await county.hear_household(1)
    rows = [
        (no, "王一", card(1), "农商行"),
        ("NOBODY", "李二", card(2), "农商行"),
        (household_no(1), "王一", "12", "农商行"),
    ]
    assert (await county.import_payees(rows)).json()["state"] == "refused"
    assert (await county.finance.get("/funds/v1/payees")).json()["items"] == []
    valid = (await county.import_payees(rows[:2], mode="valid")).json()
    assert (valid["accepted"], valid["rejected"], valid["state"]) == (1, 1, "applied")


async def test_a_refused_file_comes_back_with_its_wrong_cells_marked(county: County):
    no = await county.hear_household(1)
    result = (await county.import_payees([(no, "王一", "12", "农商行")])).json()
    report = await county.finance.get(result["report"])
    cell = openpyxl.load_workbook(io.BytesIO(report.content))["收款账户"]["C2"]
    assert (cell.value, cell.fill.start_color.rgb) == ("12", "FFF8C9C4")
    town = county.who(Role.FINANCE, division=TOWN)
    assert (await town.get(result["report"])).status_code == 404


async def test_a_dry_run_says_what_would_happen_and_does_not(county: County):
    no = await county.hear_household(1)
    answer = (await county.import_payees([(no, "王一", card(1), "农商行")], dry_run=True)).json()
    assert (answer["accepted"], answer["state"]) == (1, "checked")
    assert (await county.finance.get("/funds/v1/payees")).json()["items"] == []


async def test_a_household_of_another_town_is_unknown(county: County):
    no = await county.hear_household(1, division=OTHER_VILLAGE)
    await county.import_payees([(no, "王一", card(1), "农商行")])
    town = county.who(Role.FINANCE, division=TOWN)
    sheet = f"户编号,户名,银行卡号,开户银行\n{no},王一,{card(2)},农商行\n"
    answer = await town.post("/funds/v1/imports/payees", content=sheet.encode())
    assert [e["code"] for e in answer.json()["errors"]] == ["unknown_household"]
    assert (await town.get("/funds/v1/payees")).json()["items"] == []
    theirs = await county.who(Role.FINANCE, division=OTHER_TOWN).get("/funds/v1/payees", household_no=no)
    assert len(theirs.json()["items"]) == 1


async def test_an_account_lies_where_its_household_lives_today(county: County):
    no = await county.hear_household(1)
    await county.import_payees([(no, "王一", card(1), "农商行")])
    await county.hear_household(1, division=OTHER_VILLAGE)
    before, after = (county.who(Role.FINANCE, division=town) for town in (TOWN, OTHER_TOWN))
    assert (await before.get("/funds/v1/payees")).json()["items"] == []
    assert [(p["household_no"], p["division"]) for p in (await after.get("/funds/v1/payees")).json()["items"]] == [
        (no, OTHER_VILLAGE)
    ]


async def test_the_template_is_read_by_the_import(county: County):
    answer = await county.finance.get("/funds/v1/imports/payees/template")
    assert answer.headers["content-type"].startswith("application/vnd.openxmlformats")
    with pytest.raises(sheets.WrongFile) as refusal:
        sheets.read(answer.content, PAYEES)
    assert refusal.value.code == "file_empty"


async def test_a_file_that_is_no_sheet_is_refused(county: County):
    answer = await county.finance.post("/funds/v1/imports/payees", content=b"\x89PNG\r\n")
    assert answer.status_code == 422


async def test_a_tranche_line_shows_whether_it_can_be_paid(county: County):
    first, _ = [await county.hear_household(n) for n in (1, 2)]
    await county.import_payees([(first, "王一", card(1), "农商行")])
    project = await county.project()
    created(await county.allocate(project, await county.source(), 1_000))
    id = created(await county.tranche(project, 1_000))["id"]
    lines = (await county.finance.get(f"/funds/v1/tranches/{id}/lines")).json()["items"]
    assert [line["payee_last4"] for line in lines] == [card(1)[-4:], None]
