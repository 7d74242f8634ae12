"""The engine of the scores (考核计分): scheme, facts, targets and the register in; points down to the event out. Pure.

All points are whole thousandths. The points of an indicator are shared out over the facts it counts by largest remainder, so
that facts add up to their indicator, and indicators to the score, exactly. Facts are taken in the order of their business
keys, never of their ids: two runs over the same history give the same points.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from services.assessment.directory.domain import Appointment
from services.assessment.facts.domain import PLACE_BOUND, Counts, Fact
from services.assessment.periods.domain import first_of_year, last_day, month_of
from services.assessment.schemes.domain import Formula, Indicator, Kind, Scheme
from services.assessment.targets.domain import due_by
from shared.errors import Forbidden, Refusal
from shared.money import share_out
from shared.scope import Area, prefix_of
from shared.separation import SamePerson, same_side

EARLIEST = "2000-01"
"""A period before all facts: progress of money counts from the beginning."""


class Bears(StrEnum):
    """How a fact bears on an indicator (依据的作用)."""

    COUNTED = "counted"
    """计分: it was done, and carries points."""
    DUE = "due"
    """应完成: it was due; it lowers the share, and carries none."""
    REPEATED = "repeated"
    """重复: the same was counted before it, or nobody of the register is concerned."""
    OUT_OF_PLACE = "out_of_place"
    """不在任职区划: done where the cadre held no post that day; it carries no points for him."""
    NOTHING_DUE = "nothing_due"
    """无应完成事项: points the scheme gives when nothing was due. No fact stands behind them."""


class State(StrEnum):
    """What people have decided of a score (考核结果状态)."""

    PROPOSED = "proposed"
    """拟定: the engine's proposal."""
    APPEALED = "appealed"
    """申诉中."""
    CONFIRMED = "confirmed"
    """已确认."""


class PeriodNotOver(Refusal):
    code = "period_not_over"


class PeriodNotBegun(Refusal):
    code = "period_not_begun"


class AlreadyConfirmed(Refusal):
    code = "already_confirmed"


class AlreadyAppealed(Refusal):
    code = "already_appealed"


class NotYourScore(Forbidden):
    code = "not_your_score"


class AnswerMissing(Refusal):
    code = "appeal_not_answered"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is assessed (考核对象): a town, or a cadre in the division of his post. `posts`: those a cadre held in the period."""

    kind: Kind
    number: str
    name: str
    division: str
    posts: tuple[Appointment, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.number}"

    def answers_for(self, fact: Fact) -> bool:
        """Whether what happened counts for this subject: a cadre's visits do in the division of a post he held that day. Source: ours."""
        if self.kind is Kind.TOWN or fact.type not in PLACE_BOUND:
            return True
        return any(
            fact.division.startswith(prefix_of(post.division)) and post.held_within(fact.on, fact.on)
            for post in self.posts
        )


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one fact gives to an indicator. Without a fact: points for nothing having been due."""

    fact: UUID | None
    points_milli: int
    bears: Bears


@dataclass(frozen=True, slots=True)
class IndicatorScore:
    """Points of an indicator, what was done of what was due, and where the points come from."""

    indicator: Indicator
    done: int
    due: int
    points_milli: int
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A subject's score of a period (考核得分), in thousandths of a point."""

    subject: Subject
    period: str
    scheme: Scheme
    indicators: tuple[IndicatorScore, ...]

    @property
    def milli(self) -> int:
        return sum(each.points_milli for each in self.indicators)


@dataclass(frozen=True, slots=True)
class Register:
    """The register as of the period: households on it by village, and the village of each one that was visited."""

    households: Mapping[str, int] = field(default_factory=dict)
    visited: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Done and due, and the facts behind them: (fact, weight) of what is counted, and what else bears on it."""

    done: int
    due: int
    counted: list[tuple[Fact, int]]
    others: list[tuple[Fact, Bears]]


@dataclass(frozen=True, slots=True)
class _Case:
    """What a formula looks at: one indicator of one subject in one period."""

    indicator: Indicator
    subject: Subject
    period: str
    facts: list[Fact]
    register: Register
    planned: int | None


def windows(schemes: Iterable[Scheme], period: str, planned: Iterable[str]) -> dict[str, str]:
    """Event type → the first period whose facts can bear on the score of `period`. `planned`: indicators with a year's target."""
    targeted = set(planned)
    first: dict[str, str] = {}
    for indicator in (i for scheme in schemes for i in scheme.indicators):
        for type in indicator.events:
            first[type] = min(first.get(type, period), _since(indicator, period, indicator.key in targeted))
    return first


