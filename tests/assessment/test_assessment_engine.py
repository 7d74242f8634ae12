"""The engine alone: points add up, down to the event, and a fact bears on its own subjects only."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.assessment.directory.domain import Appointment, PostKind
from services.assessment.facts.domain import Counts, Fact
from services.assessment.periods.domain import month_of, month_of_week
from services.assessment.schemes.domain import Formula, Indicator, Kind, Scheme, grade_of, grades, scheme
from services.assessment.scores.domain import Bears, Register, Subject, score_all, subjects_of, windows
from services.assessment.scores.view import digest
from services.assessment.targets.domain import due_by
from shared.policy import PolicyBook
from shared.testing import COUNTY, OTHER_TOWN, OTHER_VILLAGE, TOWN, VILLAGE

NOVEMBER, DAY = "2016-11", date(2016, 11, 7)
PACK = PolicyBook.load(Path("policies"))
SCHEMES = {kind: scheme(kind, PACK.value("assessment.scheme", COUNTY, DAY), f"pingli.{kind}") for kind in Kind}
GRADES = grades(PACK.value("assessment.grades", COUNTY, DAY))


def secretary(number, village, **fields):
    since = {"since": date(2015, 7, 1)} | fields
    return Appointment(number, PostKind.FIRST_SECRETARY, "", "县财政局", village, **since)


SUBJECTS = [
    Subject(Kind.TOWN, TOWN, "城关镇", TOWN),
    Subject(Kind.TOWN, OTHER_TOWN, "兴隆镇", OTHER_TOWN),
    Subject(Kind.CADRE, "S-1", "王*", VILLAGE, (secretary("S-1", VILLAGE),)),
    Subject(Kind.CADRE, "S-2", "李*", OTHER_VILLAGE, (secretary("S-2", OTHER_VILLAGE),)),
]
VILLAGES = [VILLAGE, OTHER_VILLAGE]
REGISTER = Register(
    households={VILLAGE: 7, OTHER_VILLAGE: 3},
    visited={f"H{n}": VILLAGES[n % 2] for n in range(6)},
)
MADE_AT = datetime(2016, 11, 1, tzinfo=UTC)

VISIT, EXIT = "registry.visit_recorded.v1", "registry.household_exited.v1"
ALLOCATED, PAID = "funds.fund_allocated.v1", "funds.tranche_paid.v1"
RECEIVED, MISSED = "notify.report_received.v1", "notify.report_missed.v1"


def fact(type=VISIT, unit="H0", number=1, **fields):
    counts = Counts.DUE if type in (ALLOCATED, MISSED) else Counts.DONE
    values = {
        "division": VILLAGE, "on": DAY, "counts": counts, "quantity": 1, "at": MADE_AT, "cadre_no": None,
    } | fields  # fmt: skip
    return Fact(event_id=UUID(int=number), type=type, unit=unit, period=month_of(values["on"]), **values)


def scored(facts, *, targets=None, register=REGISTER, period=NOVEMBER, subjects=SUBJECTS):
    return {s.subject.key: s for s in score_all(subjects, SCHEMES, period, facts, register, targets or {})}


def indicator(score, key):
    return next(each for each in score.indicators if each.indicator.key == key)


@st.composite
def histories(draw):
    """Random facts of a few months, of two towns and three cadres, one of whom the directory does not know."""
    facts = []
    for number in range(draw(st.integers(0, 25))):
        type = draw(st.sampled_from([VISIT, EXIT, ALLOCATED, PAID, RECEIVED, MISSED]))
        cadre_no = draw(st.sampled_from(["S-1", "S-2", "X-9"])) if type in (VISIT, RECEIVED, MISSED) else None
        week = draw(st.integers(44, 47))
        facts.append(
            fact(
                type,
                f"{cadre_no} 2016-W{week}" if type in (RECEIVED, MISSED) else f"H{draw(st.integers(0, 7))}",
                number + 1,
                division=draw(st.sampled_from([*VILLAGES, TOWN, COUNTY])),
                on=date(2016, 10, 20) + timedelta(days=draw(st.integers(0, 50))),
                cadre_no=cadre_no,
                quantity=draw(st.integers(1, 10**9)) if type in (ALLOCATED, PAID) else 1,
            )
        )
    return facts


TARGETS = st.dictionaries(st.tuples(st.sampled_from([TOWN, OTHER_TOWN]), st.just("exits")), st.integers(0, 40))


@given(histories(), TARGETS)
def test_events_add_up_to_indicators_and_indicators_to_the_score_exactly(facts, targets):
    for score in scored(facts, targets=targets).values():
        assert score.milli == sum(each.points_milli for each in score.indicators)
        assert 0 <= score.milli <= 100_000
        for each in score.indicators:
            assert sum(c.points_milli for c in each.contributions) == each.points_milli
            assert all(c.points_milli >= 0 for c in each.contributions)
            assert 0 <= each.points_milli <= each.indicator.most_milli


@given(histories(), TARGETS, st.data())
def test_taking_a_fact_away_changes_nobody_but_its_own_subjects(facts, targets, data):
    if not facts:
        return
    gone = data.draw(st.sampled_from(facts))
    before = scored(facts, targets=targets)
    after = scored([each for each in facts if each is not gone], targets=targets)
    changed = {key for key in before if digest(before[key]) != digest(after[key])}
    assert changed <= set(subjects_of(gone))
    bears_on = {
        key
        for key, score in before.items()
        for i in score.indicators
        for c in i.contributions
        if c.fact == gone.event_id
    }
    assert changed == bears_on


@given(histories(), st.randoms())
def test_the_order_and_the_ids_of_the_facts_do_not_matter(facts, random):
    shuffled = [replace(each, event_id=UUID(int=random.getrandbits(128))) for each in facts]
    random.shuffle(shuffled)
    once, again = scored(facts), scored(shuffled)
    for key, score in once.items():
        assert [sorted((c.points_milli, c.bears) for c in i.contributions) for i in score.indicators] == [
            sorted((c.points_milli, c.bears) for c in i.contributions) for i in again[key].indicators
        ]


@given(histories())
def test_facts_outside_the_windows_do_not_bear_on_the_score(facts):
    since = windows(SCHEMES.values(), NOVEMBER, [])
    inside = [each for each in facts if each.type in since and since[each.type] <= each.period <= NOVEMBER]
    for key, score in scored(facts).items():
        assert digest(score) == digest(scored(inside)[key])


@pytest.mark.rule("ASM-040")
def test_coverage_counts_each_registered_household_once_with_its_first_visit():
    first = fact(unit="H0", number=1)
    again = fact(unit="H0", number=2, on=DAY + timedelta(days=1))
    unknown = fact(unit="H99", number=3)
    coverage = indicator(scored([again, unknown, first])[f"town:{TOWN}"], "visit_coverage")
    assert (coverage.done, coverage.due) == (1, 7)
    assert coverage.points_milli == 30_000 // 7
    assert {c.fact.int: c.bears for c in coverage.contributions} == {
        1: Bears.COUNTED,
        2: Bears.REPEATED,
        3: Bears.REPEATED,
    }


def test_exits_are_measured_against_the_part_of_the_years_plan_that_is_due():
    facts = [fact(EXIT, f"H{n}", n + 1, on=date(2016, 3, 1)) for n in range(11)]
    exits = indicator(scored(facts, targets={(TOWN, "exits"): 24})[f"town:{TOWN}"], "exits")
    assert (exits.done, exits.due, exits.points_milli) == (11, 22, 10_000)


def test_without_a_years_plan_the_packs_target_counts_for_the_period_alone():
    facts = [fact(EXIT, "H0", 1, on=date(2016, 3, 1))]
    assert indicator(scored(facts)[f"town:{TOWN}"], "exits").points_milli == 0
    facts.append(fact(EXIT, "H2", 2))
    assert indicator(scored(facts)[f"town:{TOWN}"], "exits").points_milli == 20_000


@pytest.mark.parametrize(("planned", "period", "due"), [(12, "2016-01", 1), (1, "2016-01", 1), (100, "2016-12", 100)])
def test_a_years_plan_falls_due_by_twelfths_rounded_up(planned, period, due):
    assert due_by(planned, period) == due


def test_money_paid_carries_points_by_amount_and_money_allocated_carries_none():
    facts = [
        fact(ALLOCATED, "P-1", 1, division=TOWN, quantity=1000, on=date(2016, 9, 1)),
        fact(PAID, "P-1", 2, division=TOWN, quantity=200),
        fact(PAID, "P-1", 3, division=TOWN, quantity=300),
    ]
    progress = indicator(scored(facts)[f"town:{TOWN}"], "payment_progress")
    assert progress.points_milli == 15_000
    assert {c.fact.int: c.points_milli for c in progress.contributions} == {1: 0, 2: 6_000, 3: 9_000}


@pytest.mark.rule("NTF-004")
def test_missed_and_late_reports_lower_the_punctuality():
    facts = [
        fact(RECEIVED, "S-1 2016-W44", 1, cadre_no="S-1"),
        fact(MISSED, "S-1 2016-W45", 2, cadre_no="S-1"),
        fact(RECEIVED, "S-1 2016-W45", 3, cadre_no="S-1", counts=Counts.DUE),
        fact(MISSED, "S-1 2016-W46", 4, cadre_no="S-1"),
    ]
    punctuality = indicator(scored(facts)["cadre:S-1"], "report_punctuality")
    assert (punctuality.done, punctuality.due, punctuality.points_milli) == (1, 3, 40_000 // 3)


def test_where_nothing_was_due_the_scheme_gives_its_points_without_an_event():
    punctuality = indicator(scored([])["cadre:S-1"], "report_punctuality")
    (contribution,) = punctuality.contributions
    assert (contribution.fact, contribution.points_milli, contribution.bears) == (None, 40_000, Bears.NOTHING_DUE)


def test_more_than_the_target_gives_no_more_than_the_weight():
    facts = [fact(unit=f"H{n}", number=n + 1, cadre_no="S-1") for n in range(7)]
    visits = indicator(scored(facts)["cadre:S-1"], "visits")
    assert (visits.done, visits.due, visits.points_milli) == (7, 4, 60_000)


def test_a_visit_where_the_cadre_has_no_post_gives_him_nothing_and_says_so():
    """Whoever records a visit names the cadre: somebody else's village must not raise his score."""
    facts = [
        fact(unit="H0", number=1, cadre_no="S-1"),
        fact(unit="H1", number=2, cadre_no="S-1", division=OTHER_VILLAGE),
    ]
    scores = scored(facts)
    visits = indicator(scores["cadre:S-1"], "visits")
    assert (visits.done, visits.points_milli) == (1, 15_000)
    assert {c.fact.int: (c.points_milli, c.bears) for c in visits.contributions} == {
        1: (15_000, Bears.COUNTED),
        2: (0, Bears.OUT_OF_PLACE),
    }
    assert indicator(scores[f"town:{OTHER_TOWN}"], "visit_coverage").done == 1  # the household was visited all the same


