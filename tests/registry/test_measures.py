"""Measures through the API and from files."""

import asyncio
from datetime import date

import pytest

from services.registry.measures.imports import KIND, MEASURES
from shared.events.registry import MeasureChanged
from shared.roles import Role
from shared.sheets import Checked, ValidRow
from shared.testing import OTHER_TOWN, OTHER_VILLAGE

PATH = "/registry/v1/measures"


def problem(answer):
    return answer.status_code, answer.json()["code"]


async def end(registry, measure, *, etag=None, by=None, **order):
    order = {"ended_on": "2016-11-01", "reason": "已脱贫", **order}
    return await (by or registry.office).post(
        f"{PATH}/{measure['id']}/end", order, headers={"if-match": etag or f'"{measure["version"]}"'}
    )


async def test_a_measure_is_given_and_recorded(registry):
    household = await registry.household()
    measure = await registry.give(household.id, "产业扶持", "茶饮")
    assert (measure["pathway"], measure["sub"], measure["scope"]) == ("industry", "tea", "exit_target_2016")
    [fact] = await registry.facts(MeasureChanged)
    assert (fact["measure_id"], fact["household_id"], fact["ended"]) == (measure["id"], str(household.id), False)


async def test_an_ended_measure_is_recorded_and_stays_in_the_list(registry):
    measure = await registry.give((await registry.household()).id)
    ended = await end(registry, measure)
    assert (ended.status_code, ended.json()["ended_on"], ended.json()["version"]) == (200, "2016-11-01", 2)
    assert [fact["ended"] for fact in await registry.facts(MeasureChanged)] == [False, True]
    assert [item["ended_reason"] for item in (await registry.office.get(PATH)).json()["items"]] == ["已脱贫"]


async def test_a_measure_that_ended_may_be_given_again(registry):
    household = await registry.household()
    await end(registry, await registry.give(household.id))
    assert (await registry.give(household.id))["ended_on"] is None


async def test_a_measure_ends_once(small):
    measure = await small.give((await small.household()).id)
    await end(small, measure)
    assert problem(await end(small, measure, etag='"2"')) == (409, "measure_ended")


async def test_ending_from_an_old_version_is_stale(small):
    measure = await small.give((await small.household()).id)
    assert problem(await end(small, measure, etag='"9"')) == (412, "stale")


async def test_the_same_measure_is_not_given_twice(small):
    household = await small.household()
    await small.give(household.id)
    order = {
        "household_id": str(household.id),
        "pathway": "industry",
        "sub": "tea",
        "year": 2016,
        "started_on": "2016-03-01",
    }
    assert problem(await small.office.post(PATH, order)) == (409, "measure_given")


async def test_the_same_client_ref_gives_the_same_measure(small):
    household = await small.household()
    first = await small.give(household.id, client_ref="r1")
    assert (await small.give(household.id, client_ref="r1"))["id"] == first["id"]


async def test_the_list_is_filtered_and_paged(small):
    one, two = await small.household(), await small.household()
    for household in (two, one):
        await small.give(household.id, "industry", "tea")
        await small.give(household.id, "health", "")
    pages, after = [], None
    while True:
        page = (await small.office.get(PATH, limit=3, **({"after": after} if after else {}))).json()
        pages += [(item["household_no"], item["pathway"]) for item in page["items"]]
        if (after := page["next"]) is None:
            break
    assert pages == [(h.household_no, p) for h in (one, two) for p in ("industry", "health")]
    for filters, found in (
        ({"household_id": str(one.id)}, 2),
        ({"pathway": "health"}, 2),
        ({"scope": "served"}, 2),
        ({"year": 2015}, 0),
        ({"division": OTHER_TOWN}, 0),
    ):
        assert len((await small.office.get(PATH, **filters)).json()["items"]) == found


async def test_another_village_cannot_tell_that_a_measure_exists(small):
    measure = await small.give((await small.household()).id)
    stranger = small.live.as_(Role.TOWN_OFFICE, division=OTHER_VILLAGE)
    assert problem(await stranger.get(f"{PATH}/{measure['id']}")) == (404, "measure_unknown")
    assert problem(await end(small, measure, by=stranger)) == (404, "measure_unknown")
    assert (await stranger.get(PATH)).json()["items"] == []
    order = {"household_id": measure["household_id"], "pathway": "health", "year": 2016, "started_on": "2016-03-01"}
    assert (await stranger.post(PATH, order)).status_code == 404


def row(number, household_no, pathway="产业扶持", sub="茶饮", **given):
    values = {
        "household_no": household_no, "pathway": pathway, "sub": sub, "scope": None, "year": 2016, "persons": None,
        "started_on": date(2016, 3, 1), "valid_until": None, "remark": "生成", **given,
    }  # fmt: skip
    return ValidRow(number, values)


