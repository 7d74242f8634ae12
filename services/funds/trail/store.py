"""Queries of the trail. Amounts come from the ledger's postings; every level asks with the caller's area."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.approvals.domain import Verdict
from services.funds.approvals.store import decision
from services.funds.households.store import household
from services.funds.ledger.domain import AccountKind
from services.funds.ledger.store import account, entry, posting
from services.funds.payees.store import payee
from services.funds.projects.store import project
from services.funds.sources.store import source
from services.funds.trail.domain import Gap
from services.funds.tranches.store import held_once, line, paid_once, tranche, voided_once
from shared.db import in_area
from shared.scope import Area

_of_entry = and_(entry.c.book == posting.c.book, entry.c.seq == posting.c.seq)


async def find_household(tx: AsyncConnection, household_no: str, area: Area) -> dict[str, Any] | None:
    query = select(household).where(household.c.household_no == household_no, in_area(household.c.division, area))
    found = (await tx.execute(query)).mappings().one_or_none()
    return dict(found) if found else None


async def payments_of(tx: AsyncConnection, household_no: str, area: Area) -> list[dict[str, Any]]:
    """Payments to a household of the area: entry, fund, tranche and project of each."""
    query = (
        select(entry.c.seq, account.c.earmark, tranche.c.tranche_no, tranche.c.project_no)
        .select_from(account)
        .join(posting, posting.c.account_id == account.c.id)
        .join(entry, _of_entry)
        .join(tranche, tranche.c.tranche_no == func.substr(entry.c.once, len(paid_once("")) + 1))
        .where(
            account.c.kind == AccountKind.HOUSEHOLD.value,
            account.c.owner == household_no,
            entry.c.kind == "paid",
            in_area(posting.c.division, area),
        )
    )
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def chain_seqs(tx: AsyncConnection, book: str, payments: Sequence[dict[str, Any]], area: Area) -> list[int]:
    """The entries that carried these payments' money: receipts of the funds, allocations, holds, the payments."""
    wanted = {row["seq"] for row in payments}
    holds = {held_once(row["tranche_no"]) for row in payments}
    passed = {("project", row["project_no"], row["earmark"]) for row in payments}
    passed |= {("fund", row["earmark"], row["earmark"]) for row in payments}
    names = ["/".join(key) for key in passed]
    query = select(entry.c.seq).where(entry.c.book == book, entry.c.once.in_(holds), in_area(entry.c.division, area))
    wanted |= set((await tx.execute(query)).scalars())
    query = (
        select(entry.c.seq)
        .join(posting, _of_entry)
        .join(account, account.c.id == posting.c.account_id)
        .where(
            entry.c.book == book,
            entry.c.kind.in_(("received", "allocated")),
            account.c.book == book,
            account.c.name.in_(names),
            posting.c.amount_fen > 0,
            in_area(entry.c.division, area),
        )
    )
    return sorted(wanted | set((await tx.execute(query)).scalars()))


async def fund_seqs(tx: AsyncConnection, book: str, fund_no: str, area: Area, limit: int) -> list[int]:
    """Every entry that moved money of a fund, in order."""
    query = (
        select(entry.c.seq)
        .distinct()
        .join(posting, _of_entry)
        .join(account, account.c.id == posting.c.account_id)
        .where(entry.c.book == book, account.c.earmark == fund_no, in_area(entry.c.division, area))
        .order_by(entry.c.seq)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def gaps(tx: AsyncConnection, area: Area, *, year: int | None) -> list[Gap]:
    """Money of the area that is not where it should end. `year`: of the fund or project."""
    return [
        *await _resting(
            tx, area, AccountKind.FUND, "fund_not_allocated", source.c.fund_no, source.c.division, source.c.year, year
        ),
        *await _resting(
            tx,
            area,
            AccountKind.PROJECT,
            "project_not_paid",
            project.c.project_no,
            project.c.division,
            project.c.year,
            year,
        ),
        *await _open_holds(tx, area, year),
        *await _without_payee(tx, area, year),
    ]


async def _resting(
    tx: AsyncConnection,
    area: Area,
    kind: AccountKind,
    gap: str,
    number: Any,
    division: Any,
    of_year: Any,
    year: int | None,
) -> list[Gap]:
    query = (
        select(number.label("number"), division.label("division"), func.sum(account.c.balance_fen).label("fen"))
        .join(account, and_(account.c.kind == kind.value, account.c.owner == number))
        .where(account.c.balance_fen > 0, in_area(division, area))
        .group_by(number, division)
    )
    if year is not None:
        query = query.where(of_year == year)
    return [Gap(gap, row.number, row.division, int(row.fen)) for row in await tx.execute(query)]


async def _open_holds(tx: AsyncConnection, area: Area, year: int | None) -> list[Gap]:
    query = (
        select(tranche.c.tranche_no, tranche.c.division, func.sum(account.c.balance_fen).label("fen"))
        .join(account, and_(account.c.kind == AccountKind.HOLD.value, account.c.owner == tranche.c.tranche_no))
        .join(project, project.c.id == tranche.c.project_id)
        .where(account.c.balance_fen > 0, in_area(tranche.c.division, area))
        .group_by(tranche.c.tranche_no, tranche.c.division)
    )
    if year is not None:
        query = query.where(project.c.year == year)
    return [Gap("hold_open", row.tranche_no, row.division, int(row.fen)) for row in await tx.execute(query)]


async def _without_payee(tx: AsyncConnection, area: Area, year: int | None) -> list[Gap]:
    """Households of tranches neither paid, voided nor rejected that have no account."""
    onces = [literal(once("")) + tranche.c.tranche_no for once in (paid_once, voided_once)]
    settled = select(entry.c.seq).where(entry.c.book == func.substr(tranche.c.division, 1, 6), entry.c.once.in_(onces))
    query = (
        select(
            tranche.c.id,
            tranche.c.tranche_no,
            tranche.c.division,
            func.sum(line.c.amount_fen).label("fen"),
            func.count().label("households"),
        )
        .join(line, line.c.tranche_id == tranche.c.id)
        .join(project, project.c.id == tranche.c.project_id)
        .outerjoin(payee, and_(payee.c.household_no == line.c.household_no, payee.c.ended_at.is_(None)))
        .where(
            payee.c.id.is_(None), ~settled.exists(), in_area(tranche.c.division, area), in_area(line.c.division, area)
        )
        .group_by(tranche.c.id, tranche.c.tranche_no, tranche.c.division)
    )
    if year is not None:
        query = query.where(project.c.year == year)
    rejections = select(decision.c.subject).where(
        decision.c.verdict == Verdict.REJECT.value, in_area(decision.c.division, area)
    )
    rejected = set((await tx.execute(rejections)).scalars())
    return [
        Gap("household_without_payee", row.tranche_no, row.division, int(row.fen), row.households)
        for row in await tx.execute(query)
        if f"tranche:{row.id}" not in rejected
    ]
