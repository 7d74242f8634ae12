"""Tables and queries of scores. Runs, scores and decisions are only ever added; the last version of a score is the one in force."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    func,
    insert,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.register.store import divisions
from services.assessment.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import CHUNK, DivisionCode, Instant, Json, in_area, insert_ignoring
from shared.scope import Area

runs = Table(
    "score_run",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("county", DivisionCode, nullable=False),
    Column("no", Integer, nullable=False),
    Column("period", String(7), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("on", Date, nullable=False),
    Column("at", Instant, nullable=False),
    Column("subjects", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    UniqueConstraint("county", "no"),
)

nights = Table(
    "score_night",
    metadata,
    Column("county", DivisionCode, primary_key=True),
    Column("day", Date, primary_key=True),
)

scores = Table(
    "score",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", ForeignKey("score_run.id"), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("period", String(7), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", String(8), nullable=False),
    Column(
        "name",
        String(100),
        nullable=False,
        info=personal.masked("a unit, or a cadre's masked name", why="the score", kept=personal.AS_HISTORY),
    ),
    Column("division", DivisionCode, nullable=False),
    Column("county", DivisionCode, nullable=False),
    Column("scheme", String(64), nullable=False),
    Column("score_milli", Integer, nullable=False),
    Column("grade", Json, nullable=False),
    # [{key, name, name_en, formula, weight_milli, done, due, points_milli, contributions: [[fact or null, points_milli, bears]]}]
    Column("explanation", Json, nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("subject", "period", "version"),
)
Index("ix_score_run", scores.c.run_id, scores.c.subject)
Index("ix_score_county", scores.c.county, scores.c.period)

decisions = Table(
    "score_decision",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("score_id", ForeignKey("score.id"), nullable=False),
    # appealed or confirmed
    Column("kind", String(10), nullable=False),
    Column(
        "text",
        Text,
        info=personal.plain("what people write", why="appeals and their answers", kept=personal.AS_HISTORY),
    ),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("score_id", "kind"),
)


protect(runs)
protect(scores)
protect(decisions)


@dataclass(frozen=True, slots=True)
class Last:
    """The last version of a score, as far as the next run asks for it."""

    version: int
    score_milli: int
    digest: str


async def lock_county(tx: AsyncConnection, county: str) -> None:
    """Runs of one county stand in line (PostgreSQL; SQLite has one writer anyway)."""
    await tx.execute(select(divisions.c.code).where(divisions.c.code == county).with_for_update())


async def begin_night(tx: AsyncConnection, county: str, day: date) -> bool:
    """False when the county was scored on this business date."""
    return (await tx.execute(insert_ignoring(tx, nights).values(county=county, day=day))).rowcount == 1


async def nights_done(tx: AsyncConnection, day: date) -> set[str]:
    return set((await tx.execute(select(nights.c.county).where(nights.c.day == day))).scalars())


async def next_no(tx: AsyncConnection, county: str) -> int:
    last: int | None = (await tx.execute(select(func.max(runs.c.no)).where(runs.c.county == county))).scalar()
    return (last or 0) + 1


async def add_run(tx: AsyncConnection, row: Mapping[str, Any]) -> None:
    await tx.execute(insert(runs).values(**row))


async def find_run(tx: AsyncConnection, id: UUID, area: Area) -> Mapping[str, Any] | None:
    row = (await tx.execute(select(runs).where(runs.c.id == id, in_area(runs.c.county, area)))).mappings().one_or_none()
    return dict(row) if row else None


async def page_runs(
    tx: AsyncConnection, area: Area, *, period: str | None, after: tuple[str, int] | None, limit: int
) -> list[Mapping[str, Any]]:
    """In order of county and number."""
    query = select(runs).where(in_area(runs.c.county, area)).order_by(runs.c.county, runs.c.no).limit(limit)
    if period is not None:
        query = query.where(runs.c.period == period)
    if after is not None:
        query = query.where(tuple_(runs.c.county, runs.c.no) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def scored_periods(tx: AsyncConnection, county: str, *, since: str) -> list[str]:
    """The periods of a county that were scored, from `since` on."""
    query = select(runs.c.period).distinct().where(runs.c.county == county, runs.c.period >= since)
    return list((await tx.execute(query.order_by(runs.c.period))).scalars())


async def last_of(tx: AsyncConnection, county: str, period: str) -> dict[str, Last]:
    """Subject → last version of its score of a period."""
    query = select(scores.c.subject, scores.c.version, scores.c.score_milli, scores.c.digest)
    query = query.where(scores.c.county == county, scores.c.period == period, _is_last())
    return {row.subject: Last(row.version, row.score_milli, row.digest) for row in await tx.execute(query)}


async def add_scores(tx: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), CHUNK):
        await tx.execute(insert(scores), [dict(row) for row in rows[start : start + CHUNK]])
        await asyncio.sleep(0)


async def find(
    tx: AsyncConnection, subject: str, period: str, area: Area, *, version: int | None = None
) -> Mapping[str, Any] | None:
    """A version of a score (default: the last) with who ran it."""
    query = (
        select(scores, runs.c.actor.label("proposed_by"), runs.c.at.label("computed_at"))
        .join(runs, runs.c.id == scores.c.run_id)
        .where(scores.c.subject == subject, scores.c.period == period, in_area(scores.c.division, area))
        .where(_is_last() if version is None else scores.c.version == version)
    )
    row = (await tx.execute(query)).mappings().one_or_none()
    return dict(row) if row else None


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    period: str,
    kind: str | None,
    within: Area | None,
    after: str | None,
    limit: int,
) -> list[Mapping[str, Any]]:
    """The last versions of a period's scores, in order of subject."""
    query = _items().where(scores.c.period == period, _is_last(), in_area(scores.c.division, area))
    if kind is not None:
        query = query.where(scores.c.kind == kind)
    if within is not None:
        query = query.where(in_area(scores.c.division, within))
    if after is not None:
        query = query.where(scores.c.subject > after)
    return [dict(row) for row in (await tx.execute(query.order_by(scores.c.subject).limit(limit))).mappings()]


