"""The routes of assessment, room by room."""

from fastapi import APIRouter

from services.assessment.directory.api import router as directory
from services.assessment.facts.api import router as facts
from services.assessment.schemes.api import router as schemes
from services.assessment.scores.api import router as scores
from services.assessment.targets.api import router as targets

ROUTERS: tuple[APIRouter, ...] = (directory, targets, schemes, facts, scores)
