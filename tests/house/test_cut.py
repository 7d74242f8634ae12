"""One instant over several databases of PostgreSQL: nobody is seen to have heard what nobody is seen to have said."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from services.backup import cut
from tests.servers.postgres import Databases

HOW_OFTEN = 15


@pytest.fixture
def pair(postgres: Databases) -> Iterator[dict[str, str]]:
    """Who says and who hears, each with the two tables that events go through."""
    names = {name: postgres.take() for name in ("says", "hears")}
    for name in names.values():
        postgres.execute("create table inbox (n int)", "create table outbox (n int)", database=name)
    yield {each: postgres.url(name) for each, name in names.items()}
    for name in names.values():
        postgres.give_back(name)


@contextmanager
def talk(pair: dict[str, str]) -> Iterator[None]:
    """A number is said, and committed; then it is heard, and committed; again and again."""
    over = threading.Event()

    def go_on() -> None:
        with psycopg.connect(pair["says"]) as says, psycopg.connect(pair["hears"]) as hears:
            number = 0
            while not over.is_set():
                number += 1
                says.execute("insert into outbox values (%s)", [number])
                says.commit()
                hears.execute("insert into inbox values (%s)", [number])
                hears.commit()

    talking = threading.Thread(target=go_on)
    talking.start()
    try:
        yield
    finally:
        over.set()
        talking.join()


async def test_nothing_is_heard_that_was_not_said(pair: dict[str, str]) -> None:
    seen = []
    with talk(pair):
        for _ in range(HOW_OFTEN):
            async with cut.of_databases(pair) as instant:
                heard = await instant["hears"][1].fetchval("select coalesce(max(n), 0) from inbox")
                said = await instant["says"][1].fetchval("select coalesce(max(n), 0) from outbox")
                seen.append((heard, said))
    assert [(heard, said) for heard, said in seen if heard > said] == []
    assert len(set(seen)) > 1  # they went on meanwhile


async def test_whoever_writes_goes_on_while_the_snapshot_is_kept(pair: dict[str, str]) -> None:
    async with cut.of_databases(pair) as instant:
        with psycopg.connect(pair["says"], autocommit=True) as says:
            says.execute("set lock_timeout = '1s'")
            says.execute("insert into outbox values (1)")
        assert await instant["says"][1].fetchval("select count(*) from outbox") == 0


async def test_a_transaction_that_does_not_end_is_given_way_to(
    pair: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "LOCK_WAITS_S", (0.05, 0.1))
    with psycopg.connect(pair["hears"]) as long, psycopg.connect(pair["says"], autocommit=True) as says:
        long.execute("insert into inbox values (1)")
        with pytest.raises(cut.NoMoment, match="long transaction"):
            async with cut.of_databases(pair):
                pass
        says.execute("set lock_timeout = '1s'")
        says.execute("insert into outbox values (1)")  # nothing was left locked
        long.commit()
        async with cut.of_databases(pair) as instant:
            assert await instant["hears"][1].fetchval("select n from inbox") == 1
