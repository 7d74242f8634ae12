"""Tables and queries of publicity. Every query takes the caller's area; there is no other way to ask."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
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
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.publicity.domain import Finding, Notice
from services.funds.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import DivisionCode, Instant, Json, in_area, insert_ignoring
from shared.personal import AS_HISTORY
from shared.scope import Area

_READERS = "whoever may read objections, in the area"

notice = Table(
    "notice",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("subject", String(64), nullable=False, unique=True),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("place", String(100), nullable=False),
    Column("posted_on", Date, nullable=False),
    Column("days", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column(
        "content",
        Json,
        nullable=False,
        info=personal.masked(
            "what was published: masked names and shares", why="publicity (公示)", kept=personal.AS_EVIDENCE
        ),
    ),
    Column("posted_by", String(100), nullable=False),
    Column("posted_at", Instant, nullable=False),
)
protect(notice)

objection = Table(
    "objection",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("notice_id", Uuid, ForeignKey("notice.id"), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # 1, 2, … on its notice
    Column(
        "text_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            "objection.text",
            "what somebody objects",
            why="publicity (公示)",
            kept=AS_HISTORY,
            shown=_READERS,
        ),
    ),
    Column("raised_by", String(100), nullable=False),
    Column("raised_on", Date, nullable=False),
    Column("raised_at", Instant, nullable=False),
    Column("finding", String(16)),
    Column(
        "answer_sealed",
        Text,
        info=personal.sealed(
            "objection.answer",
            "the answer to an objection",
            why="publicity (公示)",
            kept=AS_HISTORY,
            shown=_READERS,
        ),
    ),
    Column("answered_by", String(100)),
    Column("answered_on", Date),
    Column("answered_at", Instant),
    UniqueConstraint("notice_id", "number"),
)


def _notices(area: Area) -> Select[Any]:
    on_it = objection.c.notice_id == notice.c.id
    opened = select(func.count()).select_from(objection).where(on_it, objection.c.finding.is_(None)).scalar_subquery()
    upheld = (
        select(func.count())
        .select_from(objection)
        .where(on_it, objection.c.finding == Finding.UPHELD.value)
        .scalar_subquery()
    )
    return select(notice, opened.label("open_objections"), upheld.label("upheld_objections")).where(
        in_area(notice.c.division, area)
    )


async def add_notice(tx: AsyncConnection, row: dict[str, Any]) -> bool:
    """False when the subject has its notice already."""
    return bool((await tx.execute(insert_ignoring(tx, notice), row)).rowcount)


async def find_notice(tx: AsyncConnection, notice_id: UUID, area: Area) -> dict[str, Any] | None:
    found = (await tx.execute(_notices(area).where(notice.c.id == notice_id))).mappings().one_or_none()
    return dict(found) if found else None


async def notice_of(tx: AsyncConnection, subject: str, area: Area) -> dict[str, Any] | None:
    return (await notices_of(tx, [subject], area)).get(subject)


async def notices_of(tx: AsyncConnection, subjects: Sequence[str], area: Area) -> dict[str, dict[str, Any]]:
    """Subject → its notice, for those of the area that have one."""
    found = (await tx.execute(_notices(area).where(notice.c.subject.in_(subjects)))).mappings()
    return {row["subject"]: dict(row) for row in found}


async def page(
    tx: AsyncConnection, area: Area, *, subject: str | None, after: tuple[date, UUID] | None, limit: int
) -> list[dict[str, Any]]:
    """Notices of the area by posting day; `after` is (day, id) of the last one seen."""
    query = _notices(area).order_by(notice.c.posted_on, notice.c.id).limit(limit)
    if subject is not None:
        query = query.where(notice.c.subject == subject)
    if after is not None:
        day, last = after
        query = query.where((notice.c.posted_on > day) | and_(notice.c.posted_on == day, notice.c.id > last))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def as_notice(row: dict[str, Any]) -> Notice:
    return Notice(
        row["id"], row["posted_on"], row["days"], row["digest"], row["open_objections"], row["upheld_objections"]
    )


async def add_objection(tx: AsyncConnection, row: dict[str, Any]) -> None:
    """Gives it the next number on its notice; two at once stand in line at the notice."""
    await tx.execute(select(notice.c.id).where(notice.c.id == row["notice_id"]).with_for_update())
    number = select(func.coalesce(func.max(objection.c.number), 0) + 1).where(objection.c.notice_id == row["notice_id"])
    await tx.execute(insert(objection).values({**row, "number": number.scalar_subquery()}))


async def all_objections(tx: AsyncConnection, notice_id: UUID, area: Area) -> list[dict[str, Any]]:
    """Every objection to a notice of the area, in the order raised: what its payment binds."""
    query = _objections(notice_id, area).order_by(objection.c.number)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def _objections(notice_id: UUID, area: Area) -> Select[Any]:
    return (
        select(objection)
        .join(notice, notice.c.id == objection.c.notice_id)
        .where(objection.c.notice_id == notice_id, in_area(notice.c.division, area))
    )


async def objections(
    tx: AsyncConnection, notice_id: UUID, area: Area, *, after: int, limit: int
) -> list[dict[str, Any]]:
    """The objections to a notice of the area with a number above `after`, in the order raised."""
    query = _objections(notice_id, area).where(objection.c.number > after)
    return [dict(row) for row in (await tx.execute(query.order_by(objection.c.number).limit(limit))).mappings()]


async def find_objection(tx: AsyncConnection, notice_id: UUID, objection_id: UUID, area: Area) -> dict[str, Any] | None:
    found = await tx.execute(_objections(notice_id, area).where(objection.c.id == objection_id))
    row = found.mappings().one_or_none()
    return dict(row) if row else None


async def answer(tx: AsyncConnection, objection_id: UUID, changes: dict[str, Any]) -> bool:
    """Writes the answer; false when somebody else answered first."""
    query = update(objection).where(objection.c.id == objection_id, objection.c.finding.is_(None)).values(changes)
    return bool((await tx.execute(query)).rowcount)
