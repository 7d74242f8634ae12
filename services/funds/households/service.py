"""What the registry says becomes the projection. An older version of a household never overwrites a newer one."""

from collections.abc import Sequence

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


async def record(work: Work, heard: Sequence[tuple[HouseholdRecorded, Envelope]]) -> None:
    """Keeps the households' present state (户)."""
    rows = [
        {
            "household_id": event.household_id,
            "household_no": event.household_no,
            "division": event.division,
            "head_name_masked": event.head_name_masked,
            "people": event.people,
            "status": event.status.value,
            "version": envelope.aggregate_version,
        }
        for event, envelope in heard
    ]
    await store.put(work.tx, rows)


async def identified(work: Work, heard: Sequence[tuple[HouseholdIdentified, Envelope]]) -> None:
    """The households are on the register (识别) and may be paid."""
    await _change(work, heard, HouseholdStatus.REGISTERED)


async def exited(work: Work, heard: Sequence[tuple[HouseholdExited, Envelope]]) -> None:
    """The households left poverty (退出)."""
    await _change(work, heard, HouseholdStatus.EXITED)


async def _change(
    work: Work, heard: Sequence[tuple[HouseholdIdentified | HouseholdExited, Envelope]], status: HouseholdStatus
) -> None:
    """A household not recorded yet is left alone: its HouseholdRecorded carries the same state and more."""
    changes = [
        store.Change(event.household_id, event.people, status.value, envelope.aggregate_version)
        for event, envelope in heard
    ]
    await store.change(work.tx, changes)


async def record_divisions(work: Work, heard: Sequence[tuple[DivisionRecorded, Envelope]]) -> None:
    """Keeps the divisions' present names (行政区划)."""
    rows = [
        {"code": event.code, "name": event.name, "level": event.level.value, "version": envelope.aggregate_version}
        for event, envelope in heard
    ]
    await store.put_divisions(work.tx, rows)
