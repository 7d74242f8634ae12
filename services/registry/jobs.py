"""Clock-driven work of the registry."""

from services.registry.imports.service import JOBS as IMPORTS

JOBS = (*IMPORTS,)
