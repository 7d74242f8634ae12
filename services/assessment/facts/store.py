"""Tables and queries of evidence. Facts are only ever added; a withdrawal stands beside its fact."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Index,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    Uuid,
    and_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.assessment.facts.domain import Counts, Fact
from services.assessment.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import DivisionCode, Instant, chunked, in_area, insert_ignoring
from shared.rows import insert_rows
from shared.scope import Area

SLICE = 2_000
"""Facts after which others get the loop."""

facts = Table(
    "fact",
    metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("type", String(100), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("county", DivisionCode),
    Column("town", DivisionCode),
    Column("cadre_no", String(32)),
    Column("unit", String(80), nullable=False),
    Column("on", Date, nullable=False),
    Column("period", String(7), nullable=False),
    Column("counts", String(4), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_fact_county", facts.c.county, facts.c.period)
Index("ix_fact_division", facts.c.division, facts.c.on)
Index("ix_fact_cadre", facts.c.cadre_no, facts.c.period)
Index("ix_fact_town", facts.c.town, facts.c.period)
Index("ix_fact_on", facts.c.on, facts.c.event_id)

withdrawals = Table(
    "fact_withdrawal",
    metadata,
    Column("event_id", ForeignKey("fact.event_id"), primary_key=True),
    Column(
        "reason",
        Text,
        nullable=False,
        info=personal.plain("what people write", why="why a fact was withdrawn", kept=personal.AS_HISTORY),
    ),
    Column("actor", String(100), nullable=False),
    Column("at", Instant, nullable=False),
)


protect(facts)
protect(withdrawals)


async def add(tx: AsyncConnection, found: Sequence[Fact]) -> None:
    rows = [
        {name: getattr(fact, name) for name in Fact.__slots__} | {"county": fact.county, "town": fact.town}
        for fact in found
    ]
    await insert_rows(tx, facts, rows)


async def withdraw(tx: AsyncConnection, event_id: UUID, *, reason: str, actor: str, at: datetime) -> bool:
    """False when it was withdrawn before."""
    row = {"event_id": event_id, "reason": reason, "actor": actor, "at": at}
    return (await tx.execute(insert_ignoring(tx, withdrawals).values(row))).rowcount == 1


async def find(tx: AsyncConnection, event_id: UUID, area: Area) -> Mapping[str, Any] | None:
    query = _with_withdrawal().where(facts.c.event_id == event_id, in_area(facts.c.division, area))
    row = (await tx.execute(query)).mappings().one_or_none()
    return dict(row) if row else None


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    within: Area | None,
    type: str | None,
    cadre_no: str | None,
    period: str | None,
    after: tuple[date, UUID] | None,
    limit: int,
) -> list[Mapping[str, Any]]:
    """In order of business date."""
    query = (
        _with_withdrawal().where(in_area(facts.c.division, area)).order_by(facts.c.on, facts.c.event_id).limit(limit)
    )
    if within is not None:
        query = query.where(in_area(facts.c.division, within))
    for column, value in ((facts.c.type, type), (facts.c.cadre_no, cadre_no), (facts.c.period, period)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(tuple_(facts.c.on, facts.c.event_id) > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def evidence(
    tx: AsyncConnection,
    county: str,
    period: str,
    *,
    since: Mapping[str, str],
    before: datetime | None,
    towns: Collection[str] | None = None,
    cadre_nos: Collection[str] | None = None,
) -> list[Fact]:
    """The facts that stand (not withdrawn) of a county, up to a period, recorded before an instant.

    `since`: event type → first period that still counts. `towns` and `cadre_nos`, if given, narrow it to facts of one of them.
    """
    windows = [
        and_(facts.c.type == type, facts.c.period >= first, facts.c.period <= period)
        for type, first in sorted(since.items())
    ]
    query = (
        select(*(facts.c[name] for name in Fact.__slots__))
        .outerjoin(withdrawals, withdrawals.c.event_id == facts.c.event_id)
        .where(facts.c.county == county, withdrawals.c.event_id.is_(None), or_(*windows))
    )
    if before is not None:
        query = query.where(facts.c.at < before)
    if towns is not None or cadre_nos is not None:
        query = query.where(or_(facts.c.town.in_(towns or ()), facts.c.cadre_no.in_(cadre_nos or ())))
    found: list[Fact] = []
    for part in (await tx.execute(query)).mappings().partitions(SLICE):
        found += [_fact(row) for row in part]
        await asyncio.sleep(0)
    return found


async def described(tx: AsyncConnection, event_ids: Iterable[UUID], area: Area) -> dict[UUID, Mapping[str, Any]]:
    """The facts of these events that lie in the area."""
    query = select(facts).where(in_area(facts.c.division, area))
    return {row["event_id"]: dict(row) async for row in chunked(tx, query, facts.c.event_id, event_ids)}


def _with_withdrawal() -> Select[Any]:
    taken = withdrawals.c
    return select(
        facts,
        taken.reason.label("withdrawn_because"),
        taken.actor.label("withdrawn_by"),
        taken.at.label("withdrawn_at"),
    ).outerjoin(withdrawals, taken.event_id == facts.c.event_id)


def _fact(row: Mapping[str, Any] | RowMapping) -> Fact:
    return Fact(**{**row, "counts": Counts(row["counts"])})


def as_fact(row: Mapping[str, Any]) -> Fact:
    """A row of `find` as the domain's fact."""
    return _fact({name: row[name] for name in Fact.__slots__})
