"""Rows for any number of values: all are found, and many are looked up by a plan made for them."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, select, text

from shared.db import ARRAY_CHUNK, PLANNED_ANEW, Database, chunked

number = Table("number", MetaData(), Column("n", Integer, primary_key=True))


@pytest.mark.parametrize(
    ("values", "mode"), [(PLANNED_ANEW, "auto"), (PLANNED_ANEW + 1, "force_custom_plan"), (ARRAY_CHUNK + 1, "force_custom_plan")]
)  # fmt: skip
async def test_many_values_are_found_by_a_plan_of_their_own(postgres_url, values, mode):
    """A plan kept from when the table was empty reads all of it for each value. What else the transaction does is not planned anew."""
    database = Database(postgres_url, service="registry")
    query = select(number.c.n, func.current_setting("plan_cache_mode").label("mode"))
    async with database.write() as tx:
        await tx.execute(text("create temporary table number on commit drop as select generate_series(1, 10) as n"))
        found = [row async for row in chunked(tx, query, number.c.n, range(values, 0, -1))]
        assert {row["mode"] for row in found} == {mode}
        assert sorted(row["n"] for row in found) == list(range(1, 11))
        assert await tx.scalar(text("show plan_cache_mode")) == "auto"
    await database.close()
