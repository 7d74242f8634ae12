"""What is looked up of the prompts when somebody scrapes notify: where those of this week and the last stand."""

from collections.abc import Iterable

from sqlalchemy import func, select

from services.notify.outbound.domain import State
from services.notify.outbound.store import prompts
from services.notify.weeks.domain import week_after, week_of
from shared.clock import business_date
from shared.metrics import SMS_MESSAGES, Reading
from shared.service import Service


async def standing(service: Service) -> Iterable[Reading]:
    """Prompts by state. Two weeks by the index on the week, so the count does not grow with the years."""
    week = week_of(business_date(service.clock.now()))
    c = prompts.c
    query = select(c.state, func.count()).where(c.week.in_([week_after(week, -1), week])).group_by(c.state)
    async with service.database.read() as tx:
        found = {row[0]: row[1] for row in await tx.execute(query)}
    return [Reading(SMS_MESSAGES, found.get(state, 0), (state,)) for state in State]
