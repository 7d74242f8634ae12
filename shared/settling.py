"""When nothing is left to do at the present time: the rule by which a movable clock waits before and after it moves.

One process asks its services, a driver asks the workers of a cluster; the rule is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands: facts recorded so far, and whether all of them are published and all it heard is handled."""

    recorded: int
    settled: bool


async def settle(run_jobs: Callable[[], Awaitable[object]], ask: Callable[[], Awaitable[Sequence[Standing]]]) -> None:
    """Returns after a round of all jobs in which nothing new was recorded, and before and after which all was settled.

    `run_jobs` runs every job of every service once; `ask` looks at each service. The caller limits the time.
    """
    before: list[int] | None = None
    while True:
        await run_jobs()
        standings = await ask()
        while not all(one.settled for one in standings):
            await asyncio.sleep(POLL_S)
            standings = await ask()
        recorded = [one.recorded for one in standings]
        if recorded == before:
            return
        before = recorded
