"""`daohu verify --database` over a million entries, against the machine's rate of SHA-256."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from bench import long_ledger
from bench.env import Env
from bench.floors import hashing
from bench.harness import Case
from bench.postings import Book
from services.funds.ledger import domain
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
    sqlite, postgres = env.room("sqlite") / "funds.db", env.postgres.url(name := env.postgres.take())
    note = asyncio.run(_fill([f"sqlite:///{sqlite}", postgres], signer))
    env.postgres.execute("vacuum analyze", database=name)
    node, same = hashing.rate(env.folder), hashing.rate(env.folder, _hashed(sqlite))
    made = []
    for where, url, target in (("SQLite", str(sqlite), 0.08), ("PostgreSQL", postgres, 0.04)):
        for much, log_only, (rate, what) in (
            ("all checks", False, node),
            ("all checks, beside the same bytes", False, same),
            ("--log-only: links, Merkle root, signature", True, node),
        ):
            measure = _verifying(url, note, keys, log_only)
            made.append(Case(f"verify 10^6 entries, {where}, {much}", "entries/s", "at least", target, measure, rate, 2, what))  # fmt: skip
    return made


def _hashed(database: Path) -> list[int]:
    """Bytes of what is hashed of a mean entry: body, link, leaf, and its share of the tree."""
    with closing(sqlite3.connect(database)) as sql:
        ((body,),) = sql.execute("select cast(avg(length(body)) as int) from ledger_entry")
    link = bytes(32)
    leaf = b"\x00" + domain.record(ENTRIES, link, link, bytes(body))
    return [body, 2 * len(link) + 8, len(leaf), hashing.NODE]


def _verifying(url: str, note: str, keys: list[VerifierKey], log_only: bool) -> Callable[[], float]:
    def measure() -> float:
        started = time.perf_counter()
        report = asyncio.run(verify_database(url, note, keys, log_only=log_only))
        took = time.perf_counter() - started
        assert (report.exit_code, len(report.entries)) == (0, ENTRIES), report.problems[:3]
        return ENTRIES / took

    return measure


async def _fill(urls: Sequence[str], signer: Signer) -> str:
    """The same ledger in each database; answers its last checkpoint."""
    databases = [Database(url, service="funds", command_s=None) for url in urls]
    try:
        for database in databases:
            await migrate.upgrade(database)
        return await long_ledger.enter(databases, COUNTY, long_ledger.payments(Book(COUNTY), ENTRIES), signer)
    finally:
        for database in databases:
            await database.close()
