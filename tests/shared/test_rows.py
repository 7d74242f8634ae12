"""Many rows with one statement: the same on both databases, whatever the rows."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, String, Table
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.db import Database, Instant, Json, new_metadata
from shared.rows import COPIED, insert_rows, upsert_rows
from shared.testing import START

metadata = new_metadata()
thing = Table(
    "thing",
    metadata,
    Column("key", String(8), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("note", String(4)),
)
dated = Table("dated", metadata, Column("id", Integer, primary_key=True), Column("at", Instant), Column("facts", Json))


def row(key: str, version: int = 1, note: str | None = None) -> dict[str, Any]:
    return {"key": key, "version": version, "note": note}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, service="tests")
    async with database.write() as tx:
        await tx.run_sync(metadata.create_all)
    yield database
    await database.close()


async def things(tx: AsyncConnection) -> list[tuple[str, int, str | None]]:
    return [tuple(found) for found in await tx.execute(thing.select().order_by(thing.c.key))]


@pytest.mark.parametrize("number", [COPIED - 1, COPIED])
async def test_few_rows_and_many_are_entered_alike(database: Database, number: int) -> None:
    rows = [{"id": n, "at": START if n % 2 else None, "facts": {"户": [n, None]}} for n in range(number)]
    async with database.write() as tx:
        await insert_rows(tx, dated, rows)
        assert [dict(found) for found in (await tx.execute(dated.select().order_by(dated.c.id))).mappings()] == rows


@pytest.mark.parametrize("number", [COPIED - 1, COPIED])
async def test_a_row_that_is_there_refuses_them_all(database: Database, number: int) -> None:
    async with database.write() as tx:
        await insert_rows(tx, thing, [row("0")])
    with pytest.raises(IntegrityError):
        async with database.write() as tx:
            await insert_rows(tx, thing, [row(str(n)) for n in reversed(range(number))])
    async with database.read() as tx:
        assert await things(tx) == [("0", 1, None)]


async def test_many_rows_are_undone_with_their_transaction(database: Database) -> None:
    async with database.write() as tx:
        await insert_rows(tx, thing, [row(str(n)) for n in range(COPIED)])
        await tx.rollback()
    async with database.read() as tx:
        assert await things(tx) == []


async def test_rows_are_entered_and_no_rows_are_no_statement(database: Database) -> None:
    async with database.write() as tx:
        await insert_rows(tx, thing, [])
        await insert_rows(tx, thing, [row("a"), row("b", note="x")])
        assert await things(tx) == [("a", 1, None), ("b", 1, "x")]


async def test_the_newest_version_stands_whatever_the_order(database: Database) -> None:
    async with database.write() as tx:
        await upsert_rows(
            tx, thing, [row("a", 2, "old"), row("a", 3, "new"), row("a", 1)], keys=("key",), forward="version"
        )
        await upsert_rows(tx, thing, [row("a", 2)], keys=("key",), forward="version")
        assert await things(tx) == [("a", 3, "new")]


async def test_without_a_version_the_last_one_stands(database: Database) -> None:
    async with database.write() as tx:
        await upsert_rows(tx, thing, [row("a", 3), row("b"), row("a", 1, "last")], keys=("key",))
        assert await things(tx) == [("a", 1, "last"), ("b", 1, None)]


async def test_instants_and_json_pass_through(database: Database) -> None:
    async with database.write() as tx:
        rows: list[dict[str, Any]] = [{"id": 1, "at": START, "facts": {"户": [1]}}, {"id": 2, "at": None, "facts": {}}]
        await insert_rows(tx, dated, rows)
        found = (await tx.execute(dated.select().order_by(dated.c.id))).mappings()
        assert [dict(one) for one in found] == rows


async def test_postgresql_refuses_what_is_too_long_and_cuts_nothing(postgres_url: str) -> None:
    database = Database(postgres_url, service="tests")
    async with database.write() as tx:
        await tx.run_sync(metadata.create_all)
    with pytest.raises(DBAPIError):
        async with database.write() as tx:
            await insert_rows(tx, thing, [row("a", note="12345")])
    await database.close()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.sampled_from(["x", "y"])), max_size=8),
        max_size=4,
    )
)
async def test_batches_end_as_the_same_rows_one_by_one_would(
    database: Database, batches: list[list[tuple[str, int, str]]]
) -> None:
    expected: dict[str, tuple[str, int, str]] = {}
    async with database.write() as tx:
        await tx.execute(thing.delete())
        for batch in batches:
            await upsert_rows(tx, thing, [row(*one) for one in batch], keys=("key",), forward="version")
            for one in batch:
                if one[0] not in expected or expected[one[0]][1] <= one[1]:
                    expected[one[0]] = one
        assert await things(tx) == [expected[key] for key in sorted(expected)]
