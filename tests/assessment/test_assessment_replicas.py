"""Two workers of assessment on one PostgreSQL: a county is scored once a night."""

import asyncio
from datetime import date

from shared.clock import county_instant
from shared.testing import COUNTY


async def test_two_workers_at_once_score_a_county_once_a_night(county_and_replica):
    county, replica = county_and_replica
    await county.visit(await county.household())
    for day in (8, 9):
        county.live.clock.move_to(county_instant(date(2016, 11, day), 9))
        await asyncio.gather(*(service.run_jobs() for service in (county.live.service, replica) * 2))
    runs = (await county.office.get("/assessment/v1/scores/runs")).json()["items"]
    assert [(run["county"], run["no"]) for run in runs] == [(COUNTY, no) for no in range(1, len(runs) + 1)]
    assert sorted({(run["period"], run["on"]) for run in runs}) == sorted((run["period"], run["on"]) for run in runs)
    assert {run["on"] for run in runs} == {"2016-11-08", "2016-11-09"}