def score_all(
    subjects: Sequence[Subject],
    schemes: Mapping[Kind, Scheme],
    period: str,
    facts: Iterable[Fact],
    register: Register,
    targets: Mapping[tuple[str, str], int],
) -> list[Score]:
    """Scores subjects for a period. `targets`: (division, indicator) → planned value of the year."""
    by_subject: dict[str, list[Fact]] = defaultdict(list)
    for fact in sorted(facts, key=_order):
        for key in subjects_of(fact):
            by_subject[key].append(fact)
    return [score(s, schemes[s.kind], period, by_subject[s.key], register, targets) for s in subjects]


def score(
    subject: Subject,
    scheme: Scheme,
    period: str,
    facts: Sequence[Fact],
    register: Register,
    targets: Mapping[tuple[str, str], int],
) -> Score:
    """Scores one subject from the facts that name it, given in the order of their business keys."""
    indicators = []
    for indicator in scheme.indicators:
        planned = targets.get((subject.number, indicator.key)) if subject.kind is Kind.TOWN else None
        since = _since(indicator, period, planned is not None)
        inside = [fact for fact in facts if fact.type in indicator.events and since <= fact.period <= period]
        his: list[Fact] = []
        strays: list[tuple[Fact, Bears]] = []
        for fact in inside:
            if subject.answers_for(fact):
                his.append(fact)
            else:
                strays.append((fact, Bears.OUT_OF_PLACE))
        measured = _FORMULAS[indicator.formula](_Case(indicator, subject, period, his, register, planned))
        indicators.append(_points(indicator, replace(measured, others=measured.others + strays)))
    return Score(subject, period, scheme, tuple(indicators))


def subjects_of(fact: Fact) -> tuple[str, ...]:
    """The subjects a fact can bear on: the town it happened in, and the cadre it names. Never a household."""
    keys = []
    if fact.town is not None:
        keys.append(f"{Kind.TOWN}:{fact.town}")
    if fact.cadre_no is not None:
        keys.append(f"{Kind.CADRE}:{fact.cadre_no}")
    return tuple(keys)


def _since(indicator: Indicator, period: str, planned: bool) -> str:
    if indicator.formula is Formula.PROGRESS:
        return EARLIEST
    if indicator.formula is Formula.RATIO_TO_TARGET and planned:
        return first_of_year(period)
    return period


def _order(fact: Fact) -> tuple[date, str, str, str, str, int]:
    return fact.on, fact.type, fact.unit, fact.cadre_no or "", fact.division, fact.quantity


def _coverage(case: _Case) -> _Measured:
    """Registered households visited ÷ registered households (走访覆盖率). The first visit to a household counts. Source: ASM-040."""
    own = Area.of([case.subject.division])
    due = sum(n for village, n in case.register.households.items() if own.covers(village))
    counted: dict[str, Fact] = {}
    others = []
    for fact in case.facts:
        village = case.register.visited.get(fact.unit)
        if village is not None and own.covers(village) and fact.unit not in counted:
            counted[fact.unit] = fact
        else:
            others.append((fact, Bears.REPEATED))
    return _Measured(len(counted), due, [(fact, 1) for fact in counted.values()], others)


def _ratio_to_target(case: _Case) -> _Measured:
    """What was done ÷ the target (任务完成率): of the period, or since New Year against the part of the year's plan that is due."""
    due = due_by(case.planned, case.period) if case.planned is not None else case.indicator.target or 0
    return _Measured(len(case.facts), due, [(fact, 1) for fact in case.facts], [])


def _progress(case: _Case) -> _Measured:
    """Money paid ÷ money allocated, both since the beginning (资金拨付进度)."""
    paid = [(fact, fact.quantity) for fact in case.facts if fact.counts is Counts.DONE]
    allocated = [fact for fact in case.facts if fact.counts is Counts.DUE]
    due = sum(fact.quantity for fact in allocated)
    return _Measured(sum(fen for _, fen in paid), due, paid, [(fact, Bears.DUE) for fact in allocated])


