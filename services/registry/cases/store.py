"""Tables and queries of cases. A case's acts are only ever added; its row repeats what they add up to, for lists and locks."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.cases.domain import (
    Act,
    CaseState,
    Decision,
    Done,
    Finding,
    Notice,
    Objection,
    ObjectionReply,
    Verdict,
)
from services.registry.cases.procedure import CaseKind
from services.registry.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import BigId, DivisionCode, Instant, Json, in_area
from shared.scope import Area

cases = Table(
    "case",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_no", String(48), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("household_id", Uuid, nullable=False),
    Column("household_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("state", String(10), nullable=False),
    Column("step", String(40)),
    # As it was in force when the case was opened: a later change of the pack does not move a running case.
    Column("procedure", Json, nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("decided_on", Date),
    Column("closed_on", Date),
    Column("client", String(100), nullable=False),
    Column("client_ref", String(100)),
    Column("version", Integer, nullable=False),
    UniqueConstraint("client", "client_ref"),
)
Index("ix_case_division", cases.c.division, cases.c.case_no)
Index(
    "uq_case_open_household",
    cases.c.household_id,
    unique=True,
    sqlite_where=cases.c.state == CaseState.OPEN,
    postgresql_where=cases.c.state == CaseState.OPEN,
)

acts = Table(
    "case_act",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("case_id", ForeignKey("case.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    # decision · notice · objection · answer
    Column("kind", String(10), nullable=False),
    Column("step", String(40), nullable=False),
    Column("verdict", String(10)),
    Column("objection_ref", Integer),
    Column("text", Text, info=personal.plain("what people write", why="the procedure", kept=personal.AS_HISTORY)),
    Column(
        "facts",
        Json,
        nullable=False,
        info=personal.plain("what a step found out", why="the procedure", kept=personal.AS_HISTORY),
    ),
    Column("actor", String(100), nullable=False),
    Column("on", Date, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("case_id", "seq"),
)
protect(acts)


async def add_case(tx: AsyncConnection, **values: Any) -> None:
    await tx.execute(insert(cases).values(**values))


async def add_act(tx: AsyncConnection, **values: Any) -> None:
    await tx.execute(insert(acts).values(**values))


async def move_case(
    tx: AsyncConnection,
    id: UUID,
    *,
    seen: int,
    state: CaseState,
    step: str | None,
    decided_on: date | None,
    closed_on: date | None,
) -> bool:
    """Writes what the case has become, from version `seen` to the next. False when somebody was faster."""
    moved = await tx.execute(
        update(cases)
        .where(cases.c.id == id, cases.c.version == seen)
        .values(state=state, step=step, decided_on=decided_on, closed_on=closed_on, version=seen + 1)
    )
    return moved.rowcount == 1


async def find_case(tx: AsyncConnection, id: UUID, area: Area, *, lock: bool = False) -> RowMapping | None:
    query = select(cases).where(cases.c.id == id, in_area(cases.c.division, area))
    if lock:
        query = query.with_for_update()
    return (await tx.execute(query)).mappings().one_or_none()


async def find_by_client_ref(tx: AsyncConnection, client: str, client_ref: str) -> UUID | None:
    """The id of the case that this program opened under this reference, wherever it lies."""
    query = select(cases.c.id).where(cases.c.client == client, cases.c.client_ref == client_ref)
    return (await tx.execute(query)).scalar_one_or_none()


async def acts_of(tx: AsyncConnection, case_id: UUID, area: Area) -> Sequence[RowMapping]:
    """The acts of a case in their order."""
    query = (
        select(acts).join(cases).where(acts.c.case_id == case_id, in_area(cases.c.division, area)).order_by(acts.c.seq)
    )
    return (await tx.execute(query)).mappings().all()


async def open_case_of(tx: AsyncConnection, household_id: UUID, area: Area) -> RowMapping | None:
    query = select(cases.c.id, cases.c.case_no, cases.c.kind).where(
        cases.c.household_id == household_id, cases.c.state == CaseState.OPEN, in_area(cases.c.division, area)
    )
    return (await tx.execute(query)).mappings().one_or_none()


async def count_cases_of(tx: AsyncConnection, household_id: UUID) -> int:
    """How many cases this household has had, to number the next one."""
    return (await tx.execute(select(func.count()).where(cases.c.household_id == household_id))).scalar_one()


async def list_cases(
    tx: AsyncConnection,
    area: Area,
    *,
    kind: CaseKind | None,
    state: CaseState | None,
    within: Area | None,
    household_id: UUID | None,
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """A page of cases by case number, and one more row when another page follows."""
    query = select(cases).where(in_area(cases.c.division, area)).order_by(cases.c.case_no).limit(limit + 1)
    if kind:
        query = query.where(cases.c.kind == kind)
    if state:
        query = query.where(cases.c.state == state)
    if within:
        query = query.where(in_area(cases.c.division, within))
    if household_id:
        query = query.where(cases.c.household_id == household_id)
    if after:
        query = query.where(cases.c.case_no > after)
    return (await tx.execute(query)).mappings().all()


def columns(act: Act) -> tuple[str, Verdict | Finding | None, int | None]:
    """An act as its row keeps it: kind, verdict (or finding), number of the objection."""
    match act:
        case Decision(verdict=verdict):
            return "decision", verdict, None
        case Notice():
            return "notice", None, None
        case Objection(ref):
            return "objection", None, ref
        case ObjectionReply(ref, finding):
            return "answer", finding, ref


def done(row: RowMapping) -> Done:
    """An act from its row; checklists and attendance were judged when it happened and are not needed again."""
    act: Act
    if row["kind"] == "decision":
        act = Decision(row["step"], Verdict(row["verdict"]))
    elif row["kind"] == "notice":
        act = Notice(row["step"])
    elif row["kind"] == "objection":
        act = Objection(row["objection_ref"])
    else:
        act = ObjectionReply(row["objection_ref"], Finding(row["verdict"]))
    return Done(act, row["actor"], row["on"])
