"""The case machine (个案程序): steps, actors, publicity with days and objections, decision. Pure.

A case runs through the steps of its procedure, which the policy pack writes. One machine serves every procedure;
what differs between identification (识别) and exit (退出) is their steps, checklists and outcome.
Source: REG-002, REG-024; standards.md 2 (two publicities, one announcement) and 3 (exit); architecture §6.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from services.registry.cases.procedure import (
    JUDGING,
    ONE_EACH,
    POSTED,
    Answer,
    Criterion,
    IncomeTest,
    Procedure,
    Step,
    StepKind,
)
from shared.errors import Forbidden, Refusal
from shared.roles import Caller
from shared.scope import at_level
from shared.separation import SamePerson, same_side


class CaseState(StrEnum):
    """Where a case stands (办理状态)."""

    OPEN = "open"
    PASSED = "passed"
    REJECTED = "rejected"


class Verdict(StrEnum):
    """What a step decides (结论)."""

    PASS = "pass"  # noqa: S105
    REJECT = "reject"


class Finding(StrEnum):
    """What an answer to an objection finds (异议处理结果)."""

    DISMISSED = "dismissed"
    UPHELD = "upheld"


class CaseClosed(Refusal):
    code = "case_closed"


class WrongStep(Refusal):
    code = "wrong_step"


class NotYourStep(Forbidden):
    code = "not_your_step"


class NoNotice(Refusal):
    code = "no_notice"


class NoticePosted(Refusal):
    code = "notice_posted"


class NoticeMissing(Refusal):
    code = "notice_missing"


class PublicityNotElapsed(Refusal):
    code = "publicity_not_elapsed"


class ObjectionOpen(Refusal):
    code = "objection_open"


class ObjectionUpheld(Refusal):
    code = "objection_upheld"


class ObjectionUnknown(Refusal):
    status = 404
    code = "objection_unknown"


class ObjectionAnswered(Refusal):
    code = "objection_answered"


class DecisionStands(Refusal):
    code = "decision_stands"


class QuorumNotMet(Refusal):
    code = "quorum_not_met"


class ChecklistIncomplete(Refusal):
    code = "checklist_incomplete"


class CriterionNotMet(Refusal):
    code = "criterion_not_met"


class IncomeUnknown(Refusal):
    code = "income_unknown"


class IncomeOnWrongSide(Refusal):
    code = "income_against_line"


class WrongStatus(Refusal):
    code = "wrong_status"


class IdentifiedSameYear(Refusal):
    code = "identified_same_year"


class IdentificationUndated(Refusal):
    code = "identification_undated"


@dataclass(frozen=True, slots=True)
class Attendance:
    """Who came to the meeting of village representatives (村民代表会议到会人数)."""

    present: int
    total: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One answered criterion of a checklist (核查项): the answer and what shows it."""

    key: str
    answer: Answer
    evidence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A step is passed or rejected (表决、审核、认定)."""

    step: str
    verdict: Verdict
    attendance: Attendance | None = None
    replies: tuple[Reply, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """The notice of a publicity or announcement step goes on the board (张榜公示); today is its day 0."""

    step: str


@dataclass(frozen=True, slots=True)
class Objection:
    """Somebody objects to what stands on the board (异议). `ref` numbers it within the case, from 1."""

    ref: int


@dataclass(frozen=True, slots=True)
class ObjectionReply:
    """An objection is answered (异议答复)."""

    ref: int
    finding: Finding


Act = Decision | Notice | Objection | ObjectionReply


@dataclass(frozen=True, slots=True)
class Done:
    """An act that happened: by whom, on which business date."""

    act: Act
    by: str
    on: date


@dataclass(frozen=True, slots=True)
class Raised:
    """An objection as the case remembers it."""

    ref: int
    by: str
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a decision needs to know from outside the case.

    `income_fen`: per-capita net income of the income year, None when the file has none. `line_fen`: that year's line.
    `quorum`: the share of village representatives that must be present.
    """

    quorum: Fraction
    income_fen: int | None = None
    line_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A case as its acts have made it. `at` is the index of the step that waits."""

    procedure: Procedure
    division: str
    at: int = 0
    state: CaseState = CaseState.OPEN
    posted_on: date | None = None
    objections: tuple[Raised, ...] = ()
    judges: frozenset[str] = field(default_factory=frozenset)
    applied_by: str = ""
    decided_on: date | None = None

    @property
    def step(self) -> Step | None:
        """The step that waits; None when the case is closed."""
        return self.procedure.steps[self.at] if self.state is CaseState.OPEN else None

    @property
    def ends_on(self) -> date | None:
        """The first day on which the posted notice has stood long enough."""
        if self.step is None or self.posted_on is None:
            return None
        return self.posted_on + timedelta(days=self.step.days)

    @property
    def open_objections(self) -> int:
        return sum(objection.finding is None for objection in self.objections)

    def days_left(self, today: date) -> int | None:
        """Whole days until the posted notice has stood long enough; None when nothing is posted."""
        return None if self.ends_on is None else max(0, (self.ends_on - today).days)


def replay(procedure: Procedure, division: str, acts: Iterable[Done]) -> Case:
    """The case that these acts have made. They were permitted when they happened, so no rule is asked again."""
    case = Case(procedure, division)
    for done in acts:
        case = advance(case, done)
    return case


def act(case: Case, act: Act, *, caller: Caller, today: date, known: Circumstances) -> Case:
    """One more act. Returns the case after it.

    Raises: CaseClosed, WrongStep, NotYourStep (403), SamePerson, NoNotice, NoticePosted, NoticeMissing, PublicityNotElapsed,
    ObjectionOpen, ObjectionUpheld, ObjectionUnknown (404), ObjectionAnswered, DecisionStands, QuorumNotMet,
    ChecklistIncomplete, CriterionNotMet, IncomeUnknown, IncomeOnWrongSide; the first that applies, in the order of the checks.
    Source: REG-002; standards.md 2, 3; architecture §5 (who applied does not decide).
    """
    step = case.step
    if step is None:
        raise CaseClosed(f"This case is closed ({case.state}). Open a new one.", state=case.state)
    match act:
        case Decision():
            _require_step(step, act.step)
            _require_actor(case, step, caller)
            _permit_decision(case, step, act, caller, today, known)
        case Notice():
            _require_step(step, act.step)
            _require_actor(case, step, caller)
            if step.kind not in POSTED:
                raise NoNotice(f"The step {step.key} has no notice. Decide it.", step=step.key)
            if case.posted_on is not None:
                raise NoticePosted(f"The notice stands since {case.posted_on}.", posted_on=case.posted_on.isoformat())
        case Objection():
            if step.kind is not StepKind.PUBLICITY or case.posted_on is None:
                raise NoNotice("Nothing stands on the board now that one could object to.", step=step.key)
        case ObjectionReply():
            _require_actor(case, step, caller)
            _permit_reply(case, act, caller)
    return advance(case, Done(act, caller.subject, today))


def advance(case: Case, done: Done) -> Case:
    """What an act that is permitted makes of the case."""
    step = case.step
    assert step is not None, "a closed case takes no act"
    match done.act:
        case Notice():
            return replace(case, posted_on=done.on)
        case Objection(ref):
            return replace(case, objections=(*case.objections, Raised(ref, done.by)))
        case ObjectionReply(ref, finding):
            answered = tuple(replace(o, finding=finding) if o.ref == ref else o for o in case.objections)
            return replace(case, objections=answered)
        case Decision(verdict=verdict):
            case = replace(case, judges=case.judges | {done.by} if step.kind in ONE_EACH else case.judges)
            if verdict is Verdict.REJECT:
                return replace(case, state=CaseState.REJECTED)
            if step.kind is StepKind.SUBMIT:
                case = replace(case, applied_by=done.by)
            if step.kind is StepKind.DECIDE:
                case = replace(case, decided_on=done.on)
            if case.at + 1 == len(case.procedure.steps):
                return replace(case, state=CaseState.PASSED)
            return replace(case, at=case.at + 1, posted_on=None, objections=())


def may_act(case: Case, step: Step, caller: Caller) -> bool:
    """Whether the caller has a role of this step and answers for the place at the step's level."""
    place = at_level(case.division, step.level)
    return caller.has(*step.actors) and place is not None and caller.area.covers(place)


