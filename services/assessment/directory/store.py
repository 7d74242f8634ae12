"""Tables and queries of the directory. Names are sealed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    exists,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.directory.domain import Appointment, PostKind
from services.assessment.tables import metadata
from shared import personal
from shared.db import DivisionCode, Instant, chunked, in_area, upsert
from shared.personal import AS_HISTORY
from shared.scope import Area

cadres = Table(
    "cadre",
    metadata,
    Column("cadre_no", String(32), primary_key=True),
    Column(
        "name_sealed",
        String(400),
        nullable=False,
        info=personal.sealed(
            "cadre.name",
            "a cadre's name (干部姓名)",
            why="the directory",
            kept=AS_HISTORY,
            shown="nobody: compared on import",
            row="cadre_no",
        ),
    ),
    Column(
        "name_masked",
        String(40),
        nullable=False,
        info=personal.masked("a cadre's name (干部姓名)", why="lists, scores", kept=AS_HISTORY),
    ),
    Column("version", Integer, nullable=False),
)

appointments = Table(
    "appointment",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("cadre_no", ForeignKey("cadre.cadre_no"), nullable=False),
    Column("post", String(32), nullable=False),
    Column("title", String(100), nullable=False),
    Column("unit", String(100), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("since", Date, nullable=False),
    Column("until", Date),
    Column("recorded_at", Instant, nullable=False),
    UniqueConstraint("cadre_no", "post", "unit", "since"),
)
Index("ix_appointment_division", appointments.c.division, appointments.c.cadre_no)


@dataclass(frozen=True, slots=True)
class Cadre:
    """A cadre as stored: the name sealed and masked."""

    cadre_no: str
    name_sealed: str
    name_masked: str
    version: int


async def find(tx: AsyncConnection, cadre_no: str, area: Area) -> Cadre | None:
    """A cadre who holds or held a post in the area."""
    query = select(cadres).where(cadres.c.cadre_no == cadre_no, _has_post_in(area))
    row = (await tx.execute(query)).mappings().one_or_none()
    return Cadre(**row) if row else None


async def cadres_of(tx: AsyncConnection, cadre_nos: Collection[str], area: Area) -> dict[str, Cadre]:
    rows = chunked(tx, select(cadres).where(_has_post_in(area)), cadres.c.cadre_no, cadre_nos)
    return {row["cadre_no"]: Cadre(**row) async for row in rows}


async def appointments_of(
    tx: AsyncConnection, cadre_nos: Collection[str], area: Area
) -> list[tuple[UUID, Appointment]]:
    """Every appointment of these cadres in the area, ended ones too, in order of number, day and post."""
    a = appointments.c
    query = select(appointments).where(in_area(a.division, area)).order_by(a.cadre_no, a.since, a.post, a.unit)
    rows = chunked(tx, query, a.cadre_no, sorted(set(cadre_nos)))
    return [(row["id"], _appointment(row)) async for row in rows]


async def held_within(
    tx: AsyncConnection, area: Area, first: date, last: date, *, before: datetime | None
) -> list[tuple[Appointment, str]]:
    """(appointment, masked name) of posts in the area held on any day of a span, as known before an instant."""
    a = appointments.c
    query = (
        select(appointments, cadres.c.name_masked)
        .join(cadres, cadres.c.cadre_no == a.cadre_no)
        .where(in_area(a.division, area), a.since <= last, a.until.is_(None) | (a.until > first))
    )
    if before is not None:
        query = query.where(a.recorded_at < before)
    return [(_appointment(row), row["name_masked"]) for row in (await tx.execute(query)).mappings()]


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    within: Area | None,
    post: str | None,
    on: date | None,
    after: str | None,
    limit: int,
) -> list[Cadre]:
    """Cadres with a post in the area (of this kind, held on this day), in order of number."""
    a = appointments.c
    holds = [a.cadre_no == cadres.c.cadre_no, in_area(a.division, area)]
    if within is not None:
        holds.append(in_area(a.division, within))
    if post is not None:
        holds.append(a.post == post)
    if on is not None:
        holds += [a.since <= on, a.until.is_(None) | (a.until > on)]
    query = select(cadres).where(exists().where(*holds)).order_by(cadres.c.cadre_no).limit(limit)
    if after is not None:
        query = query.where(cadres.c.cadre_no > after)
    return [Cadre(**row) for row in (await tx.execute(query)).mappings()]


async def numbers_taken(tx: AsyncConnection, cadre_nos: Collection[str]) -> set[str]:
    """Which of these numbers anybody has, in whatever area: a number is unique in the house. Say no more than that it is taken."""
    return {row["cadre_no"] async for row in chunked(tx, select(cadres.c.cadre_no), cadres.c.cadre_no, cadre_nos)}


async def keep_cadres(tx: AsyncConnection, given: Sequence[Cadre]) -> None:
    rows = [{name: getattr(cadre, name) for name in Cadre.__slots__} for cadre in given]
    if rows:
        await tx.execute(upsert(tx, cadres, keys=("cadre_no",)), rows)


async def keep_appointments(tx: AsyncConnection, given: Sequence[tuple[UUID, Appointment]], *, at: datetime) -> None:
    """Enters appointments, or corrects title and division of those already there."""
    rows = [{"id": id, "recorded_at": at, **_row(appointment)} for id, appointment in given]
    if rows:
        await tx.execute(upsert(tx, appointments, keys=("id",)), rows)


async def end(tx: AsyncConnection, id: UUID, *, until: date) -> None:
    await tx.execute(update(appointments).where(appointments.c.id == id).values(until=until))


async def bump(tx: AsyncConnection, cadre_no: str, version: int) -> bool:
    """False when somebody else changed the cadre since that version."""
    query = update(cadres).where(cadres.c.cadre_no == cadre_no, cadres.c.version == version)
    return (await tx.execute(query.values(version=version + 1))).rowcount == 1


def _has_post_in(area: Area) -> ColumnElement[bool]:
    return exists().where(appointments.c.cadre_no == cadres.c.cadre_no, in_area(appointments.c.division, area))


def _appointment(row: RowMapping) -> Appointment:
    return Appointment(**{**{name: row[name] for name in Appointment.__slots__}, "post": PostKind(row["post"])})


def _row(appointment: Appointment) -> dict[str, Any]:
    return {name: getattr(appointment, name) for name in Appointment.__slots__}