def _punctuality(case: _Case) -> _Measured:
    """Weeks reported on time ÷ weeks with a report due (每周报告及时率). Source: NTF-003, NTF-004."""
    counted: dict[str, Fact] = {}
    for fact in case.facts:
        if fact.counts is Counts.DONE:
            counted.setdefault(fact.unit, fact)
    chosen = {fact.event_id for fact in counted.values()}
    others = [
        (fact, Bears.REPEATED if fact.counts is Counts.DONE else Bears.DUE)
        for fact in case.facts
        if fact.event_id not in chosen
    ]
    weeks = {fact.unit for fact in case.facts}
    return _Measured(len(counted), len(weeks), [(fact, 1) for fact in counted.values()], others)


_FORMULAS = {
    Formula.COVERAGE: _coverage,
    Formula.RATIO_TO_TARGET: _ratio_to_target,
    Formula.PROGRESS: _progress,
    Formula.PUNCTUALITY: _punctuality,
}


def _points(indicator: Indicator, measured: _Measured) -> IndicatorScore:
    """The share done of the weight, at most the cap, as whole thousandths rounded down, shared out over the counted facts."""
    others = [Contribution(fact.event_id, 0, bears) for fact, bears in measured.others]
    if measured.due == 0:
        points = indicator.most_milli if indicator.full_when_nothing_due else 0
        free = [Contribution(None, points, Bears.NOTHING_DUE)] if points else []
        idle = [Contribution(fact.event_id, 0, Bears.REPEATED) for fact, _ in measured.counted]
        return IndicatorScore(indicator, measured.done, 0, points, (*free, *idle, *others))
    points = min(indicator.weight_milli * measured.done // measured.due, indicator.most_milli)
    weights = [weight for _, weight in measured.counted]
    shares = share_out(points, weights) if any(weights) else [0] * len(weights)
    counted = [
        Contribution(fact.event_id, share, Bears.COUNTED)
        for (fact, _), share in zip(measured.counted, shares, strict=True)
    ]
    return IndicatorScore(indicator, measured.done, measured.due, points, (*counted, *others))


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided of a score: an appeal, or the confirmation."""

    kind: State
    actor: str


def state_of(decisions: Iterable[Decision]) -> State:
    """A score is proposed by the engine and decided by people: without a confirmation it is nobody's result."""
    kinds = {decision.kind for decision in decisions}
    return next((state for state in (State.CONFIRMED, State.APPEALED) if state in kinds), State.PROPOSED)


def require_begun(period: str, today: date) -> None:
    """Raises PeriodNotBegun for a period to come."""
    if month_of(today) < period:
        raise PeriodNotBegun("This period has not begun. Score one that has.")


def require_appeal(decisions: Sequence[Decision]) -> None:
    """An appeal (申诉) is possible once, and until the score is confirmed. Raises AlreadyConfirmed, AlreadyAppealed."""
    state = state_of(decisions)
    if state is State.CONFIRMED:
        raise AlreadyConfirmed("This score was confirmed. Ask for a fact to be withdrawn and the period scored again.")
    if state is State.APPEALED:
        raise AlreadyAppealed("An appeal against this score is open already; wait for its answer.")


def require_confirmation(
    subject: str,
    period: str,
    today: date,
    decisions: Sequence[Decision],
    *,
    proposer: str,
    actor: str,
    answer: str | None,
) -> None:
    """A score is confirmed (确认) after its period, by somebody whose own it is not, who neither ran the engine nor appealed.

    An appeal is answered first.

    Raises PeriodNotOver, AlreadyConfirmed, SamePerson, AnswerMissing.
    """
    if today <= last_day(period):
        raise PeriodNotOver(
            "The period is not over. Confirm its score when it is.", last_day=last_day(period).isoformat()
        )
    state = state_of(decisions)
    if state is State.CONFIRMED:
        raise AlreadyConfirmed("This score was confirmed already; there is nothing to do.")
    whose = subject.removeprefix(f"{Kind.CADRE}:")
    if same_side(actor, [whose, proposer, *(decision.actor for decision in decisions)]):
        raise SamePerson(
            "Somebody else confirms it: not whose score it is, not who had it computed, and not who appealed."
        )
    if state is State.APPEALED and not answer:
        raise AnswerMissing("An appeal is open: give the `answer` to it, or withdraw the wrong fact and score again.")
