"""Wiring of the funds service, nothing else."""

from fastapi import FastAPI

from services.funds.api import ROUTERS
from services.funds.consumers import HANDLERS
from services.funds.households.store import whom
from services.funds.ledger.service import open_ledger
from services.funds.proofs.looks import unsealed
from services.funds.proofs.sequencer import SEALING
from services.funds.tables import metadata
from shared.app import build
from shared.bus import Bus
from shared.service import Service
from shared.settings import Settings


def create_app(settings: Settings, bus: Bus) -> FastAPI:
    """The API, the ledger's writer, the consumers and the sequencer of funds (资金)."""
    service = Service(settings, bus, tables=metadata, handlers=HANDLERS, jobs=(SEALING,), looks={"sealed": unsealed})
    return build(service, ROUTERS, title="Daohu funds 资金", resources={"ledger": open_ledger}, finds=whom)
