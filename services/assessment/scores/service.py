"""Use cases of scores: compute them, say what a fact bears on, show, explain, appeal, confirm."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.assessment.directory import domain as directory
from services.assessment.directory import store as cadres
from services.assessment.facts import store as evidence
from services.assessment.facts.domain import Fact
from services.assessment.periods import domain as periods
from services.assessment.register import store as register
from services.assessment.schemes import service as schemes
from services.assessment.schemes.domain import Kind, grade_of
from services.assessment.scores import domain, store, view
from services.assessment.scores.domain import Decision, Register, Score, State, Subject
from services.assessment.scores.schemas import AppealIn, ConfirmationIn, Explanation, RunIn, RunOut, ScoreItem
from services.assessment.targets import store as targets
from shared.clock import county_instant
from shared.errors import NotFound, Stale
from shared.events.assessment import ScorePublished
from shared.http import Match, Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.roles import Role
from shared.scope import Area, Level
from shared.work import Work

ANSWERABLE = (Role.TOWN_CHIEF, Role.TOWN_OFFICE, Role.DEPARTMENT_CHIEF)
"""Who appeals for what he answers for in his area; a cadre appeals for himself."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A score that changes when a fact is taken away: with it, and without it."""

    subject: str
    period: str
    milli: int
    milli_without: int


async def run(work: Work, order: RunIn) -> RunOut:
    """Scores a county for a period from everything heard up to now.

    Raises NotFound (no such county in the area), PeriodNotBegun, PolicyMissing.
    """
    counties = await register.divisions_of(work.tx, Level.COUNTY, work.area, before=None)
    if order.division not in {code for code, _ in counties}:
        raise NotFound("There is no such county in your area.")
    domain.require_begun(order.period, work.today)
    return await _run(work, order.division, order.period, before=None)


async def score_night(work: Work, county: str) -> None:
    """Scores a county from all that was recorded before today, once a business date: the month, and at its beginning the last one too.

    The bound at midnight makes it the same whenever in the day it runs. The last month is kept up as long as visits may be
    entered for it (registry.visit_back_days). Raises PolicyMissing.
    """
    if not await store.begin_night(work.tx, county, work.today):
        return
    yesterday = work.today - timedelta(days=1)
    month = periods.month_of(yesterday)
    late: int = work.policies.value("registry.visit_back_days", county, work.today)
    still_open = periods.month_of(yesterday - timedelta(days=late))
    for period in sorted({month, max(still_open, periods.before(month))}):
        if await _known_within(work, county, period):
            await _run(work, county, period, before=county_instant(work.today))


async def counties_to_score(work: Work) -> list[str]:
    """Counties known before today that were not yet scored on this business date."""
    known = await register.divisions_of(work.tx, Level.COUNTY, work.area, before=county_instant(work.today))
    done = await store.nights_done(work.tx, work.today)
    return [code for code, _ in known if code not in done]


async def effects_of(work: Work, fact: Fact) -> list[Effect]:
    """Exactly the scores in the area (points or explanation) that change when this fact is taken away and its periods are scored again."""
    if fact.county is None:
        return []
    found = []
    for period in await store.scored_periods(work.tx, fact.county, since=fact.period):
        with_it = await compute(work, fact.county, period, before=None, only=fact)
        without = await compute(work, fact.county, period, before=None, only=fact, leaving_out=fact.event_id)
        for score, other in zip(with_it, without, strict=True):
            if view.digest(score) != view.digest(other) and work.area.covers(score.subject.division):
                found.append(Effect(score.subject.key, period, score.milli, other.milli))
    return found


async def compute(
    work: Work,
    county: str,
    period: str,
    *,
    before: datetime | None,
    only: Fact | None = None,
    leaving_out: UUID | None = None,
) -> list[Score]:
    """The scores of a county, as the register, the directory and the evidence stood before an instant (None: now).

    `only`: just the subjects of this fact. `leaving_out`: as if this event had not been heard.
    """
    whole = Area.of([county])
    force = schemes.in_force(work, county, period)
    planned = await targets.of_year(work.tx, whole, periods.first_day(period).year)
    subjects = await _subjects(work, whole, period, before=before)
    narrow: dict[str, Collection[str]] = {}
    if only is not None:
        keys = domain.subjects_of(only)
        subjects = [subject for subject in subjects if subject.key in keys]
        narrow = {"towns": [s.number for s in subjects if s.kind is Kind.TOWN]}
        narrow["cadre_nos"] = [s.number for s in subjects if s.kind is Kind.CADRE]
    since = domain.windows(force.schemes.values(), period, [indicator for _, indicator in planned])
    facts = await evidence.evidence(work.tx, county, period, since=since, before=before, **narrow)
    facts = [fact for fact in facts if fact.event_id != leaving_out]
    known = await _register(work, whole, period, facts, before=before)
    # A large county takes a second of computing: in a thread, so that others get the loop meanwhile.
    return await asyncio.to_thread(domain.score_all, subjects, force.schemes, period, facts, known, planned)


