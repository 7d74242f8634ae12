"""The clock of a cluster that is moved: nothing moves before all is settled, and whoever moves it gets the answer when all is again."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import httpx

from shared.clock import MovableClock
from shared.settling import Standing, settle

PATIENCE_S = 90.0
TIMEOUT_S = 60.0
RETRY_PAUSE_S = 0.1


class NotSettled(Exception):
    """There is still work in hand, or a worker does not answer."""


class ClusterClock:
    """`path`: the clock file that all processes share. `workers`: service → base URLs of its workers, one of which must answer.

    `token` gives the bearer token of a county administrator.
    """

    def __init__(
        self,
        path: Path,
        workers: Mapping[str, Sequence[str]],
        token: Callable[[], str],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._clock, self._workers, self._token, self._patience_s = MovableClock(path), workers, token, patience_s

    def __call__(self, now: datetime | None = None) -> None:
        """Lets time pass until `now`; without it, only waits. Raises NotSettled."""
        if now is not None and now != self._clock.now():
            self.settle()  # what belongs to the day that ends is done in it
            self._clock.move_to(now)
        self.settle()

    def settle(self) -> None:
        """Returns when nothing is left to do at the present time. Raises NotSettled."""
        try:
            asyncio.run(self._settle())
        except TimeoutError:
            raise NotSettled(f"not settled after {self._patience_s:.0f} s") from None

    async def _settle(self) -> None:
        headers = {"authorization": f"Bearer {self._token()}"}
        async with (
            asyncio.timeout(self._patience_s),
            httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S, trust_env=False) as http,
        ):

            async def every(method: str) -> list[Standing]:
                return [await self._ask(http, method, service) for service in self._workers]

            await settle(lambda: every("POST"), lambda: every("GET"))

    async def _ask(self, http: httpx.AsyncClient, method: str, service: str) -> Standing:
        """What a worker of a service answers; asked again while it is away."""
        while True:
            for url in self._workers[service]:
                try:
                    answer = await http.request(method, f"{url}/{service}/demo/v1/round")
                except httpx.TransportError:
                    continue
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    answer.raise_for_status()
                    return Standing(**answer.json())
            await asyncio.sleep(RETRY_PAUSE_S)
