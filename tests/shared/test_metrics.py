"""Metrics: looked up when scraped, absent when they cannot be, each service its own."""

import asyncio

from scraped import shown

from shared import metrics
from shared.metrics import DB_IN_USE, OUTBOX_UNPUBLISHED, Looks, Reading


def reading(value: float):
    async def look():
        return [Reading(OUTBOX_UNPUBLISHED, value)]

    return look


async def test_a_gauge_is_looked_up_when_scraped_and_absent_when_that_fails():
    found: list[float] = [3.0]

    async def look():
        return [Reading(OUTBOX_UNPUBLISHED, found[0])]

    looks = Looks("test-a", {"outbox": look})
    await looks.take()
    assert shown("test-a")[("daohu_outbox_unpublished", "test-a")] == 3.0
    found.clear()
    looks._fresh_until = 0.0
    await looks.take()
    now = shown("test-a")
    assert ("daohu_outbox_unpublished", "test-a") not in now
    assert now[("daohu_look_failures_total", "outbox", "test-a")] == 1.0


async def test_one_look_that_fails_leaves_the_others():
    async def broken():
        raise OSError

    looks = Looks("test-b", {"broken": broken, "outbox": reading(1.0)})
    await looks.take()
    assert shown("test-b")[("daohu_outbox_unpublished", "test-b")] == 1.0


async def test_scraping_often_does_not_ask_often():
    asked = 0

    async def look():
        nonlocal asked
        asked += 1
        return []

    looks = Looks("test-c", {"x": look})
    await asyncio.gather(*(looks.take() for _ in range(5)))
    assert asked == 1


async def test_a_look_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(metrics, "LOOK_SECONDS", 0.01)
    looks = Looks("test-d", {"hangs": asyncio.Event().wait})  # type: ignore[dict-item]
    await looks.take()
    assert shown("test-d")[("daohu_look_failures_total", "hangs", "test-d")] == 1.0


def test_a_service_shows_its_own_and_the_process_all():
    DB_IN_USE.labels("test-e", "read").set(2)
    DB_IN_USE.labels("test-f", "read").set(5)
    mine, all_of_them = shown("test-e"), shown()
    assert mine[("daohu_db_connections_in_use", "read", "test-e")] == 2.0
    assert not any("test-f" in key for key in mine)
    assert all_of_them[("daohu_db_connections_in_use", "read", "test-f")] == 5.0
    assert ("process_resident_memory_bytes",) in mine
