"""Tables and queries of prompts: one row a person, campaign and week; receipts as they come."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
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
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.outbound.domain import OPEN, Reason, Receipt, Standing, State
from services.notify.tables import metadata
from services.notify.weeks.domain import Campaign, Occurrence
from shared import personal
from shared.clock import SystemClock
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.ids import new_id
from shared.scope import Area

_MESSAGE_ID = re.compile(r"([0-9a-f]{32})\.([0-9]{1,9})")

CHUNK = 500
"""Prompts of one statement."""

prompts = Table(
    "prompt",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("campaign", String(16), nullable=False),
    Column("week", String(8), nullable=False),
    Column("cadre_no", String(32), nullable=False),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("county", DivisionCode, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(32)),
    Column(
        "text",
        Text,
        nullable=False,
        info=personal.plain("the prompt's text", why="what was sent", kept=personal.AS_HISTORY),
    ),
    Column("closes_at", Instant, nullable=False),
    Column("attempt", Integer, nullable=False, info={"volatile": True}),
    # Until when a sender has it, or before when it is not tried again: by `lease_now`, the others by the county's clock.
    Column("lease_until", Instant),
    Column("planned_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("delivered_at", Instant),
    Column("version", Integer, nullable=False, info={"volatile": True}),
    UniqueConstraint("campaign", "week", "cadre_no"),
)
_open = prompts.c.state.in_(["held", "planned", "sending", "accepted"])
Index("ix_prompt_open", prompts.c.state, sqlite_where=_open, postgresql_where=_open)
Index("ix_prompt_week", prompts.c.week, prompts.c.county)

receipts = Table(
    "receipt",
    metadata,
    Column("message_id", String(64), primary_key=True, info={"volatile": True}),
    Column("type", String(16), primary_key=True),
    Column("prompt_id", ForeignKey("prompt.id"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as stored."""

    id: UUID
    campaign: Campaign
    week: str
    cadre_no: str
    division: str
    county: str
    standing: Standing
    text: str
    closes_at: datetime
    attempt: int
    lease_until: datetime | None
    planned_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    version: int

    @property
    def state(self) -> State:
        return self.standing.state

    @property
    def message_id(self) -> str:
        return message_id(self.id, self.attempt)


@dataclass(frozen=True, slots=True)
class Fresh:
    """A prompt about to be entered."""

    cadre_no: str
    division: str
    county: str
    standing: Standing
    text: str


def message_id(prompt_id: UUID, attempt: int) -> str:
    """Our id of a message: the prompt's own and the number of the attempt."""
    return f"{prompt_id.hex}.{attempt}"


def parts_of(message_id: str) -> tuple[UUID, int] | None:
    """The prompt and the attempt a message id speaks of; None when it is not one of ours."""
    found = _MESSAGE_ID.fullmatch(message_id)
    return (UUID(hex=found[1]), int(found[2])) if found else None


async def add(tx: AsyncConnection, occurrence: Occurrence, fresh: Sequence[Fresh], *, at: datetime) -> set[str]:
    """Enters prompts. Returns the cadre numbers that were new: of several replicas each person is new to one only."""
    new: set[str] = set()
    for start in range(0, len(fresh), CHUNK):
        rows = [
            {
                "id": new_id(),
                "campaign": occurrence.campaign,
                "week": occurrence.week,
                "cadre_no": one.cadre_no,
                "division": one.division,
                "county": one.county,
                "state": one.standing.state,
                "reason": one.standing.reason,
                "text": one.text,
                "closes_at": occurrence.closes_at,
                "attempt": 0,
                "planned_at": at,
                "version": 1,
            }
            for one in fresh[start : start + CHUNK]
        ]
        statement = insert_ignoring(tx, prompts).values(rows).returning(prompts.c.cadre_no)
        new |= {row.cadre_no for row in await tx.execute(statement)}
    return new


async def of_campaign(tx: AsyncConnection, campaign: Campaign, week: str, county: str) -> dict[str, Prompt]:
    """All prompts of a campaign and week in a county, by cadre number."""
    c = prompts.c
    query = select(prompts).where(c.campaign == campaign, c.week == week, c.county == county).order_by(c.cadre_no)
    return {row["cadre_no"]: _prompt(row) for row in (await tx.execute(query)).mappings()}


async def any_planned(tx: AsyncConnection, campaign: Campaign, week: str, county: str) -> bool:
    """Whether a prompt of it has a text already."""
    c = prompts.c
    query = select(func.count()).where(c.campaign == campaign, c.week == week, c.county == county, c.text != "")
    return bool((await tx.execute(query)).scalar_one())


async def lease_now(tx: AsyncConnection) -> datetime:
    """What leases are measured by: one clock for all senders, which goes on when the county's stands still.

    On PostgreSQL the server's, so that the clocks of machines may differ; an SQLite database belongs to one machine.
    """
    if tx.dialect.name != "postgresql":
        return SystemClock().now()
    now: datetime = (await tx.execute(select(func.clock_timestamp()))).scalar_one()
    return now


