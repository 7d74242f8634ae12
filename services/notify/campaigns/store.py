"""Table and queries of campaign runs: which campaigns of which weeks a county has had."""

from datetime import datetime

from sqlalchemy import Column, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.tables import metadata
from services.notify.weeks.domain import Campaign, Occurrence
from shared.db import DivisionCode, Instant, insert_ignoring

runs = Table(
    "campaign_run",
    metadata,
    Column("county", DivisionCode, primary_key=True),
    Column("week", String(8), primary_key=True),
    Column("campaign", String(16), primary_key=True),
    Column("due_at", Instant, nullable=False),
    Column("closes_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
)


async def open_run(tx: AsyncConnection, county: str, occurrence: Occurrence, *, at: datetime) -> None:
    """On record once, however many replicas open it."""
    row = {
        "county": county,
        "week": occurrence.week,
        "campaign": occurrence.campaign,
        "due_at": occurrence.due_at,
        "closes_at": occurrence.closes_at,
        "opened_at": at,
    }
    await tx.execute(insert_ignoring(tx, runs).values(row))


async def runs_since(tx: AsyncConnection, county: str, week: str) -> set[tuple[str, Campaign]]:
    """(week, campaign) of the runs a county has had from a week on."""
    query = select(runs.c.week, runs.c.campaign).where(runs.c.county == county, runs.c.week >= week)
    return {(row.week, Campaign(row.campaign)) for row in await tx.execute(query)}
