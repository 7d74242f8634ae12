"""Who is reached, and how."""

from datetime import date

import pytest

from services.notify.contacts.domain import Appointment, recipients
from services.notify.contacts.imports import mobile
from shared.events.assessment import CadreAppointed, Post
from shared.events.registry import DivisionRecorded
from shared.roles import Role
from shared.scope import Level
from shared.sheets import CellError
from shared.testing import COUNTY, OTHER_TOWN, TOWN

PHONE, OTHER_PHONE = "19900000001", "19900000002"


def appointment(cadre_no, post, **given):
    fields = {"unit": "u", "division": TOWN, "county": COUNTY, "since": date(2016, 1, 1), "until": None, **given}
    return Appointment(cadre_no=cadre_no, post=post, **fields)


@pytest.mark.parametrize("written", ["19900000001", "１９９００００００01", "+86 199 0000 0001", "199-0000-0001"])
def test_a_mobile_number_is_read_in_every_spelling(written):
    assert mobile(written) == PHONE


@pytest.mark.parametrize("written", ["0915-8412345", "12317", "+1 202 555 0143", "1990000000", "手机"])
def test_what_is_no_mobile_number_of_the_mainland_is_refused(written):
    with pytest.raises(CellError):
        mobile(written)


@pytest.mark.rule("NTF-001")
def test_all_holders_of_the_posts_are_recipients_and_nobody_else():
    posts = [appointment("A", "county_leader"), appointment("B", "town_chief"), appointment("C", "paired_cadre")]
    assert list(recipients(posts, ["county_leader", "town_chief"], date(2016, 11, 7))) == ["A", "B"]


def test_who_holds_two_posts_is_one_recipient_for_the_first():
    posts = [appointment("A", "town_chief"), appointment("A", "county_leader")]
    chosen = recipients(posts, ["county_leader", "town_chief"], date(2016, 11, 7))
    assert [a.post for a in chosen.values()] == ["county_leader"]


def test_who_left_on_a_day_is_no_recipient_of_that_day():
    posts = [appointment("A", "town_chief", until=date(2016, 11, 7))]
    assert list(recipients(posts, ["town_chief"], date(2016, 11, 6))) == ["A"]
    assert not recipients(posts, ["town_chief"], date(2016, 11, 7))


async def test_an_appointment_heard_twice_is_one_recipient(county):
    event = CadreAppointed(cadre_no="A", post=Post.TOWN_CHIEF, unit="镇政府", division=TOWN, since=date(2016, 1, 1))
    await county.live.hear(event, division=TOWN, times=2)
    items = (await county.office.get("/notify/v1/contacts")).json()["items"]
    assert [(item["cadre_no"], item["post"]) for item in items] == [("A", "town_chief")]


async def test_a_division_heard_twice_gives_its_name_once(county):
    await county.appoint("A")
    event = DivisionRecorded(code=TOWN, name="城关镇", level=Level.TOWN, parent=COUNTY)
    await county.live.hear(event, division=TOWN, times=2)
    items = (await county.office.get("/notify/v1/contacts")).json()["items"]
    assert [item["place"] for item in items] == ["城关镇"]


async def test_phones_are_imported_and_shown_masked(county):
    await county.appoint("A")
    answer = await county.enter_phones({"A": "１９９ ００００ ０００１"})
    assert (answer.json()["accepted"], answer.json()["state"]) == (1, "applied")
    shown = await county.office.get("/notify/v1/contacts")
    assert shown.json()["items"][0]["phone_masked"].startswith("199")
    assert PHONE not in shown.text


async def test_a_file_with_a_wrong_row_changes_nothing(county):
    await county.appoint("A")
    answer = await county.enter_phones({"A": PHONE, "NOBODY": OTHER_PHONE})
    assert (answer.json()["state"], answer.json()["rejected"]) == ("refused", 1)
    errors = answer.json()["errors"]
    assert [(e["row"], e["column"], e["code"]) for e in errors] == [(3, "干部编号", "unknown_cadre")]
    assert (await county.office.get("/notify/v1/contacts")).json()["items"][0]["phone_masked"] is None


