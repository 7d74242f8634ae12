"""The routers of funds' rooms."""

from services.funds.ledger import api as ledger
from services.funds.payees import api as payees
from services.funds.payees.imports import KIND as PAYEES
from services.funds.projects import api as projects
from services.funds.proofs import api as proofs
from services.funds.publicity import api as publicity
from services.funds.sources import api as sources
from services.funds.trail import api as trail
from services.funds.tranches import api as tranches
from shared.imports.api import router as imports
from shared.seen.api import router as looks

ROUTERS = (
    sources.router,
    sources.money_router,
    projects.router,
    projects.money_router,
    tranches.router,
    tranches.money_router,
    publicity.router,
    imports("funds", (PAYEES,)),
    payees.router,
    trail.router,
    ledger.router,
    proofs.router,
    looks("funds"),
)
