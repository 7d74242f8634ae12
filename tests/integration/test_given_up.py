"""A request that a stopping process waits for no longer: whoever asked is told to repeat it, and nothing of it stands."""

import asyncio
from pathlib import Path

import httpx
import uvicorn
from fastapi import Request
from sqlalchemy import Column, Integer, Table, func, insert, select

from services.serving import config, listen
from shared.db import new_metadata
from shared.http import Router, WorkDep, allow
from shared.roles import Role
from shared.settings import Settings
from shared.testing import running, settings_for

DEADLINE_S = 20.0

metadata = new_metadata()
notes = Table("note", metadata, Column("id", Integer, primary_key=True))
router = Router(prefix="/slow/v1/notes", tags=["notes"])


class Slow(Settings):
    service = "slow"


@router.post("", dependencies=[allow(Role.TOWN_OFFICE)])
async def never_ends(work: WorkDep, request: Request) -> None:
    await work.tx.execute(insert(notes).values(id=1))
    request.app.state.begun.set()
    await asyncio.Event().wait()


async def test_a_request_given_up_at_a_stop_is_to_be_repeated_and_left_nothing(
    tmp_path: Path, database_url: str
) -> None:
    async with running(settings_for(Slow, tmp_path, database_url), metadata, [router]) as live:
        live.app.state.begun = asyncio.Event()
        listening = listen("127.0.0.1", 0)
        server = uvicorn.Server(config(live.app, live.service.settings, lifespan="off", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        headers = {"authorization": f"Bearer {live.token(Role.TOWN_OFFICE)}", "idempotency-key": "once"}
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(base_url=url, headers=headers, timeout=None) as http:
            asking = asyncio.create_task(http.post("/slow/v1/notes"))
            await live.app.state.begun.wait()
            server.should_exit = True
            answer = await asking
            await serving
        assert (answer.status_code, answer.json()["retryable"]) == (503, True)
        async with live.service.database.read() as tx:
            assert await tx.scalar(select(func.count()).select_from(notes)) == 0
