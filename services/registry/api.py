"""All routes of the registry, room by room."""

from services.registry.cases.api import router as cases
from services.registry.divisions.api import router as divisions
from services.registry.households.api import router as households
from services.registry.imports.api import router as imports
from services.registry.measures.api import router as measures
from services.registry.statistics.api import router as statistics
from services.registry.visits.api import router as visits

ROUTERS = (divisions, households, imports, cases, measures, statistics, visits)
