"""Wiring of the registry service, nothing else."""

from fastapi import FastAPI

from services.registry.api import ROUTERS
from services.registry.tables import metadata
from services.registry.whom import whom
from shared.app import build
from shared.bus import Bus
from shared.service import Service
from shared.settings import Settings


def create_app(settings: Settings, bus: Bus) -> FastAPI:
    """The API and the relay of the registry (建档立卡). It hears nobody."""
    return build(Service(settings, bus, tables=metadata), ROUTERS, title="Daohu registry 建档立卡", finds=whom)
