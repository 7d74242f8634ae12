"""What the registry says becomes the projection. An older version of a household never overwrites a newer one."""

from uuid import UUID

from services.funds.households import store
from shared.events.base import Envelope
from shared.events.registry import (
    DivisionRecorded,
    HouseholdExited,
    HouseholdIdentified,
    HouseholdRecorded,
    HouseholdStatus,
)
from shared.work import Work


async def record(work: Work, event: HouseholdRecorded, envelope: Envelope) -> None:
    """Keeps the household's present state (户)."""
    row = event.model_dump(include={"household_id", "household_no", "division", "head_name_masked", "people"})
    await store.put(work.tx, {**row, "status": event.status.value, "version": envelope.aggregate_version})


async def identified(work: Work, event: HouseholdIdentified, envelope: Envelope) -> None:
    """The household is on the register (识别) and may be paid."""
    await _change(work, event.household_id, event.people, HouseholdStatus.REGISTERED, envelope)


async def exited(work: Work, event: HouseholdExited, envelope: Envelope) -> None:
    """The household left poverty (退出)."""
    await _change(work, event.household_id, event.people, HouseholdStatus.EXITED, envelope)


async def _change(work: Work, household_id: UUID, people: int, status: HouseholdStatus, envelope: Envelope) -> None:
    """A household not recorded yet is left alone: its HouseholdRecorded carries the same state and more."""
    await store.change(work.tx, household_id, people=people, status=status.value, version=envelope.aggregate_version)


async def record_division(work: Work, event: DivisionRecorded, envelope: Envelope) -> None:
    """Keeps a division's present name (行政区划)."""
    row = {"code": event.code, "name": event.name, "level": event.level.value, "version": envelope.aggregate_version}
    await store.put_division(work.tx, row)