@pytest.mark.parametrize(("division", "counted"), [(VILLAGE, 1), (TOWN, 1), (COUNTY, 1), (OTHER_TOWN, 0)])
def test_a_post_above_the_village_covers_its_households(division, counted):
    chief = Subject(Kind.CADRE, "C-1", "陈*", division, (secretary("C-1", division),))
    facts = [fact(unit="H0", cadre_no="C-1")]
    assert indicator(scored(facts, subjects=[chief])["cadre:C-1"], "visits").done == counted


@pytest.mark.parametrize(
    ("since", "until", "counted"),
    [(DAY, None, 1), (DAY + timedelta(days=1), None, 0), (date(2016, 1, 1), DAY, 0), (DAY, DAY + timedelta(days=1), 1)],
)
def test_a_visit_counts_in_a_post_held_on_that_day(since, until, counted):
    post = secretary("C-1", VILLAGE, since=since, until=until)
    cadre = Subject(Kind.CADRE, "C-1", "陈*", VILLAGE, (post,))
    facts = [fact(unit="H0", cadre_no="C-1")]
    assert indicator(scored(facts, subjects=[cadre])["cadre:C-1"], "visits").done == counted


def test_a_fact_without_a_town_or_cadre_has_no_subject():
    assert subjects_of(fact(ALLOCATED, "P-1", division=COUNTY)) == ()


