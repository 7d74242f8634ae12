"""A ledger with its log, and whoever posts, seals, asks and edits: what the tests of proofs stand on."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import text

from services.funds.api import ROUTERS
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.ledger.service import open_ledger
from services.funds.proofs import sequencer
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared.roles import Role
from shared.testing import COUNTY, TOWN, Running, running, settings_for

BOOK = "610926"
FUND, PROJECT = AccountKey("fund", "F1", "F1"), AccountKey("project", "P1", "F1")


@dataclass
class Log:
    live: Running
    writer: object
    url: str

    async def post(self, ref: str, fen: int = 100, *, division: str = COUNTY, **given) -> int:
        said = {
            "book": BOOK, "kind": "received", "ref": ref, "actor": "finance-1", "effective_on": date(2016, 11, 1),
            "recorded_at": self.live.clock.now(), "division": division, "memo": "到账",
            "postings": (Posting(AccountKey("source", "F1", "F1"), -fen, COUNTY), Posting(FUND, fen, COUNTY)),
        }  # fmt: skip
        return (await self.writer.post(Command(**{**said, **given}))).seq

    async def pay(self, ref: str, fen: int) -> int:
        return await self.post(
            ref, postings=(Posting(FUND, -fen, COUNTY), Posting(PROJECT, fen, TOWN)), kind="allocated"
        )

    async def seal(self) -> None:
        await sequencer.seal(self.live.service)

    async def get(self, path: str, **params):
        return await self.live.as_(Role.AUDITOR).get(f"/funds/v1{path}", **params)

    async def sql(self, *statements: str) -> None:
        """What somebody with the database's password can do: the triggers are in the way, so they go first."""
        async with self.live.service.database.write() as tx:
            for table in ("ledger_entry", "ledger_posting", "ledger_account", "log_node", "log_checkpoint"):
                for name in (f"{table}_no_delete", f"{table}_no_update"):
                    on = "" if self.live.service.database.sqlite else f" on {table}"
                    await tx.execute(text(f"drop trigger if exists {name}{on}"))
            for statement in statements:
                await tx.execute(text(statement))


@asynccontextmanager
async def log(tmp_path: Path, database_url: str = ""):
    settings = settings_for(Settings, tmp_path / "home", database_url)
    resources = {"ledger": open_ledger}
    async with running(settings, metadata, ROUTERS, resources=resources) as live:
        yield Log(live, live.app.state.ledger, settings.url)


async def filled(log: Log, entries: int = 8) -> None:
    for i in range(entries - 1):
        await log.post(f"r{i}", 100 + i)
    await log.pay("p", 150)
    await log.seal()
