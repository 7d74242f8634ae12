"""Which measures may be given, as plain functions over Pingli's catalogue."""

from datetime import date
from pathlib import Path

import pytest

from services.registry.measures.domain import Kind, Order, classify, read_catalogue, require_endable
from shared.errors import Refusal
from shared.policy import PolicyBook
from shared.texts import holds_personal_number

TODAY = date(2016, 11, 1)
BOOK = PolicyBook.load(Path(__file__).parents[2] / "policies")
CATALOGUE = read_catalogue(BOOK.value("registry.pathways", "610926000000", TODAY))


def order(
    pathway="industry",
    sub="茶饮",
    scope="exit_target_2016",
    year=2016,
    persons=None,
    started_on=date(2016, 3, 1),
    valid_until=None,
):
    return Order(pathway, sub, scope, year, persons, started_on, valid_until)


def judge(wanted, *, status="registered", people=4, held=()):
    return classify(CATALOGUE, wanted, status=status, people=people, held=held, today=TODAY)


def code_of(wanted, **given):
    with pytest.raises(Refusal) as refused:
        judge(wanted, **given)
    return refused.value.code


@pytest.mark.parametrize(("pathway", "sub"), [("industry", "tea"), ("产业扶持", "茶饮")])
def test_pathway_and_sub_are_known_by_key_and_by_chinese_name(pathway, sub):
    assert judge(order(pathway, sub)) == Kind("industry", "tea", "exit_target_2016", 2016)


@pytest.mark.rule("REG-032")
def test_a_household_may_hold_several_pathways_and_several_subs_of_one():
    held = [judge(order("industry", "茶饮"))]
    assert judge(order("industry", "养殖"), held=held).sub == "livestock"
    assert judge(order("ecology", "退耕还林"), held=held).pathway == "ecology"


def test_a_household_counts_once_in_a_pathway_whose_subs_are_disjoint():
    held = [judge(order("education", "高中"))]
    assert code_of(order("education", "义务教育"), held=held) == "sub_disjoint"


def test_the_same_measure_is_not_given_twice():
    assert code_of(order(), held=[judge(order())]) == "measure_given"


@pytest.mark.rule("REG-031")
def test_help_goes_on_after_the_exit():
    assert judge(order(), status="exited").pathway == "industry"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (order("fishing"), "pathway_unknown"),
        (order("industry", "捕鱼"), "sub_unknown"),
        (order("industry", ""), "sub_unknown"),
        (order("industry", scope="served"), "scope_unknown"),
        (order(year=1999, started_on=date(1999, 1, 1)), "year_out_of_range"),
        (order(year=2018), "year_out_of_range"),
        (order(started_on=date(2017, 1, 1)), "dates_cross"),
        (order(valid_until=date(2016, 2, 1)), "dates_cross"),
        (order(persons=2), "persons_wrong"),
        (order("ecology", "护林员"), "persons_wrong"),
        (order("ecology", "护林员", persons=5), "persons_wrong"),
    ],
)
def test_what_the_catalogue_does_not_know_is_refused(wanted, code):
    assert code_of(wanted) == code


def test_rangers_are_counted_in_persons():
    assert judge(order("ecology", "护林员", persons=2)).sub == "ranger"


def test_a_candidate_gets_no_measures_yet():
    assert code_of(order(), status="candidate") == "wrong_status"


@pytest.mark.parametrize(
    ("ended_on", "on", "code"),
    [
        (date(2016, 10, 1), TODAY, "measure_ended"),
        (None, date(2016, 11, 2), "ends_later"),
        (None, date(2016, 2, 28), "dates_cross"),
    ],
)
def test_a_measure_ends_once_between_its_start_and_today(ended_on, on, code):
    with pytest.raises(Refusal) as refused:
        require_endable(date(2016, 3, 1), ended_on, on, TODAY)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("phone 19900 000 000", True),
        ("９９０９２６１９８００１０１００１Ｘ", True),
        ("card 9999 9900 0000 0000 006", True),
        ("card 9999990000000000006", True),
        ("village 610926100201, 2016-11-02, 1303 sheets", False),
    ],
)
def test_free_text_is_searched_for_numbers_of_people(text, personal):
    assert holds_personal_number(text) is personal
