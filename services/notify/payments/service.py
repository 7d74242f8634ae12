"""Use cases of payments: hear of one."""

from services.notify.payments import store
from services.notify.weeks.domain import WEEKS_BACK, week_after, week_of
from shared.events.base import Envelope
from shared.events.funds import TranchePaid
from shared.scope import Level, at_level
from shared.work import Work


async def hear_paid(work: Work, event: TranchePaid, _: Envelope) -> None:
    """A tranche was paid (拨付到户): the next weekly prompt of its county tells of it. What no prompt tells any more goes."""
    county = at_level(event.division, Level.COUNTY) or event.division
    await store.forget(work.tx, county, before=week_after(week_of(work.today), -WEEKS_BACK - 1))
    await store.keep(
        work.tx,
        {
            "tranche_id": event.tranche_id,
            "county": county,
            "week": week_of(event.paid_on),
            "paid_on": event.paid_on,
            "households": event.households,
            "amount_fen": event.amount_fen,
            "traceparent": work.trace,
        },
    )
