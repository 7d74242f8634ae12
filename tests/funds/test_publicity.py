"""Publicity: day zero is the day of posting, an objection outlasts the days, the public list names nobody."""

import asyncio
from datetime import date, timedelta

import pytest
from funds_county import County, card, created, household_no, refused
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from services.funds.publicity.domain import (
    Notice,
    NotPublished,
    ObjectionOpen,
    ObjectionUpheld,
    PublicityNotElapsed,
    require_publicity,
)
from services.funds.publicity.store import objection
from shared.ids import new_id
from shared.roles import Role
from shared.tables import idempotency
from shared.testing import OTHER_TOWN, TOWN

POSTED = date(2016, 11, 1)


def notice(**given) -> Notice:
    return Notice(**{"id": new_id(), "posted_on": POSTED, "days": 10, "digest": "d", **given})


@pytest.mark.rule("FND-028")
@given(st.integers(1, 60), st.integers(0, 80), st.integers(0, 3), st.integers(0, 2))
def test_the_gate_opens_exactly_when_the_days_are_over_and_nobody_objects(days, passed, open_objections, upheld):
    shown = notice(days=days, open_objections=open_objections, upheld_objections=upheld)
    today = POSTED + timedelta(days=passed)
    if passed < days:
        with pytest.raises(PublicityNotElapsed) as refusal:
            require_publicity(shown, today)
        assert refusal.value.facts["days_left"] == days - passed
    elif open_objections:
        with pytest.raises(ObjectionOpen):
            require_publicity(shown, today)
    elif upheld:
        with pytest.raises(ObjectionUpheld):
            require_publicity(shown, today)
    else:
        assert require_publicity(shown, today) is shown


@pytest.mark.rule("FND-031")
def test_what_was_never_published_does_not_pass():
    with pytest.raises(NotPublished):
        require_publicity(None, POSTED)


@pytest.mark.rule("FND-032")
async def test_the_days_come_from_the_pack_and_count_down(county: County):
    id = await county.ready_tranche()
    shown = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]
    assert (shown["posted_on"], shown["ends_on"], shown["days_left"]) == ("2016-11-01", "2016-11-11", 10)
    county.live.pass_days(9)
    assert (await county.finance.get(f"/funds/v1/notices/{shown['id']}")).json()["days_left"] == 1


@pytest.mark.rule("FND-031")
async def test_the_public_list_shows_masked_names_and_no_numbers_of_people(county: County):
    id = await county.ready_tranche(households=2)
    found = (await county.who(Role.TEAM_MEMBER).get("/funds/v1/notices", subject=f"tranche:{id}")).json()["items"][0]
    assert found["content"]["amount_yuan"] == "1000.00"
    assert [fund["fund_no"] for fund in found["content"]["funds"]] == ["F-1", "F-2"]
    lines = await county.who(Role.TEAM_MEMBER).get(f"/funds/v1/notices/{found['id']}/lines")
    assert [(x["line"], x["name_masked"], x["people"]) for x in lines.json()["items"]] == [(1, "王*", 1), (2, "王*", 2)]
    assert household_no(1) not in lines.text
    assert card(1)[-4:] not in lines.text


async def test_a_list_is_read_page_by_page(county: County):
    id = await county.ready_tranche(households=3)
    path = f"/funds/v1/notices/{(await county.finance.get(f'/funds/v1/tranches/{id}')).json()['notice']['id']}/lines"
    first = (await county.finance.get(path, limit=2)).json()
    second = (await county.finance.get(path, limit=2, after=first["next"])).json()
    assert [x["line"] for page in (first, second) for x in page["items"]] == [1, 2, 3]


async def test_a_subject_has_one_notice(county: County):
    id = await county.ready_tranche()
    answer = await county.who(Role.FINANCE).post("/funds/v1/notices", {"subject": f"tranche:{id}", "place": "公示栏"})
    assert refused(answer) == (409, "already_published")


@pytest.mark.rule("FND-031")
async def test_a_project_is_published_after_its_allocation(county: County):
    project = await county.project()
    order = {"subject": f"project:{project}", "place": "县政府网站"}
    assert refused(await county.finance.post("/funds/v1/notices", order)) == (409, "nothing_to_publish")
    created(await county.allocate(project, await county.source(), 500))
    posted = created(await county.finance.post("/funds/v1/notices", order))
    assert posted["content"]["funds"][0]["amount_yuan"] == "5.00"
    assert (await county.finance.get(f"/funds/v1/notices/{posted['id']}/lines")).json() == {"items": [], "next": None}


async def test_an_unknown_subject_cannot_be_published(county: County):
    order = {"subject": f"project:{new_id()}", "place": "公示栏"}
    assert refused(await county.finance.post("/funds/v1/notices", order)) == (404, "subject_unknown")
    assert (await county.finance.post("/funds/v1/notices", {**order, "subject": "village:1"})).status_code == 422


