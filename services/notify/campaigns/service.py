"""Use cases of campaigns: what the clock says is due is planned, once a person and week."""

from collections.abc import Mapping

from services.notify.alarms.domain import AlarmKind
from services.notify.alarms.service import raise_alarm
from services.notify.briefs import store as briefs
from services.notify.campaigns import store
from services.notify.campaigns.domain import Round, to_be_moved
from services.notify.contacts import store as contacts
from services.notify.contacts.domain import Appointment, recipients
from services.notify.outbound import service as outbound
from services.notify.outbound import store as prompts
from services.notify.outbound.domain import OPEN, State
from services.notify.outbound.store import Fresh, Prompt
from services.notify.outbound.text import Language
from services.notify.payments import store as payments
from services.notify.replies import store as replies
from services.notify.weeks.domain import (
    WEEKS_BACK,
    Campaign,
    Occurrence,
    due_occurrences,
    fact_version,
    week_after,
    week_of,
)
from services.notify.weeks.policy import PromptPolicy
from shared.clock import business_date
from shared.events.notify import ReportMissed
from shared.policy import PolicyMissing
from shared.scope import EVERYWHERE
from shared.work import Work

MISSED_STEP = 3
"""Of a cadre's facts of a week: it comes after the prompts and before a late report."""


async def tick(work: Work) -> None:
    """Plans the prompts that are due, in every county whose posts are known; what was not sent in time is marked missed.

    The unique key of a prompt is the scheduler: any number of replicas may tick at any time.
    Source: NTF-001 (every Monday, to all), NTF-003 (a report a week), NTF-004 (who did not is reminded).
    """
    for county, since in await contacts.watched_counties(work.tx):
        try:
            policy = PromptPolicy.of(work.policies, county, work.today)
        except PolicyMissing:
            continue  # a county whose pack does not prompt; the others' prompts must not wait for it
        past = await store.runs_since(work.tx, county, week_after(week_of(work.today), -WEEKS_BACK))
        for occurrence in due_occurrences(policy.schedule, since=since, now=work.now):
            if occurrence.closes_at <= work.now and (occurrence.week, occurrence.campaign) in past:
                continue
            await store.open_run(work.tx, county, occurrence, at=work.now)
            await (_weekly if occurrence.campaign is Campaign.WEEKLY else _reminder)(work, county, occurrence, policy)
    await outbound.expire(work)


async def _weekly(work: Work, county: str, occurrence: Occurrence, policy: PromptPolicy) -> None:
    """Every holder of the wanted posts gets the week's tasks (NTF-001, NTF-002), and what was paid the week before."""
    in_post = await _in_post(work, county, occurrence, policy)
    tasks = await briefs.tasks_of(work.tx, county, occurrence.week)
    before = await prompts.of_campaign(work.tx, Campaign.WEEKLY, occurrence.week, county)
    known = await contacts.contacts_of(work.tx, [*in_post, *before], EVERYWHERE)
    round = Round(in_post, known, has_text=tasks is not None)
    texts: dict[Language, str] = {}
    if tasks:
        paid = await payments.of_week(work.tx, county, week_after(occurrence.week, -1))
        texts = {lang: policy.text(Campaign.WEEKLY, occurrence.week, tasks, lang, paid=paid) for lang in Language}
    if tasks is None and in_post and occurrence.closes_at > work.now:
        subject = f"{occurrence.week}/{county}"
        await raise_alarm(work, AlarmKind.BRIEF_MISSING, subject, division=county, week=occurrence.week)
    await _plan(work, occurrence, round, in_post, before, texts)


async def _reminder(work: Work, county: str, occurrence: Occurrence, policy: PromptPolicy) -> None:
    """Who was to report and has not is reminded, and that he missed it becomes a fact, once (NTF-003, NTF-004)."""
    in_post = await _in_post(work, county, occurrence, policy)
    weekly = await prompts.of_campaign(work.tx, Campaign.WEEKLY, occurrence.week, county)
    before = await prompts.of_campaign(work.tx, Campaign.REMINDER, occurrence.week, county)
    reporters = await replies.reporters(work.tx, occurrence.week)
    owing = {cadre_no: prompt for cadre_no, prompt in weekly.items() if cadre_no not in reporters}
    known = await contacts.contacts_of(work.tx, list(weekly), EVERYWHERE)
    round = Round(in_post, known, has_text=True, reporters=reporters)
    texts = {lang: policy.text(Campaign.REMINDER, occurrence.week, [], lang) for lang in Language}
    for cadre_no in sorted(await _plan(work, occurrence, round, owing, before, texts)):
        if cadre_no in in_post:
            missed = ReportMissed(
                cadre_no=cadre_no,
                division=owing[cadre_no].division,
                week=occurrence.week,
                due_on=business_date(occurrence.due_at),
            )
            work.record(missed, division=missed.division, version=fact_version(occurrence.week, MISSED_STEP))


async def _plan(
    work: Work,
    occurrence: Occurrence,
    round: Round,
    people: Mapping[str, Appointment | Prompt],
    before: Mapping[str, Prompt],
    texts: Mapping[Language, str],
) -> set[str]:
    """Enters the prompts of people who have none yet, and moves those not sent on to where they stand now. Returns who was new."""
    fresh = [
        Fresh(
            cadre_no,
            person.division,
            person.county,
            standing := round.standing(cadre_no),
            texts.get(Language(round.language(cadre_no)), "") if standing.state in OPEN else "",
        )
        for cadre_no, person in sorted(people.items())
        if cadre_no not in before
    ]
    for cadre_no, standing in to_be_moved(round, {no: prompt.standing for no, prompt in before.items()}).items():
        text = texts[Language(round.language(cadre_no))] if standing.state is State.PLANNED else before[cadre_no].text
        await prompts.move(work.tx, before[cadre_no], standing, text=text)
    return await prompts.add(work.tx, occurrence, fresh, at=work.now)


async def _in_post(work: Work, county: str, occurrence: Occurrence, policy: PromptPolicy) -> dict[str, Appointment]:
    """Who holds a wanted post; of a campaign whose time has passed, who held one when it ended."""
    day = min(work.today, business_date(occurrence.closes_at))
    return recipients(await contacts.appointments_of_county(work.tx, county), policy.posts, day)
