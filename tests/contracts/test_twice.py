"""Every handler of every service: its event arrives twice over the bus and takes effect once.

The oracle is the whole database: its canonical rows after the second delivery equal those after the first, and those after the
first differ from before. A handler without a case here fails `test_every_handler_has_a_case`.
"""

import asyncio
import importlib
from collections import Counter
from datetime import date
from uuid import UUID

import pytest

from services.catalogue import NAMES, part
from services.dump import table_rows
from shared import tables
from shared.bus import Message
from shared.clock import MovableClock
from shared.events import assessment, funds, notify, registry
from shared.events.base import Envelope, Event
from shared.ids import new_id
from shared.local_bus import LocalBus
from shared.testing import COUNTY, START, TOWN, VILLAGE
from shared.topics import all_topics

HOUSEHOLD, PROJECT = UUID("01930000-0000-7000-8000-000000000001"), UUID("01930000-0000-7000-8000-000000000002")
DAY = date(2016, 11, 7)

county = registry.DivisionRecorded(code=COUNTY, name="平利县", level="county")
town = registry.DivisionRecorded(code=TOWN, name="城关镇", level="town", parent=COUNTY)
household = registry.HouseholdRecorded(
    household_id=HOUSEHOLD,
    household_no="61092610020100001",
    division=VILLAGE,
    head_name_masked="王*",
    people=3,
    status="registered",
)
case = {
    "household_id": HOUSEHOLD,
    "household_no": "61092610020100001",
    "division": VILLAGE,
    "people": 3,
    "case_id": new_id(),
    "decided_on": DAY,
}
cadre = assessment.CadreAppointed(
    cadre_no="C-1", post="town_chief", unit="城关镇", division=TOWN, since=date(2016, 1, 1)
)
report = {"cadre_no": "C-1", "division": TOWN, "week": "2016-W45"}

CASES: dict[str, tuple[list[Event], Event]] = {
    "registry.division_recorded.v1": ([county], town),
    "registry.household_recorded.v1": ([county, town], household),
    "registry.household_identified.v1": (
        [county, town, household.model_copy(update={"status": registry.HouseholdStatus.CANDIDATE})],
        registry.HouseholdIdentified(**case),
    ),
    "registry.household_exited.v1": ([county, town, household], registry.HouseholdExited(**case)),
    "registry.visit_recorded.v1": (
        [county, town, household],
        registry.VisitRecorded(
            visit_id=new_id(), household_id=HOUSEHOLD, division=VILLAGE, cadre_no="C-1", visited_on=DAY
        ),
    ),
    "funds.fund_allocated.v1": (
        [county, town],
        funds.FundAllocated(
            project_id=PROJECT,
            project_no="P-1",
            fund_id=new_id(),
            division=TOWN,
            amount_fen=500,
            allocated_on=DAY,
            entry_seq=2,
        ),
    ),
    "funds.tranche_paid.v1": (
        [county, town],
        funds.TranchePaid(
            project_id=PROJECT,
            project_no="P-1",
            tranche_id=new_id(),
            division=TOWN,
            amount_fen=400,
            households=2,
            paid_on=DAY,
            entry_seq=4,
        ),
    ),
    "registry.mandate_recorded.v1": (
        [],
        registry.MandateRecorded(
            mandate_id=new_id(),
            kind="acting",
            holders=["wang"],
            absent="li",
            roles=["town_office"],
            divisions=[TOWN],
            since=DAY,
            until=DAY,
        ),
    ),
    "assessment.cadre_appointed.v1": ([county, town], cadre),
    "notify.report_received.v1": (
        [county, town],
        notify.ReportReceived(report_id=new_id(), received_on=DAY, on_time=True, **report),
    ),
    "notify.report_missed.v1": ([county, town], notify.ReportMissed(due_on=DAY, **report)),
}
"""Type → what must have happened before, and the event itself."""


def handlers() -> list[tuple[str, str]]:
    found = []
    for service in NAMES:
        if importlib.util.find_spec(f"services.{service}.consumers"):
            consumers = importlib.import_module(f"services.{service}.consumers")
            found += [(service, handler.event.type_name) for handler in consumers.HANDLERS]
    return found


def test_every_handler_has_a_case():
    assert {name for _, name in handlers()} - set(CASES) == set()


@pytest.mark.parametrize(("service", "name"), handlers())
async def test_twice_delivered_once_done(service, name, tmp_path):
    made = part(service)
    MovableClock(tmp_path / "clock", START)
    bus = LocalBus(tmp_path / "bus.db")
    await bus.start()
    await bus.create_topics(all_topics())
    app = made.create_app(made.settings(home=tmp_path, clock="movable", role="api"), bus)
    running = app.state.service
    async with running.database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(made.tables.create_all)
    consuming = asyncio.create_task(running.group.run())
    before, event = CASES[name]
    for number, earlier in enumerate(before, 1):
        await send(bus, earlier, number)
    await settled(running)
    empty = await rows(running, made.tables)
    message = await send(bus, event, 10)
    await settled(running)
    once = await rows(running, made.tables)
    await bus.producer().send([message])
    await settled(running)
    assert await rows(running, made.tables) == once
    assert effect(once) != effect(empty), "the event has no effect at all"
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    await running.database.close()
    await bus.stop()


async def send(bus, event, version):
    envelope = Envelope(
        id=new_id(), type=event.type_name, source="/daohu/tests", subject=event.key, time=START,
        division=getattr(event, "division", COUNTY), actor="tester", aggregate_version=version,
    )  # fmt: skip
    message = Message(event.topic, event.key, event.model_dump_json().encode(), envelope.headers())
    await bus.producer().send([message])
    return message


async def settled(running):
    async with asyncio.timeout(10):
        await asyncio.sleep(0.05)
        while not await running.group.settled():
            await asyncio.sleep(0.01)


async def rows(running, metadata):
    return {
        table.name: Counter([row async for row in table_rows(running.database, table, canonical=True)])
        for table in [*tables.metadata.sorted_tables, *metadata.sorted_tables]
    }


def effect(dump):
    """What the service itself holds: the inbox is the kit's own note that it has seen the event."""
    return {name: found for name, found in dump.items() if name != "inbox"}
