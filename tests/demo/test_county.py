"""The generated county: the published figures come out of its rows, and its people pass the checks of an import."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from demo.county import County, Household
from demo.county.figures import PUBLISHED, published
from demo.county.generate import build
from demo.county.identity import luhn_digit
from demo.county.model import MONTH_START, YEAR, Kind, Sex
from demo.county.people import age_on
from shared.events.assessment import Post
from shared.pii import TEST_CARD_PREFIX, TEST_ID_AREA, id_number_problems, is_test_phone


@pytest.fixture(scope="module", params=[1, 2])
def county(request: pytest.FixtureRequest) -> County:
    return build(request.param, published())


def persons(county: County) -> Iterator[tuple[Household, int]]:
    for household in county.households:
        for index in range(len(household.people)):
            yield household, index


def counted(county: County, pathway: str, scope: str, sub: str | None = None) -> list[int]:
    size = {household.number: len(household.people) for household in county.households}
    rows = [m for m in county.measures if (m.pathway, m.scope) == (pathway, scope) and sub in (None, m.sub)]
    if rows and all(row.persons for row in rows):
        return [len(rows), sum(row.persons or 0 for row in rows)]
    homes = {row.household_no for row in rows}
    return [len(homes), sum(size[home] for home in homes)]


def test_every_published_figure_comes_out_of_the_rows(county: County) -> None:
    pathways = json.loads(PUBLISHED.read_text(encoding="utf-8"))["pingli_2016_pathways"]
    for key, figures in pathways.items():
        assert counted(county, key, figures["scope"]) == [figures["households"], figures["people"]], key
        for sub, figure in figures.get("subs", {}).items():
            assert counted(county, key, figures["scope"], sub) == figure, (key, sub)
    assert counted(county, "industry", "entity_led") == pathways["industry"]["entity_led"]
    assert counted(county, "relocation", "year_total")[0] == pathways["relocation"]["year_total_households"]


def test_the_share_pilot_is_39_households_and_nobody_on_wubao(county: County) -> None:
    pilot = json.loads(PUBLISHED.read_text(encoding="utf-8"))["pingli_share_pilot"]
    assert counted(county, "asset_income", "share_pilot") == [pilot["households"], pilot["people"]]
    kinds = {household.number: household.kind for household in county.households}
    assert all(kinds[m.household_no] is not Kind.WUBAO for m in county.measures if m.pathway == "asset_income")


def test_a_household_has_one_sub_category_where_they_are_disjoint(county: County) -> None:
    for key, pathway in published().pathways.items():
        if pathway.disjoint:
            seen = Counter(m.household_no for m in county.measures if (m.pathway, m.scope) == (key, pathway.scope))
            assert max(seen.values()) == 1, key


def test_identity_numbers_are_valid_unique_and_of_nowhere(county: County) -> None:
    people = [person for household in county.households for person in household.people]
    assert len({person.id_number for person in people}) == len(people)
    for person in people:
        assert id_number_problems(person.id_number) is None
        assert person.id_number.startswith(TEST_ID_AREA)
        assert person.id_number[6:14] == f"{person.born:%Y%m%d}"
        assert (int(person.id_number[16]) % 2 == 1) == (person.sex is Sex.MALE)


def test_cards_pass_the_luhn_check_in_the_test_block(county: County) -> None:
    cards = [payee.card for payee in county.payees]
    assert len(set(cards)) == len(cards) == len(county.households)
    assert all(card.startswith(TEST_CARD_PREFIX) and luhn_digit(card[:-1]) == card[-1] for card in cards)


def test_luhn_digit_of_a_known_number() -> None:
    assert luhn_digit("7992739871") == "3"


def test_cadres_hold_every_post_and_phones_of_the_test_block(county: County) -> None:
    posts = Counter(cadre.post for cadre in county.cadres)
    assert posts["town_chief"] == 2 * 11
    assert posts["first_secretary"] == 152
    assert set(posts) == set(Post) - {Post.UNKNOWN}
    phones = [cadre.phone for cadre in county.cadres]
    assert len(set(phones)) == len(phones)
    assert all(map(is_test_phone, phones))


def test_each_household_has_one_head_an_adult_unless_an_orphan(county: County) -> None:
    for household in county.households:
        assert [person.relation for person in household.people].count("01") == 1
        adult = age_on(household.head.born, MONTH_START) >= 18
        assert adult == (household.kind is not Kind.ORPHAN)


def test_relations_fit_sexes_and_ages(county: County) -> None:
    for household in county.households:
        head = household.head
        for person in household.people[1:]:
            match person.relation:
                case "02":
                    assert person.sex is not head.sex
                case "03" | "04":
                    assert (person.sex is Sex.MALE) == (person.relation == "03")
                    assert head.born.year + 17 < person.born.year
                case "11" | "12":
                    assert (person.sex is Sex.MALE) == (person.relation == "11")
                    assert person.born.year + 17 < head.born.year


@pytest.mark.parametrize(
    ("sub", "students"),
    [
        ("学前一年", {"02"}),
        ("义务教育", {"03", "04", "05", "06"}),
        ("高中", {"07", "08", "09"}),
        ("中职", {"10", "11", "12"}),
        ("高职", {"13", "14", "15"}),
        ("应届大学生", {"16"}),
        ("在校大学生", {"16"}),
    ],
)
def test_an_education_household_has_such_a_student(county: County, sub: str, students: set[str]) -> None:
    by_number = {household.number: household for household in county.households}
    for measure in county.measures:
        if measure.pathway == "education" and measure.sub == sub:
            assert students & {person.student for person in by_number[measure.household_no].people}


def test_nobody_of_compulsory_school_age_is_out_of_school(county: County) -> None:
    for household in county.households:
        for person in household.people:
            if 6 <= age_on(person.born, MONTH_START) < 15:
                assert person.student in {"03", "04", "05", "06"}


def test_work_and_health_do_not_contradict_each_other(county: County) -> None:
    for household in county.households:
        for person in household.people:
            age = age_on(person.born, MONTH_START)
            assert person.labour == "04" or 16 <= age < 60
            assert bool(person.work_place) == bool(person.work_months)
            assert not person.work_place or person.labour in {"01", "02"}
        if household.kind is Kind.WUBAO:
            assert all(person.labour == "04" for person in household.people)


def test_rangers_and_migrants_are_adults_who_can_work(county: County) -> None:
    wanted: dict[str, int] = defaultdict(int)
    for measure in county.measures:
        if measure.pathway == "labour" or measure.sub == "护林员":
            wanted[measure.household_no] = max(wanted[measure.household_no], measure.persons or 1)
    by_number = {household.number: household for household in county.households}
    for number, least in wanted.items():
        assert sum(person.labour in {"01", "02"} for person in by_number[number].people) >= least


def test_causes_are_borne_out_by_the_members(county: County) -> None:
    for household in county.households:
        causes = {household.cause, household.other_cause}
        assert household.cause != household.other_cause
        if "01" in causes:
            assert any(person.health in {"02", "03"} for person in household.people)
        if "02" in causes:
            assert any(person.health == "04" for person in household.people)
        if "03" in causes:
            assert any(person.student != "01" for person in household.people)


def test_every_village_has_households_with_numbers_of_their_own(county: County) -> None:
    numbers = [household.number for household in county.households]
    assert len(set(numbers)) == len(numbers)
    assert len({household.division for household in county.households}) == 152
    assert all(
        number.startswith(household.division) for number, household in zip(numbers, county.households, strict=True)
    )


def test_the_candidate_has_no_measure_and_the_leaver_keeps_its_own(county: County) -> None:
    measured = {measure.household_no for measure in county.measures}
    assert county.candidate.status == "candidate"
    assert county.candidate.number not in measured
    assert county.leaver.number in measured


def test_the_leaver_meets_the_exit_criteria(county: County) -> None:
    leaver = county.leaver
    assert leaver.status == "registered"
    assert leaver.identified_on is not None
    assert leaver.identified_on.year < YEAR
    assert leaver.incomes_fen[YEAR] > 295_200
    assert (leaver.housing, leaver.safe_water) == ("01", True)
    assert all(person.insured for person in leaver.people)


def test_the_same_seed_gives_the_same_county_and_another_one_other_households() -> None:
    first, again, other = build(1, published()), build(1, published()), build(2, published())
    assert (again.households, again.measures, again.payees, again.cadres) == (
        first.households,
        first.measures,
        first.payees,
        first.cadres,
    )
    heads = {household.head.id_number for household in first.households}
    assert len(heads & {household.head.id_number for household in other.households}) < len(heads) / 100
