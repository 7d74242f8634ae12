"""The directory: imported, shown masked, kept to its area."""

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessment.directory.domain import Appointment, PostKind, main_post
from services.assessment.directory.store import cadres
from shared.roles import Role
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE
from tests.assessment.conftest import CADRES, HEADER

APPOINTED = "assessment.cadre_appointed.v1"
LEADER = ("L-1", "赵明远", "县级领导", "县长", "平利县人民政府", COUNTY, "2016-03-01")


async def appointed(county):
    return [body for type, body in await county.live.recorded() if type == APPOINTED]


async def cadre(county, number="S-1"):
    return await county.office.get(f"/assessment/v1/cadres/{number}")


async def test_an_imported_cadre_is_announced_to_the_house(county):
    await county.import_directory(LEADER)
    assert (await appointed(county))[-1] == {
        "cadre_no": "L-1",
        "post": "county_leader",
        "unit": "平利县人民政府",
        "division": COUNTY,
        "since": "2016-03-01",
        "until": None,
    }


async def test_the_same_file_again_changes_nothing(county):
    before = await appointed(county)
    again = (await county.import_directory(*CADRES)).json()
    assert (again["accepted"], again["unchanged"]) == (3, 3)
    assert await appointed(county) == before


async def test_a_corrected_row_changes_the_post_it_names(county):
    number, name, post, _, unit, division, since = CADRES[0]
    answer = await county.import_directory((number, name, post, "队长", unit, division, since))
    assert (answer.json()["created"], answer.json()["changed"]) == (0, 1)
    found = (await cadre(county)).json()
    assert [each["title"] for each in found["posts"]] == ["队长"]
    assert found["version"] == 2


async def test_names_are_sealed_in_the_database_and_masked_in_every_answer(county):
    async with county.live.service.database.read() as tx:
        kept = [dict(row) for row in (await tx.execute(cadres.select())).mappings()]
    assert "王立春" not in str(kept)
    listed = await county.office.get("/assessment/v1/cadres")
    assert "王**" in listed.text
    assert "王立春" not in listed.text


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        (("L-1", "赵明远", "县级领导", "", "县政府", TOWN, "2016-03-01"), "行政区划代码", "wrong_level"),
        (("L-1", "赵明远", "第一书记", "", "县政府", "610926102201", "2016-03-01"), "行政区划代码", "unknown_division"),
        (("L-1", "赵明远", "书记员", "", "县政府", COUNTY, "2016-03-01"), "职务类别", "not_in_list"),
        (("L-1", "13800000000", "县级领导", "", "县政府", COUNTY, "2016-03-01"), "姓名", "bad_name"),
        (("L-1", "赵明远", "县级领导", "", "县政府", COUNTY, "2016-13-01"), "任职日期", "bad_date"),
    ],
)
async def test_a_wrong_row_is_named_and_the_file_changes_nothing(county, row, column, code):
    answer = await county.import_directory((*LEADER[:1], "孙一", *LEADER[2:6], "2016-04-01"), row)
    assert (answer.status_code, answer.json()["state"]) == (201, "refused")
    errors = answer.json()["errors"]
    assert (column, code) in {(e["column"], e["code"]) for e in errors}
    assert (await cadre(county, "L-1")).status_code == 404


async def test_the_good_rows_are_taken_when_asked_for(county):
    wrong = ("L-2", "钱一", "县级领导", "", "县政府", TOWN, "2016-03-01")
    answer = (await county.import_directory(LEADER, wrong, mode="valid")).json()
    assert (answer["accepted"], answer["rejected"], answer["state"]) == (1, 1, "applied")
    assert (await cadre(county, "L-1")).status_code == 200


async def test_a_trial_run_changes_nothing(county):
    answer = (await county.import_directory(LEADER, dry_run=True)).json()
    assert (answer["accepted"], answer["state"]) == (1, "checked")
    assert (await cadre(county, "L-1")).status_code == 404


async def test_a_number_with_two_names_is_refused(county):
    second = ("L-1", "赵明近", "县级领导", "", "县委", COUNTY, "2016-03-01")
    errors = (await county.import_directory(LEADER, second)).json()["errors"]
    assert [e["code"] for e in errors] == ["name_differs"]


async def test_a_post_ends_and_the_house_hears_it(county):
    found = await cadre(county)
    post = found.json()["posts"][0]["id"]
    path = f"/assessment/v1/cadres/S-1/posts/{post}/endings"
    tag = {"if-match": found.headers["etag"]}
    early = await county.office.post(path, {"until": "2015-07-01"}, headers=tag)
    assert (early.status_code, early.json()["code"]) == (409, "ends_before_it_began")
    ended = await county.office.post(path, {"until": "2016-11-10"}, headers=tag)
    assert ended.json()["posts"][0]["until"] == "2016-11-10"
    assert (await appointed(county))[-1]["until"] == "2016-11-10"
    again = await county.office.post(path, {"until": "2016-11-11"}, headers={"if-match": ended.headers["etag"]})
    assert (again.status_code, again.json()["code"]) == (409, "post_ended")
    assert (await county.office.post(path, {"until": "2016-11-11"}, headers=tag)).status_code == 412


