"""Worker processes of notify on one PostgreSQL, killed with -9 at random moments: nobody is prompted twice, nobody is left out."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date
from pathlib import Path

import notify_worker
from notify_county import County

from services.notify import jobs
from services.notify.api import ROUTERS
from services.notify.consumers import HANDLERS
from services.notify.settings import Settings
from services.notify.tables import metadata
from shared.clock import county_instant
from shared.testing import running, settings_for

PEOPLE = {f"P{number:03}": f"199{number:08}" for number in range(120)}
WORKERS = 3
KILLS = 5
DEADLINE_SECONDS = 90


def start(home: Path, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, notify_worker.__file__, str(home), url], stderr=subprocess.DEVNULL)


async def test_workers_killed_with_9_prompt_each_person_once(postgres_url: str, tmp_path: Path):
    settings = settings_for(Settings, tmp_path, postgres_url)
    wednesday = county_instant(date(2016, 11, 2), 9)
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, jobs=jobs.JOBS, start=wednesday) as live:
        county, luck = County(live), random.Random(9)
        for number in PEOPLE:
            await county.appoint(number)
        assert (await county.enter_phones(PEOPLE)).status_code == 201
        await county.enter_brief()
        live.clock.move_to(county_instant(date(2016, 11, 7), 9))

        async def count(sql: str) -> int:
            async with live.service.database.read() as tx:
                return int((await tx.exec_driver_sql(sql)).scalar_one())

        workers = [start(tmp_path, postgres_url) for _ in range(WORKERS)]
        kills, deadline = 0, time.monotonic() + DEADLINE_SECONDS
        try:
            while await count("select count(*) from prompt where state = 'delivered'") < len(PEOPLE):
                assert time.monotonic() < deadline, "the workers did not finish"
                await asyncio.sleep(0.05)
                busy = await count("select count(*) from prompt where state = 'sending'")
                if busy and kills < KILLS and luck.random() < 0.5:
                    victim = luck.randrange(WORKERS)
                    workers[victim].send_signal(signal.SIGKILL)
                    workers[victim].wait()
                    workers[victim], kills = start(tmp_path, postgres_url), kills + 1
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()

        async with live.service.database.read() as tx:
            rang = Counter((await tx.exec_driver_sql("select phone_index from console_message")).scalars())
        assert kills > 0
        assert rang == Counter(rang.keys())
        assert len(rang) == len(PEOPLE)
        sent = Counter(fact["cadre_no"] for fact in await county.recorded("notify.prompt_sent.v1"))
        assert sent == Counter(PEOPLE.keys())