async def claimable(tx: AsyncConnection, *, now: datetime, lease_now: datetime, limit: int) -> list[Prompt]:
    """Planned prompts whose time has not passed, locked against other senders (PostgreSQL; SQLite has one writer)."""
    c = prompts.c
    query = (
        select(prompts)
        .where(c.state == State.PLANNED, c.closes_at > now, c.lease_until.is_(None) | (c.lease_until <= lease_now))
        .order_by(c.week, c.campaign, c.cadre_no)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_prompt(row) for row in (await tx.execute(query)).mappings()]


async def closed_but_open(tx: AsyncConnection, *, now: datetime) -> list[Prompt]:
    """Prompts not sent whose time has passed, locked."""
    c = prompts.c
    query = (
        select(prompts)
        .where(c.state.in_(OPEN), c.closes_at <= now)
        .order_by(c.week, c.campaign, c.cadre_no)
        .with_for_update(skip_locked=True)
    )
    return [_prompt(row) for row in (await tx.execute(query)).mappings()]


async def stranded(tx: AsyncConnection, *, before: datetime, limit: int) -> list[Prompt]:
    """Prompts whose sender let its lease run out before an instant of `lease_now`."""
    c = prompts.c
    query = (
        select(prompts)
        .where(c.state == State.SENDING, c.lease_until < before)
        .order_by(c.week, c.campaign, c.cadre_no)
        .limit(limit)
    )
    return [_prompt(row) for row in (await tx.execute(query)).mappings()]


async def accepted(tx: AsyncConnection, *, after: tuple[str, str, str], limit: int) -> list[Prompt]:
    """Prompts that wait for their receipt, in order of week, campaign and cadre number."""
    c = prompts.c
    key = tuple_(c.week, c.campaign, c.cadre_no)
    query = (
        select(prompts)
        .where(c.state == State.ACCEPTED, key > tuple_(*after))
        .order_by(c.week, c.campaign, c.cadre_no)
        .limit(limit)
    )
    return [_prompt(row) for row in (await tx.execute(query)).mappings()]


async def count_sending(tx: AsyncConnection) -> int:
    return int((await tx.execute(select(func.count()).where(prompts.c.state == State.SENDING))).scalar_one())


async def is_mine(tx: AsyncConnection, prompt: Prompt, *, until: datetime) -> bool:
    """Whether a claimed prompt still belongs to this attempt, with a lease that lasts beyond an instant."""
    c = prompts.c
    query = select(func.count()).where(
        c.id == prompt.id, c.attempt == prompt.attempt, c.state == State.SENDING, c.lease_until > until
    )
    return bool((await tx.execute(query)).scalar_one())


async def move(tx: AsyncConnection, prompt: Prompt, to: Standing, **also: Any) -> bool:
    """Moves a prompt on from exactly where it was read. False when somebody else has moved it since."""
    c = prompts.c
    query = (
        update(prompts)
        .where(c.id == prompt.id, c.version == prompt.version)
        .values(state=to.state, reason=to.reason, version=prompt.version + 1, **also)
    )
    return (await tx.execute(query)).rowcount == 1


async def find(tx: AsyncConnection, id: UUID, area: Area, *, lock: bool = False) -> Prompt | None:
    query = select(prompts).where(prompts.c.id == id, in_area(prompts.c.division, area))
    if lock:
        query = query.with_for_update()
    row = (await tx.execute(query)).mappings().one_or_none()
    return _prompt(row) if row else None


async def keep_receipts(
    tx: AsyncConnection, prompt: Prompt, attempt: int, types: Collection[Receipt], *, at: datetime
) -> None:
    """Each type of a message once."""
    id = message_id(prompt.id, attempt)
    rows = [{"message_id": id, "type": type, "prompt_id": prompt.id, "at": at} for type in sorted(types)]
    if rows:
        await tx.execute(insert_ignoring(tx, receipts).values(rows))


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    week: str | None,
    campaign: Campaign | None,
    state: State | None,
    after: tuple[str, str, str] | None,
    limit: int,
) -> list[Prompt]:
    """In order of week, campaign and cadre number."""
    c = prompts.c
    query = select(prompts).where(in_area(c.division, area)).order_by(c.week, c.campaign, c.cadre_no).limit(limit)
    for column, value in ((c.week, week), (c.campaign, campaign), (c.state, state)):
        if value is not None:
            query = query.where(column == value)
    if after is not None:
        query = query.where(tuple_(c.week, c.campaign, c.cadre_no) > tuple_(*after))
    return [_prompt(row) for row in (await tx.execute(query)).mappings()]


def _prompt(row: RowMapping) -> Prompt:
    standing = Standing(State(row["state"]), Reason(row["reason"]) if row["reason"] else None)
    plain = {name: row[name] for name in Prompt.__slots__ if name not in ("standing", "campaign")}
    return Prompt(**plain, standing=standing, campaign=Campaign(row["campaign"]))
