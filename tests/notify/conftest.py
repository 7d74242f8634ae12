"""A county that prompts: notify on a fresh database, with a clock that stands on the Wednesday before."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from notify_county import County

from services.notify import jobs
from services.notify.api import ROUTERS
from services.notify.consumers import HANDLERS
from services.notify.settings import Settings
from services.notify.tables import metadata
from shared.clock import county_instant
from shared.testing import running, settings_for


@pytest.fixture
async def county(tmp_path: Path) -> AsyncIterator[County]:
    settings = settings_for(Settings, tmp_path)
    wednesday = county_instant(date(2016, 11, 2), 9)
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, jobs=jobs.JOBS, start=wednesday) as live:
        yield County(live)
