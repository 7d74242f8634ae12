"""The routes of assessment, room by room."""

from fastapi import APIRouter

from services.assessment.directory.api import router as directory
from services.assessment.directory.imports import KIND as DIRECTORY
from services.assessment.facts.api import router as facts
from services.assessment.schemes.api import router as schemes
from services.assessment.scores.api import router as scores
from services.assessment.targets.api import router as targets
from shared.imports.api import router as imports
from shared.seen.api import router as looks

ROUTERS: tuple[APIRouter, ...] = (
    imports("assessment", (DIRECTORY,)),
    directory,
    targets,
    schemes,
    facts,
    scores,
    looks("assessment"),
)
