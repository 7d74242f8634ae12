"""What assessment keeps of a household's history is the same whether its events come one by one or in one batch."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from services.assessment.register import service
from services.assessment.register.store import households, statuses
from services.assessment.tables import metadata
from shared import tables
from shared.clock import SystemClock
from shared.db import Database
from shared.events.base import Envelope
from shared.events.registry import HouseholdRecorded
from shared.ids import new_id
from shared.keyring import Ring
from shared.pii import Vault
from shared.policy import PolicyBook
from shared.testing import OTHER_VILLAGE, START, VILLAGE
from shared.work import SYSTEM, Work

HOUSEHOLDS = [UUID(int=n) for n in (1, 2)]
Told = tuple[HouseholdRecorded, Envelope]


def told(n: int, which: int, status: str, division: str, version: int) -> Told:
    event = HouseholdRecorded(
        household_id=HOUSEHOLDS[which], household_no=f"H{which}", division=division, head_name_masked="王*",
        people=3, status=status,
    )  # fmt: skip
    envelope = Envelope(
        id=new_id(), type=event.type_name, source="/daohu/tests", subject=event.key, time=START + timedelta(hours=n),
        division=division, actor="tester", aggregate_version=version,
    )  # fmt: skip
    return event, envelope


async def history(database: Database, batches: Sequence[Sequence[Told]]) -> list[Any]:
    """The tables after these batches, each its own transaction."""
    vault = Vault(Ring.new())
    async with database.write() as tx:
        await tx.execute(households.delete())
        await tx.execute(statuses.delete())
    for batch in batches:
        async with database.write() as tx:
            await service.hear_households(Work(tx, "assessment", SYSTEM, SystemClock(), PolicyBook([]), vault), batch)
    async with database.read() as tx:
        kept = (await tx.execute(select(households).order_by(households.c.household_id))).all()
        columns = [c for c in statuses.columns if c.name != "id"]
        began = (await tx.execute(select(*columns).order_by(statuses.c.household_id, statuses.c.since))).all()
    return [*map(tuple, kept), *map(tuple, began)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    events=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["candidate", "registered", "exited"]),
            st.sampled_from([VILLAGE, OTHER_VILLAGE]),
            st.integers(1, 4),
        ),
        max_size=10,
    ),
    cut=st.integers(0, 10),
)
async def test_one_by_one_or_together_the_history_is_the_same(
    database_url: str, events: list[tuple[int, str, str, int]], cut: int
) -> None:
    database = Database(database_url, service="assessment")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
    heard = [told(n, *event) for n, event in enumerate(events)]
    one_by_one = await history(database, [[one] for one in heard])
    in_batches = await history(database, [batch for batch in (heard[:cut], heard[cut:]) if batch])
    assert in_batches == one_by_one
    await database.close()
