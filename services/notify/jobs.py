"""What the clock makes notify do."""

from services.notify.campaigns import service as campaigns
from services.notify.outbound.sender import Sender
from services.notify.phones.console import ConsoleGateway
from shared.db import in_line
from shared.service import Job, Service

EVERY_S = 2.0
"""How often a worker looks at the clock, in seconds."""


async def prompts(service: Service) -> None:
    """Plans what is due and sends it. One job, so that when it has run, what is due at this time has been sent."""
    async with service.work() as work:
        await in_line(work.tx, "campaigns")
        await campaigns.tick(work)
    await Sender(service, ConsoleGateway(service)).run()


JOBS = (Job("prompts", EVERY_S, prompts),)
