"""Look-ups: one statement outside any transaction, on a connection of the reading pool."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.db import Database
from shared.failures import transient


@pytest.fixture
async def database(database_url):
    database = Database(database_url, service="tests", pools=(2, 1))
    async with database.write() as tx:
        await tx.execute(text("create table note (id integer primary key, word text)"))
        await tx.execute(text("insert into note values (7, '到户')"))
    yield database
    await database.close()


def place(database):
    return "?1" if database.sqlite else "$1"


async def test_a_look_up_gives_the_first_row_or_none(database):
    statement = f"select id, word from note where id = {place(database)}"
    row = await database.look_up(statement, [7])
    assert row is not None
    assert tuple(row) == (7, "到户")
    assert await database.look_up(statement, [8]) is None


async def test_a_look_up_sees_what_was_committed_a_moment_ago(database):
    for word in ("一", "二"):
        async with database.write() as tx:
            await tx.execute(text("update note set word = :word"), {"word": word})
        row = await database.look_up("select word from note", [])
        assert row is not None
        assert row[0] == word


async def test_look_ups_that_fail_or_are_given_up_leave_no_connection_behind(database):
    for _ in range(6):
        with pytest.raises(DBAPIError):
            await database.look_up("select nothing from nowhere", [])
        given_up = asyncio.create_task(database.look_up("select id from note", []))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up], timeout=10)
    async with asyncio.timeout(10):
        found = await asyncio.gather(*(database.look_up("select id from note", []) for _ in range(20)))
    assert {row[0] for row in found if row is not None} == {7}
    assert all(found)


GIVEN_UP = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
"""What PostgreSQL says on every connection when one of its processes has died, a moment before it cuts them."""


async def test_a_connection_that_is_given_up_and_not_yet_cut_is_a_failure_that_may_pass(postgres_url):
    database = Database(postgres_url, service="tests", pools=(1, 1))
    await database.look_up("select 1", [])
    pool = database._lookups._pool
    connection = await pool.acquire()
    connection._con._protocol.data_received(b"E" + (4 + len(GIVEN_UP)).to_bytes(4) + GIVEN_UP)
    await pool.release(connection)
    with pytest.raises(DBAPIError) as failed:
        await database.look_up("select 1", [])
    assert transient(failed.value)
    assert await database.look_up("select 1", []) is not None
    await database.close()


async def test_an_error_of_a_look_up_names_no_value(database):
    with pytest.raises(DBAPIError) as failed:
        await database.look_up(f"select nothing from note where word = {place(database)}", ["99092619500101123X"])
    assert "99092619500101123X" not in str(failed.value)
