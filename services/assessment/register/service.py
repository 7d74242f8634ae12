"""What assessment keeps of the registry's news."""

from services.assessment.register import store
from services.assessment.register.store import Household
from shared.events.base import Envelope
from shared.events.registry import DivisionRecorded, HouseholdRecorded
from shared.work import Work


async def hear_division(work: Work, event: DivisionRecorded, envelope: Envelope) -> None:
    await store.keep_division(work.tx, event.code, event.name, event.level, at=envelope.time)


async def hear_household(work: Work, event: HouseholdRecorded, envelope: Envelope) -> None:
    """Keeps the household as it is now, and since when it has its status. An older version than the kept one is no news."""
    household = Household(
        household_id=event.household_id,
        household_no=event.household_no,
        division=event.division,
        status=event.status,
        people=event.people,
        version=envelope.aggregate_version,
    )
    if not await store.add_household(work.tx, household):
        before = await store.find_household(work.tx, household.household_id)
        if before is None or household.version < before.version:
            return
        await store.keep_household(work.tx, household)
        if (before.status, before.division) == (household.status, household.division):
            return
        await store.end_status(work.tx, household.household_id, at=envelope.time)
    await store.begin_status(work.tx, household, at=envelope.time)