async def list_scores(
    work: Work, page: PageQuery, *, period: str, kind: Kind | None, division: str | None
) -> Page[ScoreItem]:
    """The scores of a period in force, in order of subject."""
    after = str(decode_cursor(page.after, str)[0]) if page.after else None
    within = Area.of([division]) if division else None
    rows = await store.page(
        work.tx, work.area, period=period, kind=kind, within=within, after=after, limit=page.limit + 1
    )
    return await _page(work, rows, page.limit)


async def list_runs(work: Work, page: PageQuery, *, period: str | None) -> Page[RunOut]:
    after = tuple(decode_cursor(page.after, str, Small)) if page.after else None
    rows = await store.page_runs(work.tx, work.area, period=period, after=after, limit=page.limit + 1)
    items, following = page_of(
        [RunOut.model_validate(row) for row in rows], page.limit, lambda run: encode_cursor(run.county, run.no)
    )
    return Page(items=items, next=following)


async def list_changes(work: Work, run_id: UUID, page: PageQuery) -> Page[ScoreItem]:
    """The scores that a run changed. Raises NotFound."""
    if await store.find_run(work.tx, run_id, work.area) is None:
        raise NotFound("There is no such run in your area.")
    after = str(decode_cursor(page.after, str)[0]) if page.after else None
    rows = await store.page_of_run(work.tx, run_id, work.area, after=after, limit=page.limit + 1)
    return await _page(work, rows, page.limit)


async def explain(work: Work, subject: str, period: str, *, version: int | None = None) -> Explanation:
    """A score with its indicators and their contributions down to the event. Raises NotFound."""
    row = await _load(work, subject, period, version=version)
    ids = [UUID(id) for indicator in row["explanation"] for id, _, _ in indicator["contributions"] if id is not None]
    described = await evidence.described(work.tx, ids, work.area)
    decisions = (await store.decisions_on(work.tx, [row["id"]]))[row["id"]]
    return view.explanation(row, _state(decisions), described, decisions)


async def appeal(work: Work, subject: str, order: AppealIn, match: Match) -> Explanation:
    """Objects to a score (申诉), a cadre to his own.

    Raises NotFound, NotYourScore, PreconditionRequired, Stale, AlreadyConfirmed, AlreadyAppealed.
    """
    row = await _load(work, subject, order.period)
    own = {f"{Kind.CADRE}:{person}" for person in work.caller.persons}
    if not work.caller.has(*ANSWERABLE) and subject not in own:
        raise domain.NotYourScore("Appeal against your own score; the town brings the appeals of others.")
    match(row["version"])
    domain.require_appeal(await _decided(work, row))
    return await _decide(work, row, State.APPEALED, order.reason)


async def confirm(work: Work, subject: str, order: ConfirmationIn, match: Match) -> Explanation:
    """Confirms a score (确认): by another person than whose it is, who ran the engine or who appealed, after the period.

    Raises NotFound, PreconditionRequired, Stale, PeriodNotOver, AlreadyConfirmed, SamePerson, AnswerMissing.
    """
    row = await _load(work, subject, order.period)
    match(row["version"])
    domain.require_confirmation(
        subject,
        order.period,
        work.today,
        await _decided(work, row),
        proposer=row["proposed_by"],
        actor=work.caller.subject,
        answer=order.answer,
    )
    return await _decide(work, row, State.CONFIRMED, order.answer)