def test_households_are_never_a_subject():
    assert {Kind.TOWN, Kind.CADRE} == set(Kind)
    assert all(key.split(":")[0] in ("town", "cadre") for key in subjects_of(fact(cadre_no="S-1")))


@pytest.mark.rule("ASM-011")
@pytest.mark.parametrize(
    ("milli", "grade"), [(100_000, "excellent"), (90_000, "excellent"), (89_999, "good"), (60_000, "fair"), (0, "poor")]
)
def test_a_grade_is_given_from_its_points_on(milli, grade):
    assert grade_of(milli, GRADES).key == grade


def test_a_week_counts_to_the_month_of_its_thursday():
    assert [month_of_week(week) for week in ("2016-W44", "2016-W47", "2016-W48", "2015-W53")] == [
        "2016-11",
        "2016-11",
        "2016-12",
        "2015-12",
    ]


def test_an_indicator_that_gives_nothing_when_nothing_was_due_gives_nothing():
    strict = Indicator("k", "k", "k", 100_000, Formula.PROGRESS, None, (PAID, ALLOCATED), 100_000, False)
    schemes = dict.fromkeys(Kind, Scheme("s", Kind.TOWN, "s", "s", (strict,)))
    (score, *_) = score_all(SUBJECTS, schemes, NOVEMBER, [fact(PAID, "P-1", division=TOWN)], Register(), {})
    assert score.milli == 0
