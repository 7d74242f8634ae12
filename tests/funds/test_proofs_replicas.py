"""Two sequencers on one PostgreSQL: one log, sealed once, that verifies."""

import asyncio
from datetime import date

from services.funds.api import ROUTERS
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.ledger.service import open_ledger
from services.funds.proofs import sequencer
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import read_keys
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared.roles import Role
from shared.service import Service
from shared.testing import COUNTY, running, settings_for

ENTRIES = 60


def receipt(number: int, live) -> Command:
    source, fund = AccountKey("source", "F1", "F1"), AccountKey("fund", "F1", "F1")
    return Command(
        book=COUNTY[:6], kind="received", ref=f"r{number}", actor="finance-1", effective_on=date(2016, 11, 1),
        recorded_at=live.clock.now(), division=COUNTY, memo="到账",
        postings=(Posting(source, -100, COUNTY), Posting(fund, 100, COUNTY)),
    )  # fmt: skip


async def test_two_sequencers_at_once_seal_each_entry_once(tmp_path, postgres_url):
    settings = settings_for(Settings, tmp_path / "home", postgres_url)
    routers = ROUTERS
    async with running(settings, metadata, routers, resources={"ledger": open_ledger}) as live:
        other = Service(settings, live.service.bus)
        for number in range(ENTRIES):
            await live.app.state.ledger.post(receipt(number, live))
            await asyncio.gather(*(sequencer.seal(service) for service in (live.service, other)))
        await other.database.close()
        auditor = live.as_(Role.AUDITOR)
        note = (await auditor.get("/funds/v1/checkpoints/latest")).text
        keys = read_keys((await auditor.get("/funds/v1/log-key")).text)
        report = await verify_database(settings.url, note, keys)
        assert (report.problems, report.checkpoint.size, report.exit_code) == ([], ENTRIES, 0)


async def test_an_api_shows_the_logs_key_without_the_private_one(tmp_path, postgres_url):
    settings = settings_for(Settings, tmp_path / "home", postgres_url)
    routers = ROUTERS
    async with running(settings, metadata, routers, resources={"ledger": open_ledger}) as live:
        await live.app.state.ledger.post(receipt(1, live))
        await sequencer.seal(live.service)
        before = (await live.as_(Role.AUDITOR).get("/funds/v1/log-key")).text
        (tmp_path / "home" / "keys" / "funds-log.key").unlink()
        assert (await live.as_(Role.AUDITOR).get("/funds/v1/log-key")).text == before
        assert not (tmp_path / "home" / "keys" / "funds-log.key").exists()
