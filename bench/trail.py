"""The trail at a million payments, over HTTP: what a household was paid, and sums of funds, projects and tranches."""

import asyncio
import random
from collections.abc import Callable

from bench import trail_data
from bench.env import Env
from bench.harness import Case
from bench.http_load import Target
from bench.trail_data import County
from services.funds.proofs.notes import Signer
from shared import migrate
from shared.db import Database

ASKED = 2_000


def cases(env: Env) -> list[Case]:
    url = env.postgres.url(name := env.postgres.take())
    counties = asyncio.run(_fill(url, Signer.at(env.room("keys") / "log.key")))
    env.postgres.execute("vacuum analyze", database=name)
    target = env.stack.enter_context(Target("funds", env.room("home"), url))
    ours = counties[0]
    rng = random.Random(1)
    numbers = rng.sample(ours.numbers, ASKED)
    key = _cost(target, [f"/funds/v1/trivial/households/{number}" for number in numbers])
    sums = {
        "a fund's sums": [f"/funds/v1/sources/{id}" for id in ours.sources],
        "a project's sums": [f"/funds/v1/trail/funds/{fund}/projects/{id}?limit=1" for fund, id in ours.projects],
        "a tranche's sums": [f"/funds/v1/trail/funds/{fund}/tranches/{id}?limit=1" for fund, id in ours.tranches],
    }
    against = "one row by its key, behind the same stack"
    trail = _cost(target, [f"/funds/v1/trail/households/{number}" for number in numbers])
    return [
        Case("trail of a household, 10^6 payments", "ms", "at most", 1.5, trail, key, 5, against),
        *(
            Case(f"rollup, 10^6 payments: {what}", "ms", "at most", 2, _cost(target, paths), key, 5, against)
            for what, paths in sums.items()
        ),
    ]


def _cost(target: Target, paths: list[str]) -> Callable[[], float]:
    """Milliseconds a request, 32 callers at once."""
    return lambda: 1000 / target.rate(target.gets(*paths))


async def _fill(url: str, signer: Signer) -> list[County]:
    database = Database(url, service="funds", command_s=None)
    try:
        await migrate.upgrade(database)
        return await trail_data.enter(database, signer)
    finally:
        await database.close()