def _require_step(step: Step, named: str) -> None:
    if step.key != named:
        raise WrongStep(f"This case waits at the step {step.key}.", step=step.key)


def _require_actor(case: Case, step: Step, caller: Caller) -> None:
    if not may_act(case, step, caller):
        raise NotYourStep(
            f"The step {step.key} is for {', '.join(sorted(step.actors))} of the {step.level}.",
            needs=sorted(step.actors),
            level=step.level,
        )


def _permit_decision(
    case: Case, step: Step, decision: Decision, caller: Caller, today: date, known: Circumstances
) -> None:
    if step.kind in POSTED:
        _permit_end_of_notice(case, step, decision, today)
        return
    if step.kind in JUDGING and same_side(caller.subject, case.judges):
        raise SamePerson("Who applied, reviewed or verified before does not judge this step. Let another person do it.")
    if decision.verdict is Verdict.REJECT:
        return
    if step.quorum:
        _require_quorum(decision.attendance, known.quorum)
    criteria = case.procedure.criteria_of(step)
    require_checklist(criteria, decision.replies)
    for criterion in criteria:
        require_income(criterion, known)


def _permit_end_of_notice(case: Case, step: Step, decision: Decision, today: date) -> None:
    """Day of posting is day 0; seven days posted on the 1st end with the 8th. Source: standards.md 2 (days in the pack)."""
    if decision.verdict is Verdict.REJECT:
        if step.kind is StepKind.ANNOUNCE:
            raise DecisionStands("The decision is taken; it can only be announced.")
        return
    left = case.days_left(today)
    if left is None:
        raise NoticeMissing("Post the notice first.", step=step.key)
    if left:
        raise PublicityNotElapsed(f"The notice runs until {case.ends_on}. Decide again then.", days_left=left)
    if case.open_objections:
        raise ObjectionOpen("Answer the open objections first.", open_objections=case.open_objections)
    if any(objection.finding is Finding.UPHELD for objection in case.objections):
        raise ObjectionUpheld("An objection was upheld: the step can only be rejected.")


