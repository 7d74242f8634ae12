"""All routes of the registry, room by room."""

from services.registry.cases.api import router as cases
from services.registry.divisions.api import router as divisions
from services.registry.divisions.imports import KIND as DIVISIONS
from services.registry.households.api import router as households
from services.registry.households.intake import KINDS as HOUSEHOLDS_AND_PEOPLE
from services.registry.mandates.api import engagements
from services.registry.mandates.api import router as mandates
from services.registry.measures.api import router as measures
from services.registry.measures.imports import KIND as MEASURES
from services.registry.statistics.api import router as statistics
from services.registry.visits.api import router as visits
from shared.imports.api import router as imports
from shared.seen.api import router as looks

KINDS = (DIVISIONS, *HOUSEHOLDS_AND_PEOPLE, MEASURES)
ROUTERS = (
    divisions,
    households,
    imports("registry", KINDS),
    cases,
    measures,
    statistics,
    visits,
    mandates,
    engagements,
    looks("registry"),
)
