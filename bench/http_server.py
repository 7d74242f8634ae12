"""A server to measure: one real service with its stack, on a port of its own, and beside it a bare FastAPI app (`/bare`).

`python -m bench.http_server <service> <home> [database url]` prints one line of JSON, {port, token, paths}, and serves until
its standard input ends. The service is as `daohu run --role api` has it; two trivial routes stand behind the same stack.
"""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from services import catalogue
from services.funds.sources.schemas import ReceiptIn
from services.registry.divisions import store as divisions
from services.registry.households import service as households
from services.registry.households.schemas import HouseholdIn
from services.serving import config, listen, settle_memory
from shared import keys, migrate
from shared.http import GlanceDep, Router, allow
from shared.local_bus import LocalBus
from shared.observability import configure_logs
from shared.pii import TEST_ID_AREA, make_check_digit
from shared.roles import Role
from shared.scope import level_of, parent_of
from shared.service import Service
from tests.servers import free_port

COUNTY, TOWN, VILLAGE = "610926000000", "610926100000", "610926100201"
ROLES = (Role.FINANCE, Role.TOWN_OFFICE)
HOUSEHOLDS, PEOPLE = 500, 4
AS_MANY_AS_IT_CAN = 1e6
"""All load comes from one caller; a county's caller may ask 500 times a second."""
READ_BY_KEY = "select head_name_masked, division from household where household_no = $1"


def trivial_routes(service: str) -> list[BaseRoute]:
    """What costs nothing but the stack, or one row read by its key: the floors of the other routes. The POST takes a receipt's body."""
    asking, telling = (
        Router(prefix=f"/{service}/v1/trivial", tags=["trivial"], money=money) for money in (False, True)
    )

    async def ask() -> dict[str, bool]:
        return {"ok": True}

    async def tell(order: ReceiptIn) -> dict[str, bool]:
        return {"ok": True}

    async def read(glance: GlanceDep, number: str) -> Response:
        row = await glance.database.look_up(READ_BY_KEY, [number])
        assert row is not None
        return Response(f'{{"head_name_masked":"{row[0]}"}}', media_type="application/json")

    asking.get("", dependencies=[allow(*ROLES)], response_model=None)(ask)
    asking.get("/households/{number}", dependencies=[allow(*ROLES)], response_model=None)(read)
    telling.post("", dependencies=[allow(*ROLES)], response_model=None)(tell)
    return [*asking.routes, *telling.routes]


def bare_app() -> FastAPI:
    """One route of FastAPI and nothing else."""
    app = FastAPI(openapi_url=None)

    @app.get("/bare/trivial", response_model=None)
    async def ask() -> dict[str, bool]:
        return {"ok": True}

    return app


async def enter_households(service: Service) -> list[str]:
    """A village of households, entered as a village enters them; the paths of their cards."""
    async with service.work() as work:
        await divisions.add(work.tx, [_division(code) for code in (COUNTY, TOWN, VILLAGE)])
    paths = []
    async with service.work() as work:
        for number in range(HOUSEHOLDS):
            entered = await households.add_candidate(work, HouseholdIn.model_validate(_household(number)))
            paths.append(f"/registry/v1/households/{entered.id}")
    return paths


def _division(code: str) -> dict[str, Any]:
    level, parent = level_of(code).value, parent_of(code) if code != COUNTY else None
    return {"code": code, "name": code, "level": level, "parent": parent, "predecessors": [], "version": 1}


def _household(number: int) -> dict[str, Any]:
    return {
        "household_no": f"{VILLAGE}{number:05}",
        "division": VILLAGE,
        "group": "三组",
        "attribute": "01",
        "cause": "01",
        "housing": "01",
        "safe_water": True,
        "incomes": {"2014": 250_000, "2015": 270_000, "2016": 295_201},
        "members": [_person(number * PEOPLE + n, "20" if n else "02") for n in range(PEOPLE)],
    }


def _person(number: int, relation: str) -> dict[str, Any]:
    """A man with an ID number of the test area that nobody else has."""
    first17 = f"{TEST_ID_AREA}{1950 + number // 336 % 50}{1 + number % 12:02}{1 + number // 12 % 28:02}001"
    return {
        "name": "王试验",
        "sex": "1",
        "id_number": first17 + make_check_digit(first17),
        "relation": relation,
        "education": "80",
        "student": "01",
        "health": "01",
        "labour": "01",
        "insured": True,
    }


async def serve(name: str, home: Path, database_url: str) -> None:
    part = catalogue.part(name)
    given = {"database_url": database_url} if database_url else {}
    settings = part.settings.of(home=home, role="api", caller_requests_per_second=AS_MANY_AS_IT_CAN, **given)
    keys.make(home)
    bus = LocalBus(home / "bus.db")
    await bus.start()
    app = part.create_app(settings, bus)
    service: Service = app.state.service
    app.router.routes.extend(trivial_routes(name))
    await migrate.upgrade(service.database)
    paths = await enter_households(service) if name == "registry" else []
    bare, bound = bare_app(), listen("127.0.0.1", free_port())

    async def house(scope: Scope, receive: Receive, send: Send) -> None:
        await (bare if scope["path"].startswith("/bare") else app)(scope, receive, send)

    token = keys.issuer(home).token(
        "bench", ROLES, [COUNTY], client="bench", lifetime=timedelta(hours=12), now=service.clock.now()
    )
    async with app.router.lifespan_context(app):
        settle_memory()
        server = uvicorn.Server(config(house, settings, lifespan="off"))
        serving = asyncio.create_task(server.serve([bound]))
        while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(json.dumps({"port": bound.getsockname()[1], "token": token, "paths": paths}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving
    await bus.stop()


def main() -> None:
    name, home, *database = sys.argv[1:]
    configure_logs("ERROR")
    uvloop.run(serve(name, Path(home), *(database or [""])))


if __name__ == "__main__":
    main()