async def page_of_run(
    tx: AsyncConnection, run_id: UUID, area: Area, *, after: str | None, limit: int
) -> list[Mapping[str, Any]]:
    """The versions a run wrote, in order of subject."""
    query = _items().where(scores.c.run_id == run_id, in_area(scores.c.division, area))
    if after is not None:
        query = query.where(scores.c.subject > after)
    return [dict(row) for row in (await tx.execute(query.order_by(scores.c.subject).limit(limit))).mappings()]


async def decisions_on(tx: AsyncConnection, score_ids: Collection[UUID]) -> dict[UUID, list[Mapping[str, Any]]]:
    """Decisions by score; give it only scores of the caller's area."""
    found: dict[UUID, list[Mapping[str, Any]]] = {id: [] for id in score_ids}
    query = select(decisions).where(decisions.c.score_id.in_(score_ids)).order_by(decisions.c.at, decisions.c.kind)
    for row in (await tx.execute(query)).mappings():
        found[row["score_id"]].append(dict(row))
    return found


async def decide(tx: AsyncConnection, row: Mapping[str, Any]) -> bool:
    """False when somebody else decided the same at the same time."""
    return (await tx.execute(insert_ignoring(tx, decisions).values(**row))).rowcount == 1


def _items() -> Select[Any]:
    shown = [column for column in scores.c if column.name not in ("explanation", "digest", "county")]
    return select(*shown, runs.c.at.label("computed_at")).join(runs, runs.c.id == scores.c.run_id)


def _is_last() -> Any:
    later = scores.alias("later")
    same = and_(later.c.subject == scores.c.subject, later.c.period == scores.c.period)
    return ~select(later.c.id).where(same, later.c.version > scores.c.version).correlate(scores).exists()
