"""Table and queries of projects. Their money is read from the ledger."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Date, Integer, String, Table, Uuid, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.ledger.domain import AccountKind
from services.funds.ledger.store import account, entry, posting
from services.funds.projects.domain import FundShare
from services.funds.tables import metadata
from services.funds.tranches.store import tranche
from shared import personal
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.scope import Area

project = Table(
    "project",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("project_no", String(32), nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column(
        "description",
        String(1000),
        nullable=False,
        info=personal.plain("what people write", why="the project", kept=personal.AS_HISTORY),
    ),
    Column("unit", String(100), nullable=False),
    Column("year", Integer, nullable=False),
    Column("performance_target", String(500), nullable=False),
    Column("due_on", Date, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("created_at", Instant, nullable=False),
)


async def add(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when the number is taken: project numbers name accounts, so they are unique everywhere, whoever asks."""
    return bool((await tx.execute(insert_ignoring(tx, project), row)).rowcount)


async def find(tx: AsyncConnection, project_id: UUID, area: Area) -> dict[str, Any] | None:
    query = select(project).where(project.c.id == project_id, in_area(project.c.division, area))
    found = (await tx.execute(query)).mappings().one_or_none()
    return dict(found) if found else None


async def page(
    tx: AsyncConnection, area: Area, *, year: int | None, within: Area | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Projects of the area by number, above `after`."""
    query = select(project).where(in_area(project.c.division, area)).order_by(project.c.project_no).limit(limit)
    if within is not None:
        query = query.where(in_area(project.c.division, within))
    if year is not None:
        query = query.where(project.c.year == year)
    if after is not None:
        query = query.where(project.c.project_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def shares(tx: AsyncConnection, area: Area, project_nos: Sequence[str]) -> dict[str, list[FundShare]]:
    """Project number → what each fund gave it and where that is, by fund number, over the projects of the area.

    Held is what lies in its tranches' holds; paid is what was allocated and is neither left nor held.
    """
    of_project = and_(
        account.c.kind == AccountKind.PROJECT.value, account.c.owner.in_(project_nos), in_area(account.c.division, area)
    )
    allocated = (
        select(account.c.owner, account.c.earmark, func.sum(posting.c.amount_fen).label("fen"))
        .join(posting, posting.c.account_id == account.c.id)
        .join(entry, and_(entry.c.book == posting.c.book, entry.c.seq == posting.c.seq))
        .where(of_project, entry.c.kind == "allocated")
        .group_by(account.c.owner, account.c.earmark)
    )
    left = select(account.c.owner, account.c.earmark, account.c.balance_fen).where(of_project)
    held = (
        select(tranche.c.project_no, account.c.earmark, func.sum(account.c.balance_fen).label("fen"))
        .join(account, and_(account.c.kind == AccountKind.HOLD.value, account.c.owner == tranche.c.tranche_no))
        .where(tranche.c.project_no.in_(project_nos), in_area(tranche.c.division, area))
        .group_by(tranche.c.project_no, account.c.earmark)
    )
    given = {(row.owner, row.earmark): int(row.fen) for row in await tx.execute(allocated)}
    rest = {(row.owner, row.earmark): int(row.balance_fen) for row in await tx.execute(left)}
    holds = {(row.project_no, row.earmark): int(row.fen) for row in await tx.execute(held)}
    found: dict[str, list[FundShare]] = defaultdict(list)
    for project_no, fund_no in sorted(given):
        key = (project_no, fund_no)
        in_hold = holds.get(key, 0)
        found[project_no].append(FundShare(fund_no, rest[key], in_hold, given[key] - rest[key] - in_hold))
    return found
