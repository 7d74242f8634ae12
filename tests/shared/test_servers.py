"""The servers that tests stand on: they come back after kill -9."""

import asyncio

import asyncpg
import psycopg
import pytest

from tests.servers.kafka import brokers_of
from tests.servers.postgres import Postgres


def test_a_broker_lists_topics(kafka: str) -> None:
    assert brokers_of(kafka.split(",")[0]) >= 1


def test_postgres_keeps_what_was_committed_through_kill_9(own_postgres: Postgres) -> None:
    url = own_postgres.url(own_postgres.take())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table kept as select 1 as n")
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select n from kept")
    own_postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("select n from kept").fetchall() == [(1,)]


async def test_a_paused_postgres_answers_when_it_goes_on(own_postgres: Postgres) -> None:
    connection = await asyncpg.connect(own_postgres.admin_url)
    own_postgres.pause()
    asked = asyncio.create_task(connection.fetchval("select 1"))
    assert await asyncio.wait([asked], timeout=0.2) == (set(), {asked})
    own_postgres.resume()
    assert await asked == 1
    await connection.close()


def test_a_database_is_empty_when_it_is_taken_again(own_postgres: Postgres) -> None:
    name = own_postgres.take()
    own_postgres.execute("create table left_over (n int)", database=name)
    own_postgres.give_back(name)
    assert own_postgres.take() == name
    with psycopg.connect(own_postgres.url(name)) as connection:
        found = connection.execute("select count(*) from pg_tables where tablename = 'left_over'").fetchone()
    assert found == (0,)
