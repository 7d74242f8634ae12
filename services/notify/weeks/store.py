"""Queries over a week: prompts, reminders and reports side by side. It has no table of its own."""

from typing import Any

from sqlalchemy import Select, and_, func, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.contacts.store import places
from services.notify.outbound.domain import Reason, State
from services.notify.outbound.store import prompts
from services.notify.replies.store import reports
from services.notify.weeks.domain import Campaign
from shared.db import in_area
from shared.scope import Area

_reminder = prompts.alias("reminder")


async def counts(tx: AsyncConnection, week: str, area: Area) -> dict[str, int]:
    """due, sent, delivered, replied, on_time, reminded, missing."""
    p, r = prompts.c, reports.c
    query = _joined(
        select(
            func.count().label("due"),
            func.count(p.sent_at).label("sent"),
            func.count(p.delivered_at).label("delivered"),
            func.count(r.id).label("replied"),
            func.count().filter(r.on_time.is_(True)).label("on_time"),
            func.count(_reminder.c.sent_at).label("reminded"),
            func.count().filter(r.id.is_(None)).label("missing"),
        ),
        week,
        area,
    ).where(_owes())
    return dict((await tx.execute(query)).mappings().one())


async def tallies(tx: AsyncConnection, week: str, area: Area) -> list[dict[str, Any]]:
    p = prompts.c
    query = (
        select(p.campaign, p.state, p.reason, func.count().label("prompts"))
        .where(p.week == week, in_area(p.division, area))
        .group_by(p.campaign, p.state, p.reason)
    )
    rows = [dict(row) for row in (await tx.execute(query)).mappings()]
    return sorted(rows, key=lambda row: (row["campaign"], row["state"], row["reason"] or ""))


async def people(
    tx: AsyncConnection, week: str, area: Area, *, reported: bool | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """One row a person of the week, in order of cadre number."""
    p, r = prompts.c, reports.c
    query = _joined(
        select(
            p.cadre_no,
            p.division,
            places.c.name.label("place"),
            p.state,
            p.reason,
            p.sent_at,
            _reminder.c.state.label("reminder_state"),
            _reminder.c.reason.label("reminder_reason"),
            r.received_at.label("reported_at"),
            r.on_time,
        ),
        week,
        area,
    )
    query = query.outerjoin(places, places.c.code == p.division).order_by(p.cadre_no).limit(limit)
    if reported is not None:
        query = query.where(r.id.is_not(None) if reported else and_(r.id.is_(None), _owes()))
    if after is not None:
        query = query.where(p.cadre_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def _joined(query: Select[*tuple[Any, ...]], week: str, area: Area) -> Select[*tuple[Any, ...]]:
    p, r, again = prompts.c, reports.c, _reminder.c
    reminder = and_(again.week == p.week, again.cadre_no == p.cadre_no, again.campaign == Campaign.REMINDER)
    return (
        query.select_from(prompts)
        .outerjoin(_reminder, reminder)
        .outerjoin(reports, and_(r.week == p.week, r.cadre_no == p.cadre_no))
        .where(p.week == week, p.campaign == Campaign.WEEKLY, in_area(p.division, area))
    )


def _owes() -> Any:
    """Who left his post before the prompt owes no report."""
    left = and_(prompts.c.state == State.SKIPPED, prompts.c.reason == Reason.LEFT_POST)
    return not_(func.coalesce(left, False))
