"""One worker process of notify, to be killed by a test: `python notify_worker.py <home> <database url>`."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from services.notify.campaigns import service as campaigns
from services.notify.outbound.sender import Pace, Sender
from services.notify.phones.console import ConsoleGateway
from services.notify.settings import Settings
from shared.local_bus import LocalBus
from shared.service import Service
from shared.testing import settings_for

PACE = Pace(
    batch=4,
    call=timedelta(milliseconds=300),
    lease=timedelta(milliseconds=900),
    grace=timedelta(milliseconds=200),
    look_again=timedelta(milliseconds=20),
)


async def main(home: Path, database_url: str) -> None:
    service = Service(settings_for(Settings, home, database_url), LocalBus(":memory:"), relays=False)
    while True:
        async with service.work() as work:
            await campaigns.tick(work)
        await Sender(service, ConsoleGateway(service), pace=PACE).run()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
