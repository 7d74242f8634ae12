"""Queries of statistics: counts of the rows as they are, over the tables of households and measures."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import Index, RowMapping, Select, and_, func, literal, null, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households.store import households
from services.registry.measures.store import measures
from services.registry.statistics.domain import DIGITS
from shared.db import in_area
from shared.scope import Area, Level

Index(
    "ix_measure_counted",
    measures.c.year,
    measures.c.scope,
    measures.c.pathway,
    measures.c.sub,
    measures.c.household_id,
    measures.c.ended_on,
    measures.c.valid_until,
    measures.c.persons,
)
Index("ix_household_counted", households.c.id, households.c.division, households.c.people)
# Both hold all that is counted, so that a county is counted without touching a table: 8,000 households in a third of the time.

Asked = Sequence[tuple[str, str]]
"""(pathway, scope) pairs."""


async def count_pathways(
    tx: AsyncConnection, area: Area, *, within: Area | None, asked: Asked, year: int, on: date
) -> Sequence[RowMapping]:
    """pathway, sub → DISTINCT households, the members living in them, the persons their measures name; sub NULL: the whole pathway."""
    held = _held(area, within, asked, year, on).cte("held")
    subs = select(
        held.c.pathway,
        held.c.sub,
        func.count().label("households"),
        func.sum(held.c.people).label("people"),
        func.sum(held.c.persons).label("persons"),
    ).group_by(held.c.pathway, held.c.sub)
    once = select(held.c.pathway, held.c.household_id, held.c.people).distinct().subquery()
    wholes = select(once.c.pathway, null().label("sub"), func.count(), func.sum(once.c.people), literal(0)).group_by(
        once.c.pathway
    )
    return (await tx.execute(union_all(subs, wholes))).mappings().all()


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


def _held(
    area: Area, within: Area | None, asked: Asked, year: int, on: date
) -> Select[tuple[str, str, UUID, int, int]]:
    """What each household holds, once: measures of this year, in the scope asked for, not ended and still valid on that day."""
    by_scope: dict[str, list[str]] = {}
    for pathway, scope in asked:
        by_scope.setdefault(scope, []).append(pathway)
    query = (
        select(
            measures.c.pathway,
            measures.c.sub,
            measures.c.household_id,
            func.max(households.c.people).label("people"),
            func.coalesce(func.sum(measures.c.persons), 0).label("persons"),
        )
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
        .group_by(measures.c.pathway, measures.c.sub, measures.c.household_id)
    )
    return query if within is None else query.where(in_area(households.c.division, within))
