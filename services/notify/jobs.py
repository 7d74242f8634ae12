"""What the clock makes notify do."""

from services.notify.campaigns import service as campaigns
from services.notify.contacts import store as contacts
from services.notify.outbound.sender import Sender
from services.notify.phones.console import ConsoleGateway
from shared.db import in_line
from shared.service import Job, Service

EVERY_S = 2.0
"""How often a worker looks at the clock, in seconds."""

FORGET_EVERY_S = 60.0


async def prompts(service: Service) -> None:
    """Plans what is due and sends it. One job, so that when it has run, what is due at this time has been sent."""
    async with service.work() as work:
        await in_line(work.tx, "campaigns")
        await campaigns.tick(work)
    await Sender(service, ConsoleGateway(service)).run()


async def forget_phones(service: Service) -> None:
    """Retention (保留期限) of phones: nobody is prompted who holds no post."""
    async with service.work() as work:
        await contacts.forget_departed(work.tx, work.today)


JOBS = (Job("prompts", EVERY_S, prompts), Job("phones", FORGET_EVERY_S, forget_phones))
