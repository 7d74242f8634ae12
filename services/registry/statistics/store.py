"""Queries of statistics: counts of the rows as they are, over the tables of households and measures."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import RowMapping, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households.store import households
from services.registry.measures.store import measures
from services.registry.statistics.domain import DIGITS
from shared.db import in_area
from shared.scope import Area, Level

Asked = Sequence[tuple[str, str]]
"""(pathway, scope) pairs."""


async def count_pathways(
    tx: AsyncConnection, area: Area, *, within: Area | None, asked: Asked, year: int, on: date
) -> Sequence[RowMapping]:
    """pathway → DISTINCT households holding any measure of it, and the members living in them."""
    held = (
        _held(area, within, asked, year, on)
        .with_only_columns(measures.c.pathway, households.c.id, households.c.people)
        .distinct()
        .subquery()
    )
    query = select(held.c.pathway, func.count().label("households"), func.sum(held.c.people).label("people")).group_by(
        held.c.pathway
    )
    return (await tx.execute(query)).mappings().all()


async def count_subs(
    tx: AsyncConnection, area: Area, *, within: Area | None, asked: Asked, year: int, on: date
) -> Sequence[RowMapping]:
    """pathway, sub → DISTINCT households, the members living in them, and the persons their measures name."""
    held = (
        _held(area, within, asked, year, on)
        .with_only_columns(
            measures.c.pathway,
            measures.c.sub,
            households.c.id,
            func.max(households.c.people).label("people"),
            func.sum(measures.c.persons).label("persons"),
        )
        .group_by(measures.c.pathway, measures.c.sub, households.c.id)
        .subquery()
    )
    query = select(
        held.c.pathway,
        held.c.sub,
        func.count().label("households"),
        func.sum(held.c.people).label("people"),
        func.coalesce(func.sum(held.c.persons), 0).label("persons"),
    ).group_by(held.c.pathway, held.c.sub)
    return (await tx.execute(query)).mappings().all()


async def count_households(
    tx: AsyncConnection, area: Area, *, within: Area | None, level: Level
) -> Sequence[RowMapping]:
    """division of the level, status → households and people, by division."""
    digits = DIGITS[level]
    # A literal in the text, not a parameter: PostgreSQL must see the same expression in SELECT and GROUP BY.
    start = func.substr(households.c.division, literal(1, literal_execute=True), literal(digits, literal_execute=True))
    query = (
        select(
            start.label("start"),
            households.c.status,
            func.count().label("households"),
            func.sum(households.c.people).label("people"),
        )
        .where(in_area(households.c.division, area))
        .group_by(start, households.c.status)
        .order_by(start)
    )
    if within is not None:
        query = query.where(in_area(households.c.division, within))
    return (await tx.execute(query)).mappings().all()


def _held(area: Area, within: Area | None, asked: Asked, year: int, on: date) -> Select[tuple[object]]:
    """The measures that count: of this year, in the scope asked for their pathway, not ended and still valid on that day."""
    by_scope: dict[str, list[str]] = {}
    for pathway, scope in asked:
        by_scope.setdefault(scope, []).append(pathway)
    query = (
        select(measures.c.id)
        .select_from(measures.join(households, households.c.id == measures.c.household_id))
        .where(
            measures.c.year == year,
            or_(measures.c.ended_on.is_(None), measures.c.ended_on > on),
            or_(measures.c.valid_until.is_(None), measures.c.valid_until >= on),
            or_(
                *(
                    and_(measures.c.scope == scope, measures.c.pathway.in_(pathways))
                    for scope, pathways in by_scope.items()
                )
            ),
            in_area(households.c.division, area),
        )
    )
    return query if within is None else query.where(in_area(households.c.division, within))
