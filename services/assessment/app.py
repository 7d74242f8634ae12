"""Wiring of the assessment service, nothing else."""

from fastapi import FastAPI

from services.assessment.api import ROUTERS
from services.assessment.consumers import HANDLERS
from services.assessment.jobs import JOBS
from services.assessment.tables import metadata
from shared.app import build
from shared.bus import Bus
from shared.service import Service
from shared.settings import Settings


def create_app(settings: Settings, bus: Bus) -> FastAPI:
    """The API, the consumers and the nightly scoring of assessment (考核)."""
    return build(
        Service(settings, bus, tables=metadata, handlers=HANDLERS, jobs=JOBS), ROUTERS, title="Daohu assessment 考核"
    )