def _permit_reply(case: Case, reply: ObjectionReply, caller: Caller) -> None:
    raised = next((objection for objection in case.objections if objection.ref == reply.ref), None)
    if raised is None:
        raise ObjectionUnknown("This step has no such objection.")
    if raised.finding is not None:
        raise ObjectionAnswered("This objection has its answer already.", finding=raised.finding)
    if same_side(caller.subject, [raised.by, case.applied_by]):
        raise SamePerson("Who objected or applied does not answer. Let another person of this step do it.")


def _require_quorum(attendance: Attendance | None, quorum: Fraction) -> None:
    """Village representatives' review needs its share present. Source: standards.md 2 variant C (two thirds), in the pack."""
    present, total = (attendance.present, attendance.total) if attendance else (0, 0)
    needed = -(-quorum.numerator * total // quorum.denominator)
    if total == 0 or present < needed:
        raise QuorumNotMet(
            f"At least {quorum} of the village representatives must be present; write down how many came.",
            present=present,
            total=total,
            needed=needed,
        )


def require_checklist(criteria: tuple[Criterion, ...], replies: tuple[Reply, ...]) -> None:
    """Every criterion answered once, with evidence, and as a pass needs it; each is a veto item (一票否决).

    Source: standards.md 2 variant B (exclusions), 3 (five items of the Shaanxi exit standard); REG-024.
    """
    given = [reply.key for reply in replies]
    known = {criterion.key for criterion in criteria}
    missing, unknown = sorted(known - set(given)), sorted(set(given) - known)
    if missing or unknown or len(given) != len(set(given)):
        raise ChecklistIncomplete(
            "Answer each criterion of this step once, and no other.", missing=missing, unknown=unknown
        )
    answers = {reply.key: reply.answer for reply in replies}
    if failed := [criterion.key for criterion in criteria if answers[criterion.key] is not criterion.answer]:
        raise CriterionNotMet(
            "These criteria are not met, and each is a veto. Reject the step, with the reason.", criteria=failed
        )


def require_income(criterion: Criterion, known: Circumstances) -> None:
    """The answer to an income criterion must agree with the income on file and the line of its year (fen per person).

    Source: standards.md 3 (income line by year, a pack value), REG-004.
    """
    if criterion.test is None:
        return
    if known.income_fen is None or known.line_fen is None:
        raise IncomeUnknown(
            "The household's file has no net income of this year. Record it first.", criterion=criterion.key
        )
    above = known.income_fen > known.line_fen
    if above is not (criterion.test is IncomeTest.INCOME_ABOVE_LINE):
        raise IncomeOnWrongSide(
            "The income on file stands against this. Reject the step, or correct the file.",
            criterion=criterion.key,
            income_fen=known.income_fen,
            line_fen=known.line_fen,
        )


def require_identifiable(status: str) -> None:
    """Only a candidate can be identified (识别). Source: REG-002."""
    if status != "candidate":
        raise WrongStatus(
            "Only a candidate can be identified, and this household has been. Open a file for a new candidate.",
            household_status=status,
        )


def require_exitable(status: str, identified_on: date | None, today: date, *, same_year_allowed: bool) -> None:
    """Only a registered household can exit (退出), and not in the year in which it was identified unless the pack allows it.

    Source: standards.md 3 (Shaanxi extra rule); the pack's `registry.exit`.
    """
    if status != "registered":
        raise WrongStatus("Only a household on the register can exit. Look at its status.", household_status=status)
    if same_year_allowed:
        return
    if identified_on is None:
        raise IdentificationUndated("The file does not say when the household was identified. Record the date first.")
    if identified_on.year >= today.year:
        raise IdentifiedSameYear(
            f"It was identified in {identified_on.year} and may exit from {identified_on.year + 1} on.",
            identified_on=identified_on.isoformat(),
        )
