"""What a process says of itself to whoever looks after it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import MetaData

from services import process
from services.notify.settings import Settings
from shared import service
from shared.bus import BusError
from shared.local_bus import LocalBus
from shared.service import Job, Service
from shared.testing import Running, running, settings_for


async def ended(_: object) -> None:
    raise LookupError


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Running]:
    """A worker with a job that fails."""
    settings = settings_for(Settings, tmp_path, role="worker")
    async with running(settings, MetaData(), [], jobs=[Job("fails", 3600, ended)]) as live:
        yield live


async def ask(live: Running, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(live.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://daohu") as http:
        return await http.get(f"/notify/{path}")


async def test_a_job_that_fails_is_named_and_the_process_lives(worker: Running) -> None:
    with pytest.raises(RuntimeError, match="failing jobs: fails"):
        await worker.service.run_jobs()
    ready = await ask(worker, "readyz")
    assert (ready.status_code, ready.json()["checks"]["jobs"]) == (503, "failing: fails")
    assert (await ask(worker, "livez")).status_code == 200


async def test_a_job_that_failed_is_tried_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 0

    async def fails_once(_: Service) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise LookupError

    monkeypatch.setattr(service, "AGAIN_S", 0.0)
    settings = settings_for(Settings, tmp_path, role="worker")
    async with running(settings, MetaData(), [], jobs=[Job("hourly", 3600, fails_once)]) as live:
        async with asyncio.timeout(10):
            while runs < 2:
                await asyncio.sleep(0.01)
        assert (await ask(live, "readyz")).json()["checks"]["jobs"] == "ok"
    assert runs == 2


async def test_a_loop_that_has_ended_is_no_life(worker: Running) -> None:
    async def end() -> None:
        raise BusError

    with pytest.raises(BusError):
        await worker.service._watched(end)
    lives = await ask(worker, "livez")
    assert (lives.status_code, lives.json()) == (503, {"status": "a loop has ended"})


async def test_a_loop_that_a_library_cancels_is_no_life_either(worker: Running) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await worker.service._watched(cancelled)
    assert worker.service.failed.is_set()


async def test_a_loop_that_is_asked_to_end_is_no_failure(worker: Running) -> None:
    await worker.service.stop()
    assert not worker.service.failed.is_set()


async def test_a_worker_that_began_without_kafka_ends_when_its_topics_prove_to_be_missing(worker: Running) -> None:
    bus = LocalBus(":memory:")
    looking = asyncio.create_task(process._look_for_topics(worker.service, bus))
    await asyncio.sleep(0)
    assert not worker.service.failed.is_set()
    await bus.start()
    await asyncio.wait_for(looking, 10)
    assert worker.service.failed.is_set()
    await bus.stop()


async def test_an_api_says_nothing_of_loops_it_does_not_run(tmp_path: Path) -> None:
    async with running(settings_for(Settings, tmp_path), MetaData(), []) as live:
        assert (await ask(live, "readyz")).json() == {"status": "ok", "checks": {"database": "ok"}}


async def test_a_service_that_waits_says_for_what(worker: Running) -> None:
    worker.service.waits_for = "the database"
    assert (await ask(worker, "readyz")).json()["checks"]["start"] == "waiting for the database"
