"""A round of a worker's work on request, for clusters whose clock is moved: whoever moves it waits until all is settled."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends

from shared.errors import Unavailable
from shared.http import Gate
from shared.roles import Role
from shared.service import JobsFailed, Service


def router(service: Service) -> APIRouter:
    """`POST /<service>/demo/v1/round` runs all jobs once, `GET` only looks; both answer {"recorded", "settled"}."""
    gate = Gate(frozenset({Role.COUNTY_ADMIN}))

    async def look() -> dict[str, Any]:
        return asdict(await service.standing())

    async def run() -> dict[str, Any]:
        try:
            await service.run_jobs()
        except JobsFailed as error:
            raise Unavailable(f"{error}. Ask again.") from None
        return await look()

    made = APIRouter(prefix=f"/{service.name}/demo/v1", dependencies=[Depends(gate.admit)], include_in_schema=False)
    made.add_api_route("/round", look, methods=["GET"])
    made.add_api_route("/round", run, methods=["POST"])
    return made
