"""The fixture of funds tests: a county with money."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from funds_county import County

from services.funds.api import ROUTERS
from services.funds.consumers import HANDLERS
from services.funds.ledger.service import open_ledger
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared.testing import running, settings_for


@pytest.fixture
async def county(tmp_path: Path) -> AsyncIterator[County]:
    settings, resources = settings_for(Settings, tmp_path), {"ledger": open_ledger}
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, resources=resources) as live:
        yield County(live)


@pytest.fixture
async def county_on_both(database_url: str, tmp_path: Path) -> AsyncIterator[County]:
    """The same county on SQLite and on PostgreSQL."""
    settings, resources = settings_for(Settings, tmp_path, database_url), {"ledger": open_ledger}
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, resources=resources) as live:
        yield County(live)
