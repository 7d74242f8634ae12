"""Two workers of notify on one PostgreSQL: each person is prompted and missed once; leases go by the server's clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from notify_county import County
from sqlalchemy import select

from services.notify import jobs
from services.notify.api import ROUTERS
from services.notify.consumers import HANDLERS
from services.notify.outbound import store
from services.notify.outbound.gateway import Message
from services.notify.outbound.sender import Sender
from services.notify.settings import Settings
from services.notify.tables import metadata
from shared.clock import SystemClock, county_instant
from shared.service import Service
from shared.testing import running, settings_for

PEOPLE = {f"P{number:03}": f"199{number:08}" for number in range(30)}


@asynccontextmanager
async def two_workers(tmp_path: Path, postgres_url: str) -> AsyncIterator[tuple[County, list[Service]]]:
    settings = settings_for(Settings, tmp_path, postgres_url)
    wednesday = county_instant(date(2016, 11, 2), 9)
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, jobs=jobs.JOBS, start=wednesday) as live:
        county = County(live)
        for number in PEOPLE:
            await county.appoint(number)
        assert (await county.enter_phones(PEOPLE)).status_code == 201
        await county.enter_brief()
        other = Service(settings, live.service.bus, handlers=HANDLERS, jobs=jobs.JOBS)
        yield county, [live.service, other]
        await other.database.close()


async def at_once(services: list[Service]) -> None:
    """Both look at the clock at the same moment, twice."""
    for _ in range(2):
        await asyncio.gather(*(service.run_jobs() for service in services))


@pytest.mark.rule("NTF-001")
async def test_two_workers_at_once_prompt_each_person_once(tmp_path, postgres_url):
    async with two_workers(tmp_path, postgres_url) as (county, services):
        county.live.clock.move_to(county_instant(date(2016, 11, 7), 9))
        await at_once(services)
        assert {len(await county.phone_shows(number)) for number in PEOPLE} == {1}
        assert len(await county.recorded("notify.prompt_sent.v1")) == len(PEOPLE)


@pytest.mark.rule("NTF-004")
async def test_two_workers_at_once_record_once_that_a_report_was_missed(tmp_path, postgres_url):
    async with two_workers(tmp_path, postgres_url) as (county, services):
        for day in (7, 11, 12):
            county.live.clock.move_to(county_instant(date(2016, 11, day), 18))
            await at_once(services)
        missed = [fact["cadre_no"] for fact in await county.recorded("notify.report_missed.v1")]
        assert sorted(missed) == sorted(PEOPLE)


async def test_a_lease_goes_by_the_servers_clock_not_by_the_machines(tmp_path, postgres_url):
    """The server's clock is an hour ahead of this machine's: a lease of five seconds ends in an hour and five seconds of ours."""
    ahead = timedelta(hours=1)
    shifted = "select pg_catalog.clock_timestamp() + interval '1 hour'"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        database = connection.info.dbname
        connection.execute(
            f"create function public.clock_timestamp() returns timestamptz language sql as $${shifted}$$"
        )
        connection.execute(f"alter database {database} set search_path = public, pg_catalog")

    class Deaf:
        real = False
        leases: list

        async def submit(self, message: Message):
            async with self.service.database.read() as tx:
                self.leases = list((await tx.execute(select(store.prompts.c.lease_until))).scalars())
            raise asyncio.CancelledError

        async def evidence(self, message_id: str):
            return ()

        async def silence_is_proof(self) -> bool:
            return True

    try:
        async with two_workers(tmp_path, postgres_url) as (county, services):
            county.live.clock.move_to(county_instant(date(2016, 11, 7), 9))
            gateway = Deaf()
            gateway.service = services[0]
            async with services[0].work() as work:
                await jobs.campaigns.tick(work)
            sender = Sender(services[0], gateway)
            with pytest.raises(asyncio.CancelledError):
                await sender.run()
            lease = max(lease for lease in gateway.leases if lease is not None)
            assert abs(lease - SystemClock().now() - ahead) < timedelta(minutes=10)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"alter database {database} reset search_path")
