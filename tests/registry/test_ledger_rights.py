"""Who keeps which ledger stands in the county's pack: it narrows what the gates let pass, and never widens it."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from services.registry.divisions import store as divisions
from services.registry.households.imports import PEOPLE
from services.registry.roles import HELPERS, REGISTRARS, Ledger
from shared.policy import PolicyBook
from shared.roles import Role
from shared.scope import level_of, parent_of
from shared.testing import COUNTY, TOWN

PINGLI = Path(__file__).parents[2] / "policies" / "pingli.yaml"


def keep(registry, folder, **keepers):
    """From now on the county's pack names these keepers."""
    pack = yaml.safe_load(PINGLI.read_text(encoding="utf-8"))
    pack["parameters"]["registry.ledger_rights"]["value"] |= keepers
    folder.mkdir(exist_ok=True)
    (folder / "pingli.yaml").write_text(yaml.safe_dump(pack, allow_unicode=True), encoding="utf-8")
    registry.live.service.policies = PolicyBook.load(folder)


def problem(answer):
    body = answer.json()
    return answer.status_code, body["code"], body.get("ledger"), body.get("needs")


@pytest.mark.rule("REG-006")
async def test_dynamic_monitoring_is_kept_by_whom_the_pack_names(small, tmp_path):
    home = await small.household()
    path, change = f"/registry/v1/households/{home.id}", {"remark": "改", "reason": "核对"}
    keep(small, tmp_path / "narrow", monitoring=["statistics"])
    assert problem(await small.town.patch(path, change, etag='"2"')) == (
        403, "ledger_of_another_office", "monitoring", ["statistics"],
    )  # fmt: skip
    member = {**small.person(), "reason": "迁入"}
    assert (await small.town.post(f"{path}/members", member, headers={"if-match": '"2"'})).json()[
        "code"
    ] == "ledger_of_another_office"
    assert (await small.live.as_(Role.STATISTICS).patch(path, change, etag='"2"')).status_code == 200


async def test_who_moves_a_household_to_another_county_keeps_the_ledger_there_too(small):
    home, town, village = await small.household(), "610925100000", "610925100201"
    rows = [
        {"code": code, "name": code, "level": level_of(code), "parent": parent_of(code)} for code in (town, village)
    ]
    async with small.live.service.work() as work:
        await divisions.add(work.tx, [row | {"predecessors": [], "version": 1} for row in rows])
    both = small.live.as_(Role.STATISTICS, division=[COUNTY, "610925000000"])
    answer = await both.patch(f"/registry/v1/households/{home.id}", {"division": village, "reason": "迁出"}, etag='"2"')
    assert problem(answer)[:2] == (409, "policy_missing")


@pytest.mark.rule("REG-006")
async def test_a_file_for_a_ledger_of_another_office_enters_nothing(small, tmp_path):
    home = await small.household()
    keep(small, tmp_path / "narrow", registration=["statistics"])
    child = {
        "household_no": home.household_no, "name": "甲", "sex": "男", "id_number": small.person()["id_number"],
        "relation": "之子", "ethnic": "汉族", "education": "小学", "student": "01", "health": "01", "labour": "01",
        "dibao": "否", "insured": "是", "pension": "是",
    }  # fmt: skip
    lines = ([column.title for column in PEOPLE.columns], [child.get(column.key, "") for column in PEOPLE.columns])
    path, file = "/registry/v1/imports/people", "\n".join(map(",".join, lines)).encode()
    assert problem(await small.town.post(path, content=file)) == (
        403, "ledger_of_another_office", "registration", ["statistics"],
    )  # fmt: skip
    done = (await small.live.as_(Role.STATISTICS, division=TOWN).post(path, content=file)).json()
    assert (done["state"], done["created"]) == ("applied", 1), done


@pytest.mark.rule("REG-006")
async def test_measures_are_given_and_ended_by_their_keeper(small, tmp_path):
    home = await small.household()
    measure = await small.give(home.id)
    keep(small, tmp_path / "narrow", measures=["town_office"])
    order = {"household_id": str(home.id), "pathway": "education", "year": 2016, "started_on": "2016-03-01"}
    refused = (403, "ledger_of_another_office", "measures", ["town_office"])
    assert problem(await small.office.post("/registry/v1/measures", order)) == refused
    ending = {"ended_on": "2016-11-01", "reason": "出售"}
    path = f"/registry/v1/measures/{measure['id']}/end"
    assert problem(await small.office.post(path, ending, headers={"if-match": '"1"'})) == refused
    assert (await small.town.post(path, ending, headers={"if-match": '"1"'})).status_code == 200


async def test_a_pack_does_not_widen_a_gate(small, tmp_path):
    home = await small.household()
    keep(small, tmp_path / "wide", monitoring=["poverty_office"])
    change = {"remark": "改", "reason": "核对"}
    answer = await small.office.patch(f"/registry/v1/households/{home.id}", change, etag='"2"')
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_pinglis_pack_names_keepers_for_every_ledger_within_the_gates():
    book = PolicyBook.load(PINGLI.parent)
    rights = book.value("registry.ledger_rights", COUNTY, date(2016, 11, 1))
    assert set(rights) == set(Ledger)
    assert set(rights["registration"]) == set(REGISTRARS)
    assert set(rights["measures"]) == set(HELPERS)
