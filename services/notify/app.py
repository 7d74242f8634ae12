"""Wiring of the notify service, nothing else."""

from fastapi import FastAPI

from services.notify.api import ROUTERS
from services.notify.consumers import HANDLERS
from services.notify.jobs import JOBS
from services.notify.outbound.looks import standing
from services.notify.tables import metadata
from shared.app import build
from shared.bus import Bus
from shared.service import Service
from shared.settings import Settings


def create_app(settings: Settings, bus: Bus) -> FastAPI:
    """The API, the consumers, the planner and the sender of notify (短信)."""
    return build(
        Service(settings, bus, tables=metadata, handlers=HANDLERS, jobs=JOBS, looks={"prompts": standing}),
        ROUTERS,
        title="Daohu notify 短信",
    )