async def test_the_phone_of_who_has_left_the_county_is_the_new_countys_to_enter(county):
    await county.appoint("A", until=date(2016, 11, 1))
    await county.appoint("A", unit="外县", division="421100000000", since=date(2016, 11, 1))
    answer = await county.enter_phones({"A": PHONE})
    assert [error["code"] for error in answer.json()["errors"]] == ["unknown_cadre"]


async def test_the_good_rows_are_taken_when_asked_for(county):
    await county.appoint("A")
    answer = await county.enter_phones({"A": PHONE, "NOBODY": OTHER_PHONE}, mode="valid")
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (1, 1)
    assert (await county.office.get("/notify/v1/contacts")).json()["items"][0]["phone_masked"] is not None


async def test_a_dry_run_says_the_same_and_changes_nothing(county):
    await county.appoint("A")
    answer = await county.enter_phones({"A": PHONE}, dry_run=True)
    assert (answer.json()["accepted"], answer.json()["state"]) == (1, "checked")
    assert (await county.office.get("/notify/v1/contacts")).json()["items"][0]["phone_masked"] is None


async def test_the_same_file_again_changes_nothing(county):
    await county.person("A", PHONE)
    assert (await county.enter_phones({"A": PHONE})).json()["unchanged"] == 1


async def test_one_number_belongs_to_one_cadre(county):
    await county.person("A", PHONE)
    await county.appoint("B")
    answer = await county.enter_phones({"B": PHONE})
    assert [e["code"] for e in answer.json()["errors"]] == ["phone_taken"]


async def test_two_cadres_may_swap_their_numbers(county):
    await county.person("A", PHONE)
    await county.person("B", OTHER_PHONE)
    assert (await county.enter_phones({"A": OTHER_PHONE, "B": PHONE})).json()["accepted"] == 2


async def test_a_number_is_not_free_when_the_row_that_would_free_it_is_wrong(county):
    await county.person("A", PHONE)
    await county.appoint("B")
    answer = await county.enter_phones({"A": "12317", "B": PHONE}, mode="valid")
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (0, 2)


async def test_the_template_is_the_sheet_that_is_asked_for(county):
    sheet = await county.office.get("/notify/v1/imports/contacts/template")
    answer = await county.office.post("/notify/v1/imports/contacts", content=sheet.content)
    assert (answer.status_code, answer.json()["code"]) == (422, "file_empty")  # known by its header, only without rows


async def test_a_town_sees_its_own_people_only(county):
    await county.appoint("A", division=TOWN)
    await county.appoint("B", division=OTHER_TOWN)
    town = county.live.as_(Role.TOWN_OFFICE, division=TOWN)
    assert [item["cadre_no"] for item in (await town.get("/notify/v1/contacts")).json()["items"]] == ["A"]


async def test_a_caller_of_another_area_cannot_enter_a_phone(county):
    await county.appoint("A", division=TOWN)
    other = county.live.as_(Role.POVERTY_OFFICE, division=OTHER_TOWN)
    answer = await other.post("/notify/v1/imports/contacts", content=f"干部编号,手机号\nA,{PHONE}\n".encode())
    assert [e["code"] for e in answer.json()["errors"]] == ["unknown_cadre"]


async def test_recipients_are_paged_in_order(county):
    for number in ("C", "A", "B"):
        await county.appoint(number)
    first = (await county.office.get("/notify/v1/contacts", limit=2)).json()
    second = (await county.office.get("/notify/v1/contacts", limit=2, after=first["next"])).json()
    assert [item["cadre_no"] for item in first["items"] + second["items"]] == ["A", "B", "C"]
    assert second["next"] is None


async def test_the_database_holds_no_number_in_the_clear(county):
    await county.person("A", PHONE)
    async with county.live.service.database.read() as tx:
        dump = str((await tx.exec_driver_sql("select * from contact")).all())
    assert PHONE not in dump
