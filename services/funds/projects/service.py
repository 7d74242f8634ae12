"""Use cases of projects: apply, decide, allocate, show."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.funds.approvals import service as approvals
from services.funds.approvals.domain import require_approved, state
from services.funds.approvals.schemas import DecisionIn, DecisionOut
from services.funds.ledger.domain import Posted, row_digest
from services.funds.orders.service import Money
from services.funds.projects import domain, store
from services.funds.projects.domain import FundShare, subject_of
from services.funds.projects.schemas import (
    AllocationIn,
    AllocationOut,
    FundShareOut,
    ProjectFigures,
    ProjectIn,
    ProjectOut,
)
from services.funds.sources import store as sources
from services.funds.sources.service import SourceUnknown, require_division
from shared.clock import business_date
from shared.errors import NotFound
from shared.events.funds import FundAllocated
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.scope import Area
from shared.work import Work


class ProjectUnknown(NotFound):
    code = "project_unknown"


async def apply(work: Work, order: ProjectIn) -> ProjectOut:
    """Applies for a project (项目申报): the first act of its control chain.

    Source: FND-014, FND-018, FND-019. Raises ProjectNumberTaken, DivisionUnknown, NotYourStep.
    """
    require_division(work, order.division)
    row = {**order.model_dump(), "id": new_id(), "created_by": work.caller.subject, "created_at": work.now}
    if not await store.add(work.tx, row):
        raise domain.ProjectNumberTaken("A project has this number already. Use another.")
    await approvals.apply(work, subject_of(row["id"]), order.division)
    return (await _out(work, [row]))[0]


async def decide(work: Work, project_id: UUID, order: DecisionIn) -> DecisionOut:
    """Reviews or approves a project, by another person than before. Raises what the control chain raises."""
    project = await load(work, project_id)
    return await approvals.decide(work, subject_of(project_id), project["division"], order)


async def allocate(work: Work, money: Money, project_id: UUID, order: AllocationIn) -> AllocationOut:
    """Gives a fund's money to an approved project; it stays earmarked by the fund (资金分配).

    Raises ProjectUnknown, SourceUnknown, NotApproved, OutsideFundArea, InsufficientFunds (with `available_fen`).
    """
    project = await load(work, project_id)
    source = await sources.find(work.tx, order.source_id, work.area)
    if source is None:
        raise SourceUnknown("There is no such fund in your area.")
    if (first := await money.first(work, source["division"])) is not None:
        return _allocation(project, source, order, first)
    decisions = await approvals.taken(work, subject_of(project_id))
    require_approved(approvals.chain_of(work, subject_of(project_id), project["division"]), decisions)
    command = money.command(
        work,
        kind="allocated",
        division=source["division"],
        postings=domain.allocation_postings(
            source["fund_no"], source["division"], project["project_no"], project["division"], order.amount_fen
        ),
        memo=f"{source['name']} → {project['name']} 分配 allocated",
        approvals=approvals.said(decisions),
        details={
            "fund_no": source["fund_no"],
            "fund_name": source["name"],
            "project_no": project["project_no"],
            "project_name": project["name"],
            "project_digest": row_digest(project, domain.PROJECT_BOUND),
        },
    )

    def event(seq: int) -> FundAllocated:
        return FundAllocated(
            project_id=project["id"],
            project_no=project["project_no"],
            fund_id=source["id"],
            division=project["division"],
            amount_fen=order.amount_fen,
            allocated_on=work.today,
            entry_seq=seq,
        )

    posted = await money.post(
        work, command, lambda seq: [work.fact(event(seq), division=project["division"], version=seq)]
    )
    return _allocation(project, source, order, posted)


async def show(work: Work, project_id: UUID) -> ProjectOut:
    """A project, where it stands in its control chain, and its money by fund."""
    return (await _out(work, [await load(work, project_id)]))[0]


async def list_projects(work: Work, page: PageQuery, *, year: int | None, division: str | None) -> Page[ProjectOut]:
    """The projects of the area, by number."""
    after = decode_cursor(page.after, str)[0] if page.after else None
    within = Area.of([division]) if division else None
    rows = await store.page(work.tx, work.area, year=year, within=within, after=after, limit=page.limit + 1)
    rows, following = page_of(rows, page.limit, lambda row: encode_cursor(row["project_no"]))
    return Page(items=await _out(work, rows), next=following)


async def load(work: Work, project_id: UUID) -> dict[str, Any]:
    """The row of a project of the area. Raises ProjectUnknown."""
    if found := await store.find(work.tx, project_id, work.area):
        return found
    raise unknown()


def unknown() -> ProjectUnknown:
    return ProjectUnknown("There is no such project in your area.")


def _allocation(project: dict[str, Any], source: dict[str, Any], order: AllocationIn, posted: Posted) -> AllocationOut:
    return AllocationOut(
        project_id=project["id"],
        project_no=project["project_no"],
        source_id=source["id"],
        fund_no=source["fund_no"],
        amount_fen=order.amount_fen,
        allocated_on=business_date(posted.recorded_at),
        entry_seq=posted.seq,
    )


async def _out(work: Work, rows: Sequence[dict[str, Any]]) -> list[ProjectOut]:
    shares = await store.shares(work.tx, work.area, [row["project_no"] for row in rows])
    names = await sources.names(work.tx, sorted({share.fund_no for found in shares.values() for share in found}))
    shown = await approvals.shown(work, [subject_of(row["id"]) for row in rows])
    items = []
    for row in rows:
        decisions = shown[subject_of(row["id"])]
        chain, taken = (
            approvals.chain_of(work, subject_of(row["id"]), row["division"]),
            approvals.as_decisions(decisions),
        )
        found = shares.get(row["project_no"], [])
        extra = {
            "state": state(chain, taken),
            "next": approvals.next_of(chain, taken),
            "decisions": decisions,
            "figures": _figures(found),
            "funds": [_share(share, names[share.fund_no]["name"]) for share in found],
        }
        items.append(ProjectOut.model_validate({**row, **extra}))
    return items


def _figures(found: Sequence[FundShare]) -> ProjectFigures:
    return ProjectFigures(
        **{name: sum(getattr(share, name) for share in found) for name in ProjectFigures.model_fields}
    )


def _share(share: FundShare, fund_name: str) -> FundShareOut:
    return FundShareOut(
        fund_no=share.fund_no,
        fund_name=fund_name,
        allocated_fen=share.allocated_fen,
        left_fen=share.left_fen,
        held_fen=share.held_fen,
        paid_fen=share.paid_fen,
    )
