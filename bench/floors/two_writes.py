"""The two writes of a consumer by asyncpg alone: an inbox row and a projection's upsert for each of 500 rows, one commit a batch.

The rows are ready in memory: nothing is received, read or decided.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop

BATCH = 500

INBOX = """insert into inbox ("group", event_id, seen_at) select $1, unnest($2::uuid[]), $3 on conflict do nothing
returning event_id"""

PROJECTION = """insert into household (household_id, household_no, division, head_name_masked, people, status, version)
select unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::int[]), unnest($6::text[]),
unnest($7::int[]) on conflict (household_id) do update set household_no = excluded.household_no, division = excluded.division,
head_name_masked = excluded.head_name_masked, people = excluded.people, status = excluded.status, version = excluded.version
where household.version <= excluded.version"""

Household = tuple[UUID, str, str, str, int, str, int]


def rate(url: str, households: Sequence[Household], empty: Callable[[], None]) -> Callable[[], float]:
    """Measures events a second, into tables that `empty` has emptied."""

    async def write() -> float:
        connection = await asyncpg.connect(url)
        batches: list[tuple[list[UUID], list[list[Any]]]] = []
        for start in range(0, len(households), BATCH):
            rows = households[start : start + BATCH]
            batches.append(([uuid4() for _ in rows], [list(column) for column in zip(*rows, strict=True)]))
        inbox, projection = await connection.prepare(INBOX), await connection.prepare(PROJECTION)
        started = time.perf_counter()
        for ids, columns in batches:
            async with connection.transaction():
                await inbox.fetch("daohu.floor", ids, datetime.now(UTC))
                await projection.fetch(*columns)
        took = time.perf_counter() - started
        await connection.close()
        return len(households) / took

    def measure() -> float:
        empty()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(write())

    return measure
