"""Use cases of briefs: enter, correct, show."""

from typing import Any
from uuid import UUID

from services.notify.briefs import store
from services.notify.briefs.domain import WEEKS_AHEAD, BriefExists, BriefInUse, NotACounty, WeekOver, WeekTooFar
from services.notify.briefs.schemas import BriefChange, BriefIn, BriefOut
from services.notify.outbound import store as prompts
from services.notify.outbound.text import Language, parts, require_sendable
from services.notify.payments.domain import LONGEST
from services.notify.weeks.domain import Campaign, week_after, week_of
from services.notify.weeks.policy import PromptPolicy
from shared.errors import NotFound, Stale
from shared.http import Match, Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.scope import Level, level_of
from shared.work import Work


async def enter(work: Work, order: BriefIn) -> BriefOut:
    """Enters the key tasks of a week (录入本周重点工作). Source: NTF-002.

    Raises NotFound (county outside the area), NotACounty, WeekOver, WeekTooFar, Malformed (no such week), TextTooLong,
    BriefExists.
    """
    if not work.area.covers(order.division):
        raise NotFound("There is no such county in your area.")
    if level_of(order.division) is not Level.COUNTY:
        raise NotACounty("Briefs belong to a county: give its 12-digit code.")
    this_week = week_of(work.today)
    if order.week < this_week:
        raise WeekOver("This week is over. Enter the tasks of this week or of one to come.")
    if order.week > week_after(this_week, WEEKS_AHEAD):
        raise WeekTooFar(f"Enter the tasks of a week at most {WEEKS_AHEAD} weeks ahead.")
    _require_sendable(work, order.division, order.week, order.tasks)
    row = {
        "id": new_id(),
        "division": order.division,
        "week": order.week,
        "tasks": order.tasks,
        "entered_by": work.caller.subject,
        "entered_at": work.now,
        "version": 1,
    }
    if not await store.add(work.tx, row):
        raise BriefExists("This week has its brief. Change that one.")
    return _out(work, row)


async def correct(work: Work, brief_id: UUID, change: BriefChange, match: Match) -> BriefOut:
    """Corrects the tasks before the prompts are made from them.

    Raises NotFound, PreconditionRequired, Stale, TextTooLong, BriefInUse.
    """
    row = await _load(work, brief_id)
    match(row["version"])
    _require_sendable(work, row["division"], row["week"], change.tasks)
    if await prompts.any_planned(work.tx, Campaign.WEEKLY, row["week"], row["division"]):
        raise BriefInUse(
            "The prompts of this week are under way with these tasks. Tell the people of a change another way."
        )
    if not await store.change(
        work.tx, brief_id, row["version"], tasks=change.tasks, by=work.caller.subject, at=work.now
    ):
        raise Stale("Somebody changed it since you read it. Read it again.")
    return await show(work, brief_id)


async def show(work: Work, brief_id: UUID) -> BriefOut:
    return _out(work, await _load(work, brief_id))


async def list_briefs(work: Work, page: PageQuery, *, week: str | None) -> Page[BriefOut]:
    after = tuple(decode_cursor(page.after, str, str)) if page.after else None
    rows = await store.page(work.tx, work.area, week=week, after=after, limit=page.limit + 1)
    items, following = page_of(
        [_out(work, row) for row in rows], page.limit, lambda b: encode_cursor(b.week, b.division)
    )
    return Page(items=items, next=following)


async def _load(work: Work, brief_id: UUID) -> dict[str, Any]:
    row = await store.find(work.tx, brief_id, work.area)
    if row is None:
        raise NotFound("There is no such brief in your area.")
    return row


def _require_sendable(work: Work, county: str, week: str, tasks: list[str]) -> None:
    policy = PromptPolicy.of(work.policies, county, work.today)
    for language in Language:
        require_sendable(policy.text(Campaign.WEEKLY, week, tasks, language, paid=LONGEST))


def _out(work: Work, row: dict[str, Any]) -> BriefOut:
    policy = PromptPolicy.of(work.policies, row["division"], work.today)
    zh, en = (
        policy.text(Campaign.WEEKLY, row["week"], row["tasks"], language) for language in (Language.ZH, Language.EN)
    )
    return BriefOut.model_validate({**row, "text": zh, "text_en": en, "parts": len(parts(zh))})
