"""Clock-driven work of assessment."""

from services.assessment.scores import service as scores
from shared.policy import PolicyMissing
from shared.service import Job, Service

NIGHT_EVERY_S = 60.0
"""How often it is looked whether a new business date has begun."""


async def score_night(service: Service) -> None:
    """Scores each county once a business date, from all that was recorded before it. A county without a scheme is passed over."""
    async with service.work(write=False) as work:
        counties = await scores.counties_to_score(work)
    for county in counties:
        try:
            async with service.work() as work:
                await scores.score_night(work, county)
        except PolicyMissing as missing:
            service.log.warning("not_scored", county=county, missing=missing.facts.get("key"))


JOBS: tuple[Job, ...] = (Job("score_night", NIGHT_EVERY_S, score_night),)