async def test_who_held_a_post_on_a_day_is_listed_for_it(county):
    await county.import_directory(LEADER)
    listed = await county.office.get("/assessment/v1/cadres", on="2016-01-01")
    assert [c["cadre_no"] for c in listed.json()["items"]] == ["S-1", "S-2", "T-1"]
    listed = await county.office.get("/assessment/v1/cadres", post="county_leader")
    assert [c["cadre_no"] for c in listed.json()["items"]] == ["L-1"]


async def test_a_cadre_takes_a_second_post_once(county):
    tag = {"if-match": (await cadre(county)).headers["etag"]}
    order = {"post": "paired_cadre", "unit": "县财政局", "division": OTHER_VILLAGE, "since": "2016-11-01"}
    path = "/assessment/v1/cadres/S-1/posts"
    taken = await county.office.post(path, order, headers=tag)
    assert [each["post"] for each in taken.json()["posts"]] == ["first_secretary", "paired_cadre"]
    again = await county.office.post(path, order, headers={"if-match": taken.headers["etag"]})
    assert (again.status_code, again.json()["code"]) == (409, "post_held")
    wrong = await county.office.post(path, order | {"division": TOWN}, headers={"if-match": taken.headers["etag"]})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong_level")


async def test_a_town_sees_its_own_cadres_and_no_others(county):
    office = county.live.as_(Role.TOWN_OFFICE, division=TOWN)
    listed = await office.get("/assessment/v1/cadres")
    assert [c["cadre_no"] for c in listed.json()["items"]] == ["S-1", "T-1"]
    assert (await office.get("/assessment/v1/cadres/S-2")).status_code == 404


async def test_the_number_of_a_cadre_elsewhere_is_taken_and_nothing_else_is_told(county):
    sheet = io.StringIO()
    csv.writer(sheet).writerows([HEADER, ("S-2", "周一", "第一书记", "", "县政府", VILLAGE, "2016-03-01")])
    office = county.live.as_(Role.POVERTY_OFFICE, division=TOWN)
    answer = await office.post("/assessment/v1/imports/directory", content=sheet.getvalue().encode())
    assert [e["code"] for e in answer.json()["errors"]] == ["number_taken"]
    assert OTHER_TOWN not in answer.text


async def test_the_template_is_a_workbook(county):
    answer = await county.office.get("/assessment/v1/imports/directory/template")
    assert answer.content.startswith(b"PK")


appointments = st.builds(
    Appointment,
    cadre_no=st.just("S-1"),
    post=st.sampled_from(PostKind),
    title=st.just(""),
    unit=st.sampled_from(["a", "b"]),
    division=st.sampled_from([VILLAGE, OTHER_VILLAGE]),
    since=st.dates(date(2015, 1, 1), date(2015, 1, 3)),
)


@given(st.lists(appointments, min_size=1, max_size=6, unique_by=lambda a: a.identity), st.randoms())
def test_the_post_a_cadre_is_assessed_in_does_not_depend_on_the_order_of_the_list(posts, random):
    chosen = main_post(posts)
    random.shuffle(posts)
    assert main_post(posts) == chosen
    assert chosen.since == max(post.since for post in posts)


async def test_a_post_that_another_area_has_is_refused_in_both_ways_of_entering_it(county):
    """S-1 has a post in each town; the second town's office enters the first one's again, as its own."""
    await county.import_directory(("S-1", "王立春", "第一书记", "", "县农业局", OTHER_VILLAGE, "2015-01-01"))
    office = county.live.as_(Role.POVERTY_OFFICE, division=OTHER_TOWN)
    again = {"post": "first_secretary", "unit": "县财政局", "division": OTHER_VILLAGE, "since": "2015-07-01"}
    shown = await office.get("/assessment/v1/cadres/S-1")
    answer = await office.post("/assessment/v1/cadres/S-1/posts", again, headers={"if-match": shown.headers["etag"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "post_held")
    row = ("S-1", "王立春", "第一书记", "", "县财政局", OTHER_VILLAGE, "2015-07-01")
    sheet = "\n".join(",".join(cells) for cells in (HEADER, row)).encode()
    imported = (await office.post("/assessment/v1/imports/directory", content=sheet)).json()
    assert [error["code"] for error in imported["errors"]] == ["post_held"]