async def _run(work: Work, county: str, period: str, *, before: datetime | None) -> RunOut:
    await store.lock_county(work.tx, county)
    found = await compute(work, county, period, before=before)
    grades = schemes.in_force(work, county, period).grades
    last = await store.last_of(work.tx, county, period)
    no = await store.next_no(work.tx, county)
    id = new_id()
    rows = []
    for score, digest in zip(found, await asyncio.to_thread(_digests, found), strict=True):
        previous = last.get(score.subject.key)
        if previous is not None and previous.digest == digest:
            continue
        rows.append(
            {
                "id": new_id(),
                "run_id": id,
                "subject": score.subject.key,
                "period": period,
                "version": previous.version + 1 if previous else 1,
                "kind": score.subject.kind,
                "name": score.subject.name,
                "division": score.subject.division,
                "county": county,
                "scheme": score.scheme.id,
                "score_milli": score.milli,
                "grade": {k: v for k, v in asdict(grade_of(score.milli, grades)).items() if k != "from_points"},
                "explanation": view.stored(score),
                "digest": digest,
            }
        )
        if previous is None or previous.score_milli != score.milli:
            _publish(work, score, no)
    run = {
        "id": id,
        "county": county,
        "no": no,
        "period": period,
        "actor": work.caller.subject,
        "on": work.today,
        "at": work.now,
        "subjects": len(found),
        "changed": len(rows),
    }
    await store.add_run(work.tx, run)
    await store.add_scores(work.tx, rows)
    return RunOut.model_validate(run)


def _digests(scores: Sequence[Score]) -> list[str]:
    return [view.digest(score) for score in scores]


def _publish(work: Work, score: Score, no: int) -> None:
    event = ScorePublished(
        subject=score.subject.key,
        division=score.subject.division,
        scheme=score.scheme.id,
        period=score.period,
        score_milli=score.milli,
    )
    work.record(event, division=score.subject.division, version=no)


async def _known_within(work: Work, county: str, period: str) -> bool:
    """Whether the house knew the county in the period at all; before, there is nothing to assess."""
    end = county_instant(periods.last_day(period) + timedelta(days=1))
    known = await register.divisions_of(work.tx, Level.COUNTY, Area.of([county]), before=end)
    return bool(known)


async def _subjects(work: Work, county: Area, period: str, *, before: datetime | None) -> list[Subject]:
    """The towns of a county, and its cadres who held a post in the period, in the post they are assessed in."""
    towns = await register.divisions_of(work.tx, Level.TOWN, county, before=before)
    held = await cadres.held_within(work.tx, county, periods.first_day(period), periods.last_day(period), before=before)
    names = {appointment.cadre_no: name for appointment, name in held}
    posts: dict[str, list[directory.Appointment]] = {}
    for appointment, _ in held:
        posts.setdefault(appointment.cadre_no, []).append(appointment)
    return [Subject(Kind.TOWN, code, name, code) for code, name in towns] + [
        Subject(Kind.CADRE, number, names[number], directory.main_post(posts[number]).division, tuple(posts[number]))
        for number in sorted(posts)
    ]


async def _register(
    work: Work, county: Area, period: str, facts: Sequence[Fact], *, before: datetime | None
) -> Register:
    """The register at the end of the period, or before the instant if that is earlier."""
    end = county_instant(periods.last_day(period) + timedelta(days=1))
    bound = min(end, before) if before is not None else end
    visited = {fact.unit for fact in facts if fact.period == period}
    return Register(
        households=await register.registered(work.tx, county, before=bound),
        visited=await register.registered_among(work.tx, visited, county, before=bound),
    )


async def _page(work: Work, rows: Sequence[Any], limit: int) -> Page[ScoreItem]:
    decided = await store.decisions_on(work.tx, [row["id"] for row in rows])
    items, following = page_of(
        [ScoreItem.model_validate({**row, "state": _state(decided[row["id"]])}, extra="ignore") for row in rows],
        limit,
        lambda score: encode_cursor(score.subject),
    )
    return Page(items=items, next=following)


async def _load(work: Work, subject: str, period: str, *, version: int | None = None) -> Any:
    row = await store.find(work.tx, subject, period, work.area, version=version)
    if row is None:
        raise NotFound("There is no such score in your area. Was the period scored?")
    return row


async def _decided(work: Work, row: Any) -> list[Decision]:
    rows = (await store.decisions_on(work.tx, [row["id"]]))[row["id"]]
    return [Decision(State(each["kind"]), each["actor"]) for each in rows]


async def _decide(work: Work, row: Any, kind: State, text: str | None) -> Explanation:
    decision = {
        "id": new_id(),
        "score_id": row["id"],
        "kind": kind,
        "text": text,
        "actor": work.caller.subject,
        "at": work.now,
    }
    if not await store.decide(work.tx, decision):
        raise Stale("Somebody decided at the same time. Read it again.")
    return await explain(work, row["subject"], row["period"])


def _state(rows: Sequence[Any]) -> State:
    return domain.state_of(Decision(State(row["kind"]), row["actor"]) for row in rows)