async def test_who_applied_does_not_answer_what_is_objected_to_his_list(county: County):
    id = await county.ready_tranche()
    notice_id = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    clerk = county.who(Role.VILLAGE_CLERK)
    objection = created(await clerk.post(f"/funds/v1/notices/{notice_id}/objections", {"text": "漏了张三家"}))
    path = f"/funds/v1/notices/{notice_id}/objections/{objection['id']}/answers"
    answer = {"finding": "rejected", "text": "不成立"}
    applicant = county.who(Role.TOWN_OFFICE, subject="applicant-1")
    assert refused(await applicant.post(path, answer)) == (409, "same_person")
    created(await county.who(Role.TOWN_OFFICE).post(path, answer))


async def test_another_person_answers_an_objection_once(county: County):
    id = await county.ready_tranche()
    notice_id = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    office = county.who(Role.POVERTY_OFFICE)
    objection = created(await office.post(f"/funds/v1/notices/{notice_id}/objections", {"text": "金额不对"}))
    path = f"/funds/v1/notices/{notice_id}/objections/{objection['id']}/answers"
    answer = {"finding": "upheld", "text": "属实"}
    assert refused(await office.post(path, answer)) == (409, "same_person")
    given = created(await county.who(Role.DISCIPLINE).post(path, answer))
    assert (given["finding"], given["answered_by"]) == ("upheld", "discipline-1")
    shown = (await office.get(f"/funds/v1/notices/{notice_id}/objections")).json()["items"]
    assert [(one["text"], one["answer"], one["answered_by"]) for one in shown] == [("金额不对", "属实", "discipline-1")]
    assert refused(await county.who(Role.FINANCE).post(path, answer)) == (409, "already_answered")


async def test_an_upheld_objection_stops_the_payment_for_good(county: County):
    id = await county.ready_tranche()
    notice_id = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    path = f"/funds/v1/notices/{notice_id}/objections"
    objection = created(await county.who(Role.VILLAGE_CLERK).post(path, {"text": "重复"}))
    created(
        await county.who(Role.DISCIPLINE).post(
            f"{path}/{objection['id']}/answers", {"finding": "upheld", "text": "属实"}
        )
    )
    county.live.pass_days(10)
    assert refused(await county.pay(id)) == (409, "objection_upheld")


async def test_what_an_objection_says_is_kept_sealed(county: County):
    id = await county.ready_tranche()
    notice_id = (await county.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    created(
        await county.who(Role.VILLAGE_CLERK).post(f"/funds/v1/notices/{notice_id}/objections", {"text": "漏了张三家"})
    )
    async with county.live.service.database.read() as tx:
        for table in (objection, idempotency):  # the answer to the POST is kept there, to be given again
            rows = (await tx.execute(select(table))).all()
            assert rows
            assert "张三" not in str(rows)
            assert "张三".encode() not in b"".join(row.body for row in rows if table is idempotency)
    answer = await county.who(Role.VILLAGE_CLERK).get(f"/funds/v1/notices/{notice_id}/objections")
    assert refused(answer) == (403, "forbidden")


async def test_another_town_cannot_tell_that_a_notice_exists(county: County):
    await county.hear_household(1)
    project = await county.project(division=TOWN)
    created(await county.allocate(project, await county.source(), 500))
    posted = await county.publish(f"project:{project}")
    theirs, ours = (county.who(Role.TOWN_OFFICE, division=town) for town in (OTHER_TOWN, TOWN))
    assert (await ours.get(f"/funds/v1/notices/{posted}")).status_code == 200
    assert refused(await theirs.get(f"/funds/v1/notices/{posted}")) == (404, "notice_unknown")
    assert (await theirs.get("/funds/v1/notices")).json()["items"] == []
    order = {"text": "异议"}
    assert refused(await theirs.post(f"/funds/v1/notices/{posted}/objections", order)) == (404, "notice_unknown")


async def test_objections_are_read_page_by_page_in_the_order_raised(county_on_both: County):
    id = await county_on_both.ready_tranche(households=1)
    notice_id = (await county_on_both.finance.get(f"/funds/v1/tranches/{id}")).json()["notice"]["id"]
    path, clerk = f"/funds/v1/notices/{notice_id}/objections", county_on_both.who(Role.VILLAGE_CLERK)
    await asyncio.gather(*(clerk.post(path, {"text": f"异议{n}"}) for n in range(3)))
    auditor = county_on_both.who(Role.AUDITOR)
    first = (await auditor.get(path, limit=2)).json()
    rest = (await auditor.get(path, limit=2, after=first["next"])).json()
    assert [one["number"] for one in first["items"] + rest["items"]] == [1, 2, 3]
    assert rest["next"] is None


async def test_of_two_notices_posted_at_once_one_stands(county_on_both: County):
    await county_on_both.hear_household(1)
    project = await county_on_both.project()
    created(await county_on_both.allocate(project, await county_on_both.source(), 500))
    order = {"subject": f"project:{project}", "place": "公示栏"}
    office = county_on_both.who(Role.POVERTY_OFFICE)
    answers = await asyncio.gather(*(office.post("/funds/v1/notices", order) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "already_published"}
