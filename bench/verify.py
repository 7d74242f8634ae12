"""`daohu verify --database` over a million entries, against the machine's rate of SHA-256."""

import asyncio
import time
from collections.abc import Callable

from bench import long_ledger
from bench.env import Env
from bench.floors import hashing
from bench.harness import Case
from bench.postings import Book
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import Signer, VerifierKey, read_keys
from services.funds.proofs.sequencer import origin_of
from shared import migrate
from shared.db import Database

ENTRIES = 1_000_000
COUNTY = "610926"


def cases(env: Env) -> list[Case]:
    signer = Signer.at(env.room("keys") / "log.key")
    keys = read_keys(str(signer.verifier(origin_of(COUNTY))))
    rate, what = hashing.rate(env.folder)
    databases = {
        "SQLite": (f"sqlite:///{env.room('sqlite') / 'funds.db'}", 0.08),
        "PostgreSQL": (env.postgres.url(env.postgres.take()), 0.04),
    }
    made = []
    for where, (url, target) in databases.items():
        note = asyncio.run(_fill(url, signer))
        for much, log_only in (("all checks", False), ("--log-only: links, Merkle root, signature", True)):
            measure = _verifying(url, note, keys, log_only)
            made.append(Case(f"verify 10^6 entries, {where}, {much}", "entries/s", "at least", target, measure, rate, against=what))  # fmt: skip
    return made


def _verifying(url: str, note: str, keys: list[VerifierKey], log_only: bool) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        report = asyncio.run(verify_database(url, note, keys, log_only=log_only))
        took = time.perf_counter() - started
        assert (report.exit_code, len(report.entries)) == (0, ENTRIES), report.problems[:3]
        return ENTRIES / took

    return measure


async def _fill(url: str, signer: Signer) -> str:
    database = Database(url, service="funds", command_s=None)
    try:
        await migrate.upgrade(database)
        return await long_ledger.enter(database, COUNTY, long_ledger.payments(Book(COUNTY), ENTRIES), signer)
    finally:
        await database.close()
