"""The case machine as plain functions, and against an oracle that names the exact refusal."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import ValidationError

from services.registry.cases import domain
from services.registry.cases.domain import (
    Attendance,
    Case,
    CaseState,
    Circumstances,
    Decision,
    Done,
    Finding,
    Notice,
    Objection,
    ObjectionReply,
    Reply,
    Verdict,
)
from services.registry.cases.procedure import Answer, read_procedure
from shared.errors import Refusal
from shared.policy_shapes import plain
from shared.roles import Caller, Role
from shared.scope import Area

VILLAGE, TOWN, COUNTY = "610926100201", "610926100000", "610926000000"
TODAY = date(2016, 11, 1)
LINE = 295_200
FINE = Circumstances(quorum=Fraction(2, 3), income_fen=LINE + 1, line_fen=LINE)

PACK = {
    "steps": [
        {
            "key": "proposal",
            "name": "提出",
            "name_en": "-",
            "kind": "submit",
            "level": "village",
            "actors": ["village_clerk", "team_member"],
        },
        {
            "key": "meeting",
            "name": "评议",
            "name_en": "-",
            "kind": "review",
            "level": "village",
            "actors": ["village_clerk"],
            "quorum": True,
        },
        {
            "key": "check",
            "name": "核实",
            "name_en": "-",
            "kind": "verify",
            "level": "town",
            "actors": ["town_office"],
            "checklist": "criteria",
        },
        {
            "key": "publicity",
            "name": "公示",
            "name_en": "-",
            "kind": "publicity",
            "level": "village",
            "actors": ["village_clerk"],
            "days": 7,
        },
        {
            "key": "decision",
            "name": "审定",
            "name_en": "-",
            "kind": "decide",
            "level": "county",
            "actors": ["poverty_office"],
        },
        {
            "key": "announcement",
            "name": "公告",
            "name_en": "-",
            "kind": "announce",
            "level": "village",
            "actors": ["village_clerk"],
            "days": 5,
        },
    ],
    "checklists": {
        "criteria": [
            {"key": "income", "name": "收入", "name_en": "-", "answer": "yes", "test": "income_above_line"},
            {"key": "car", "name": "车辆", "name_en": "-", "answer": "no"},
        ]
    },
}
PROCEDURE = read_procedure(plain("registry.exit", PACK))
MET = (Reply("income", Answer.YES, "2016 ledger"), Reply("car", Answer.NO, "visited"))
ENOUGH = Attendance(present=20, total=30)


def person(name: str, role: Role, division: str = VILLAGE) -> Caller:
    return Caller(name, "tests", frozenset({role}), (division,), Area.of([division]))


APPLICANT = person("wang", Role.TEAM_MEMBER)
CLERK = person("li", Role.VILLAGE_CLERK)
OTHER_CLERK = person("zhao", Role.VILLAGE_CLERK)
TOWN_OFFICE = person("chen", Role.TOWN_OFFICE, TOWN)
POVERTY_OFFICE = person("yang", Role.POVERTY_OFFICE, COUNTY)


def do(case: Case, act: domain.Act, by: Caller, on: date = TODAY, known: Circumstances = FINE) -> Case:
    return domain.act(case, act, caller=by, today=on, known=known)


def passed(step: str, **more: object) -> Decision:
    return Decision(step, Verdict.PASS, **more)  # type: ignore[arg-type]


def at(step: str) -> Case:
    """A case that waits at this step."""
    case = Case(PROCEDURE, VILLAGE)
    path = [
        ("proposal", lambda c: do(c, passed("proposal"), APPLICANT)),
        ("meeting", lambda c: do(c, passed("meeting", attendance=ENOUGH), CLERK)),
        ("check", lambda c: do(c, passed("check", replies=MET), TOWN_OFFICE)),
        (
            "publicity",
            lambda c: do(do(c, Notice("publicity"), CLERK), passed("publicity"), CLERK, TODAY + timedelta(7)),
        ),
        ("decision", lambda c: do(c, passed("decision"), POVERTY_OFFICE)),
    ]
    for name, go in path:
        if name == step:
            return case
        case = go(case)
    return case


def refusal(case: Case, act: domain.Act, by: Caller, on: date = TODAY, known: Circumstances = FINE) -> Refusal:
    with pytest.raises(Refusal) as caught:
        do(case, act, by, on, known)
    return caught.value


@pytest.mark.rule("REG-002")
def test_a_case_that_takes_every_step_is_passed_and_keeps_the_day_of_the_decision():
    case = do(at("announcement"), Notice("announcement"), CLERK)
    case = do(case, passed("announcement"), CLERK, TODAY + timedelta(5))
    assert (case.state, case.decided_on) == (CaseState.PASSED, TODAY)


def test_a_rejected_step_ends_the_case():
    case = do(at("check"), Decision("check", Verdict.REJECT), TOWN_OFFICE)
    assert (case.state, case.step) == (CaseState.REJECTED, None)


def test_a_closed_case_takes_no_act():
    case = do(at("check"), Decision("check", Verdict.REJECT), TOWN_OFFICE)
    assert refusal(case, passed("check", replies=MET), TOWN_OFFICE).code == "case_closed"


def test_steps_are_not_skipped():
    refused = refusal(at("meeting"), passed("decision"), POVERTY_OFFICE)
    assert (refused.code, refused.facts) == ("wrong_step", {"step": "meeting"})


@pytest.mark.parametrize(
    "caller",
    [
        person("chen", Role.VILLAGE_CLERK, TOWN),
        person("chen", Role.TOWN_OFFICE, VILLAGE),
        person("chen", Role.COUNTY_ADMIN, COUNTY),
    ],
    ids=["role of another step", "only a village of the town", "county administrator"],
)
def test_a_step_is_only_for_its_roles_at_its_level(caller):
    refused = refusal(at("check"), passed("check", replies=MET), caller)
    assert (refused.status, refused.code) == (403, "not_your_step")


def test_who_applied_does_not_review():
    applied = do(Case(PROCEDURE, VILLAGE), passed("proposal"), CLERK)
    assert refusal(applied, passed("meeting", attendance=ENOUGH), CLERK).code == "same_person"


def test_who_reviewed_does_not_decide():
    reviewer = person("chen", Role.POVERTY_OFFICE, COUNTY)
    assert refusal(at("decision"), passed("decision"), reviewer).code == "same_person"


def test_who_reviewed_may_post_the_notice():
    assert do(at("publicity"), Notice("publicity"), CLERK).posted_on == TODAY


@pytest.mark.parametrize(("present", "total"), [(19, 30), (0, 0), (66, 100)])
def test_a_meeting_below_its_quorum_decides_nothing(present, total):
    refused = refusal(at("meeting"), passed("meeting", attendance=Attendance(present, total)), CLERK)
    assert refused.code == "quorum_not_met"


def test_a_meeting_of_exactly_two_thirds_has_its_quorum():
    assert do(at("meeting"), passed("meeting", attendance=Attendance(67, 100)), CLERK).step.key == "check"


def test_attendance_must_be_written_down():
    assert refusal(at("meeting"), passed("meeting"), CLERK).code == "quorum_not_met"


def test_each_criterion_must_be_answered_once():
    refused = refusal(at("check"), passed("check", replies=(*MET[:1], Reply("boat", Answer.NO, "-"))), TOWN_OFFICE)
    assert (refused.code, refused.facts) == ("checklist_incomplete", {"missing": ["car"], "unknown": ["boat"]})


def test_one_criterion_not_met_is_a_veto():
    replies = (MET[0], Reply("car", Answer.YES, "a car before the door"))
    refused = refusal(at("check"), passed("check", replies=replies), TOWN_OFFICE)
    assert (refused.code, refused.facts) == ("criterion_not_met", {"criteria": ["car"]})


@pytest.mark.parametrize("income_fen", [LINE - 1, LINE])
@pytest.mark.rule("REG-004")
def test_an_income_that_is_not_above_the_line_stands_against_an_exit(income_fen):
    known = Circumstances(FINE.quorum, income_fen, LINE)
    assert refusal(at("check"), passed("check", replies=MET), TOWN_OFFICE, known=known).code == "income_against_line"


def test_an_income_that_is_not_on_file_proves_nothing():
    known = Circumstances(FINE.quorum, None, LINE)
    assert refusal(at("check"), passed("check", replies=MET), TOWN_OFFICE, known=known).code == "income_unknown"


def test_publicity_begins_with_its_notice():
    assert refusal(at("publicity"), passed("publicity"), CLERK).code == "notice_missing"


def test_publicity_runs_to_its_last_day():
    case = do(at("publicity"), Notice("publicity"), CLERK)
    refused = refusal(case, passed("publicity"), CLERK, TODAY + timedelta(6))
    assert (refused.code, refused.facts) == ("publicity_not_elapsed", {"days_left": 1})


def test_a_notice_is_posted_once():
    case = do(at("publicity"), Notice("publicity"), CLERK)
    assert refusal(case, Notice("publicity"), OTHER_CLERK).code == "notice_posted"


def test_an_open_objection_outlasts_the_days():
    case = do(do(at("publicity"), Notice("publicity"), CLERK), Objection(1), APPLICANT)
    refused = refusal(case, passed("publicity"), CLERK, TODAY + timedelta(300))
    assert (refused.code, refused.facts) == ("objection_open", {"open_objections": 1})


def test_who_objected_does_not_answer():
    case = do(do(at("publicity"), Notice("publicity"), CLERK), Objection(1), CLERK)
    assert refusal(case, ObjectionReply(1, Finding.DISMISSED), CLERK).code == "same_person"


def test_who_applied_does_not_answer():
    case = do(Case(PROCEDURE, VILLAGE), passed("proposal"), CLERK)
    case = do(case, passed("meeting", attendance=ENOUGH), OTHER_CLERK)
    case = do(case, passed("check", replies=MET), TOWN_OFFICE)
    case = do(do(case, Notice("publicity"), CLERK), Objection(1), APPLICANT)
    assert refusal(case, ObjectionReply(1, Finding.DISMISSED), CLERK).code == "same_person"
    assert do(case, ObjectionReply(1, Finding.DISMISSED), OTHER_CLERK).open_objections == 0


def test_an_answered_objection_lets_the_case_go_on():
    case = do(do(at("publicity"), Notice("publicity"), CLERK), Objection(1), APPLICANT)
    case = do(case, ObjectionReply(1, Finding.DISMISSED), CLERK)
    assert do(case, passed("publicity"), CLERK, TODAY + timedelta(7)).step.key == "decision"


def test_an_upheld_objection_leaves_only_the_rejection():
    case = do(do(at("publicity"), Notice("publicity"), CLERK), Objection(1), APPLICANT)
    case = do(case, ObjectionReply(1, Finding.UPHELD), CLERK)
    assert refusal(case, passed("publicity"), CLERK, TODAY + timedelta(7)).code == "objection_upheld"
    assert do(case, Decision("publicity", Verdict.REJECT), CLERK).state is CaseState.REJECTED


def test_a_decision_that_is_taken_can_only_be_announced():
    assert refusal(at("announcement"), Decision("announcement", Verdict.REJECT), CLERK).code == "decision_stands"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda steps: steps[1:], "first step"),
        (lambda steps: [s for s in steps if s["kind"] != "decide"], "somebody must decide"),
        (lambda steps: [steps[0], *steps], "occurs twice"),
        (lambda steps: [steps[0], {**steps[2], "checklist": "other"}, *steps[3:]], "which is not there"),
        (lambda steps: [*steps[:3], {**steps[3], "days": 0}, *steps[4:]], "greater than or equal to 1"),
        (lambda steps: [*steps[:4], steps[5], steps[4]], "follows the decision"),
        (lambda steps: [{**steps[0], "actors": ["the boss"]}, *steps[1:]], "actors"),
    ],
)
def test_a_procedure_that_cannot_be_followed_is_refused(change, why):
    with pytest.raises(ValidationError, match=why):
        plain("registry.exit", {**PACK, "steps": change(PACK["steps"])})


PEOPLE = [
    APPLICANT,
    CLERK,
    OTHER_CLERK,
    TOWN_OFFICE,
    POVERTY_OFFICE,
    person("sun", Role.TOWN_OFFICE, VILLAGE),
    person("admin", Role.COUNTY_ADMIN, COUNTY),
    person("zhou", Role.VILLAGE_CLERK, COUNTY),
    person("wang", Role.TOWN_OFFICE, TOWN),
    person("chen", Role.POVERTY_OFFICE, COUNTY),
]


@dataclass
class Oracle:
    """The same procedure as a table, kept by hand: step → (roles, digits of the place, what it is)."""

    TABLE = (
        ("proposal", {"village_clerk", "team_member"}, VILLAGE, "judge"),
        ("meeting", {"village_clerk"}, VILLAGE, "meeting"),
        ("check", {"town_office"}, "610926100", "check"),
        ("publicity", {"village_clerk"}, VILLAGE, 7),
        ("decision", {"poverty_office"}, "610926", "judge"),
        ("announcement", {"village_clerk"}, VILLAGE, 5),
    )
    row: int = 0
    closed: bool = False
    judges: set[str] = field(default_factory=set)
    applicant: str = ""
    posted: date | None = None
    objections: dict[int, list[object]] = field(default_factory=dict)

    def step(self):
        return self.TABLE[self.row]

    def may(self, caller: Caller) -> bool:
        _, roles, place, _ = self.step()
        return bool({r.value for r in caller.roles} & roles) and any(place.startswith(p) for p in caller.area.prefixes)

    def expected(self, act: domain.Act, caller: Caller, today: date, known: Circumstances) -> str | None:
        if self.closed:
            return "case_closed"
        name, _, _, what = self.step()
        if isinstance(act, Decision | Notice) and act.step != name:
            return "wrong_step"
        if isinstance(act, Objection):
            return None if what == 7 and self.posted else "no_notice"
        if not self.may(caller):
            return "not_your_step"
        if isinstance(act, Notice):
            return "no_notice" if isinstance(what, str) else "notice_posted" if self.posted else None
        if isinstance(act, ObjectionReply):
            if act.ref not in self.objections:
                return "objection_unknown"
            by, finding = self.objections[act.ref]
            return (
                "objection_answered" if finding else "same_person" if caller.subject in (by, self.applicant) else None
            )
        return self._decision(act, caller, today, known)

    def _decision(self, act: Decision, caller: Caller, today: date, known: Circumstances) -> str | None:
        name, _, _, what = self.step()
        rejects = act.verdict is Verdict.REJECT
        if isinstance(what, int):
            if rejects:
                return "decision_stands" if name == "announcement" else None
            if self.posted is None:
                return "notice_missing"
            if today < self.posted + timedelta(days=what):
                return "publicity_not_elapsed"
            findings = [finding for _, finding in self.objections.values()]
            return "objection_open" if None in findings else "objection_upheld" if Finding.UPHELD in findings else None
        if name != "proposal" and caller.subject in self.judges:
            return "same_person"
        if rejects:
            return None
        if what == "meeting" and (
            not act.attendance or not act.attendance.total or 3 * act.attendance.present < 2 * act.attendance.total
        ):
            return "quorum_not_met"
        if what == "check":
            if [r.key for r in act.replies] != ["income", "car"]:
                return "checklist_incomplete"
            if act.replies[0].answer is Answer.NO or act.replies[1].answer is Answer.YES:
                return "criterion_not_met"
            if known.income_fen is None:
                return "income_unknown"
            return None if known.income_fen > LINE else "income_against_line"
        return "checklist_incomplete" if act.replies else None

    def take(self, act: domain.Act, caller: Caller, today: date) -> None:
        what = self.step()[3]
        if isinstance(act, Notice):
            self.posted = today
        elif isinstance(act, Objection):
            self.objections[act.ref] = [caller.subject, None]
        elif isinstance(act, ObjectionReply):
            self.objections[act.ref][1] = act.finding
        else:
            if isinstance(what, str):
                self.judges.add(caller.subject)
            self.applicant = self.applicant or caller.subject
            self.closed = act.verdict is Verdict.REJECT or self.row == 5
            if not self.closed:
                self.row, self.posted, self.objections = self.row + 1, None, {}


class CaseMachine(RuleBasedStateMachine):
    """Any people do any acts on any days; the machine and the oracle agree on every refusal, and on the state."""

    def __init__(self):
        super().__init__()
        self.case, self.oracle, self.today = Case(PROCEDURE, VILLAGE), Oracle(), TODAY
        self.history: list[Done] = []

    def attempt(self, act: domain.Act, caller: Caller, known: Circumstances = FINE) -> None:
        refused = None
        try:
            self.case = do(self.case, act, caller, self.today, known)
        except Refusal as refusal:
            refused = refusal.code
        assert refused == self.oracle.expected(act, caller, self.today, known)
        if refused is None:
            self.oracle.take(act, caller, self.today)
            self.history.append(Done(act, caller.subject, self.today))

    @rule(days=st.integers(0, 4))
    def days_pass(self, days):
        self.today += timedelta(days=days)

    @rule(
        caller=st.sampled_from(PEOPLE),
        step=st.sampled_from([s.key for s in PROCEDURE.steps]),
        verdict=st.sampled_from([Verdict.PASS] * 4 + [Verdict.REJECT]),
        attendance=st.one_of(st.none(), st.builds(Attendance, st.integers(0, 30), st.just(30))),
        replies=st.sampled_from([(), MET, MET[:1], (MET[0], Reply("car", Answer.YES, "x"))]),
        income=st.sampled_from([None, LINE, LINE + 1]),
    )
    def decide_anything(self, caller, step, verdict, attendance, replies, income):
        self.attempt(Decision(step, verdict, attendance, replies), caller, Circumstances(FINE.quorum, income, LINE))

    @precondition(lambda self: not self.oracle.closed)
    @rule(caller=st.sampled_from(PEOPLE))
    def somebody_passes_the_waiting_step(self, caller):
        self.pass_the_waiting_step(caller)

    def pass_the_waiting_step(self, caller):
        name, _, _, what = self.oracle.step()
        more = {"attendance": ENOUGH} if what == "meeting" else {"replies": MET} if what == "check" else {}
        self.attempt(passed(name, **more), caller)

    @precondition(lambda self: not self.oracle.closed)
    @rule()
    def the_right_person_goes_on(self):
        name, _, _, what = self.oracle.step()
        by = dict(
            zip(
                [s.key for s in PROCEDURE.steps],
                [APPLICANT, CLERK, TOWN_OFFICE, CLERK, POVERTY_OFFICE, CLERK],
                strict=True,
            )
        )
        if isinstance(what, int) and not self.oracle.posted:
            self.attempt(Notice(name), by[name])
        elif isinstance(what, int):
            self.today = max(self.today, self.oracle.posted + timedelta(days=what))
        self.pass_the_waiting_step(by[name])

    @rule(caller=st.sampled_from(PEOPLE), step=st.sampled_from([s.key for s in PROCEDURE.steps[3:]]))
    def post(self, caller, step):
        self.attempt(Notice(step), caller)

    @rule(caller=st.sampled_from(PEOPLE))
    def object(self, caller):
        ref = 1 + sum(isinstance(done.act, Objection) for done in self.history)
        self.attempt(Objection(ref), caller)

    @rule(caller=st.sampled_from(PEOPLE), ref=st.integers(1, 4), finding=st.sampled_from(list(Finding)))
    def answer(self, caller, ref, finding):
        self.attempt(ObjectionReply(ref, finding), caller)

    @invariant()
    def the_state_follows_from_the_acts(self):
        assert domain.replay(PROCEDURE, VILLAGE, self.history) == self.case
        assert (self.case.step is None) == self.oracle.closed
        if self.case.step:
            assert self.case.step.key == self.oracle.step()[0]


CaseMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCaseMachine = CaseMachine.TestCase