async def load(registry, rows):
    """Imports the good rows; gives the errors and the tally."""
    async with registry.live.service.work() as work:
        prepared = await KIND.prepare(work, [Checked(MEASURES, rows)])
        return prepared.sheets[0].errors, await prepared.write()


@pytest.mark.rule("REG-032")
async def test_a_file_gives_its_measures_and_records_each(registry):
    one, two = await registry.household(), await registry.household()
    errors, tally = await load(
        registry,
        [
            row(2, one.household_no),
            row(3, one.household_no, sub="养殖"),
            row(4, two.household_no, "生态补偿", "护林员", persons=2),
            row(5, two.household_no, "产业扶持", None, scope="other"),
        ],
    )
    assert (errors, tally.created) == ([], 4)
    assert [fact["sub"] for fact in await registry.facts(MeasureChanged)] == ["tea", "livestock", "ranger", None]


async def test_the_same_file_again_changes_nothing(registry):
    household = await registry.household()
    rows = [row(2, household.household_no), row(3, household.household_no, "生态补偿", "护林员", persons=2)]
    await load(registry, rows)
    errors, tally = await load(registry, rows)
    assert (errors, tally.created, tally.unchanged) == ([], 0, 2)
    assert len(await registry.facts(MeasureChanged)) == 2


@pytest.mark.parametrize(
    ("wrong", "column", "code"),
    [
        ({"household_no": "X-1"}, "户编号", "household_unknown"),
        ({"pathway": "捕鱼"}, "脱贫路径", "pathway_unknown"),
        ({"sub": "捕鱼"}, "子类", "sub_unknown"),
        ({"scope": "served"}, "统计口径", "scope_unknown"),
        ({"year": 2030}, "年度", "year_out_of_range"),
        ({"started_on": date(2017, 1, 1)}, "开始日期", "dates_cross"),
        ({"persons": 3}, "人数", "persons_wrong"),
    ],
)
async def test_a_wrong_row_is_named_by_its_column(small, wrong, column, code):
    household = await small.household()
    errors, tally = await load(small, [row(2, **{"household_no": household.household_no, **wrong})])
    assert ([(e.row, e.column, e.code) for e in errors], tally.created) == ([(2, column, code)], 0)


async def test_rows_of_one_file_must_not_contradict_each_other(small):
    household = await small.household()
    number = household.household_no
    rows = [row(2, number), row(3, number), row(4, number, "教育支持", "高中"), row(5, number, "教育支持", "义务教育")]
    errors, tally = await load(small, rows)
    assert [(e.row, e.code) for e in errors] == [(3, "repeated_in_file"), (5, "sub_disjoint")]
    assert tally.created == 2


async def test_a_row_that_differs_from_what_stands_is_told_apart(small):
    household = await small.household()
    await load(small, [row(2, household.household_no)])
    errors, _ = await load(small, [row(2, household.household_no, started_on=date(2016, 5, 1))])
    assert [(e.row, e.code) for e in errors] == [(2, "measure_given")]


async def test_a_candidate_gets_no_measures_yet(small):
    candidate = await small.candidate()
    errors, _ = await load(small, [row(2, candidate.household_no)])
    assert [(e.column, e.code) for e in errors] == [("户编号", "wrong_status")]


async def test_a_csv_file_gives_measures_or_says_which_cell_is_wrong(small):
    household = await small.household()
    head = "户编号,脱贫路径,子类,统计口径,年度,人数,开始日期"
    good, wrong = (
        f"{household.household_no},产业扶持,茶饮,,2016,,2016/3/1",
        f"{household.household_no},产业扶持,捕鱼,,2016,,2016-03-01",
    )

    async def send(*rows):
        answer = await small.office.post(
            "/registry/v1/imports/measures", content="\n".join((head, *rows)).encode("gb18030")
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    refused = await send(good, wrong)
    assert (refused["accepted"], refused["created"]) == (1, 0)
    assert [(e["row"], e["column"], e["code"]) for e in refused["errors"]] == [(3, "子类", "sub_unknown")]
    assert (await small.office.get(PATH)).json()["items"] == []
    assert (await send(good))["created"] == 1
    [measure] = (await small.office.get(PATH)).json()["items"]
    assert (measure["pathway"], measure["started_on"]) == ("industry", "2016-03-01")


async def test_two_measures_at_once_are_judged_one_after_the_other(registry):
    """A household counts once in a disjoint pathway, also when two offices give it at the same moment."""
    household = await registry.household()
    order = {"household_id": str(household.id), "pathway": "relocation", "year": 2016, "started_on": "2016-03-01"}
    answers = await asyncio.gather(
        *(registry.office.post(PATH, order | {"sub": sub}) for sub in ("turnkey", "self_build"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
