"""Table and queries of payees. A row is never changed but for its end: the account a payment went to stays known.

An account lies where its household lives today, so the area is asked of the household.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Column,
    Date,
    Index,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    Uuid,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.households.store import household
from services.funds.payees.domain import Payee
from services.funds.tables import metadata
from shared import personal, pii
from shared.db import Instant, chunked, in_area
from shared.personal import AS_EVIDENCE, AS_HISTORY, ERASED, Erased
from shared.scope import Area

_KEPT = Erased(days=3653, since="ended_at")
"""Ten years after another took its place (ours): what was paid by then stands in the ledger, with the last four digits."""

payee = Table(
    "payee",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_no", String(32), nullable=False),
    Column(
        "account_name_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            "payee.account_name",
            "account holder (户名)",
            why="payment by the bank",
            kept=_KEPT,
            shown="nobody: compared on import",
        ),
    ),
    Column(
        "account_name_masked",
        String(40),
        nullable=False,
        info=personal.masked("account holder (户名)", why="lists", kept=AS_HISTORY),
    ),
    Column(
        "card_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            "payee.card",
            "bank card (银行卡号)",
            why="payment by the bank",
            kept=_KEPT,
            shown="nobody",
        ),
    ),
    Column(
        "card_last4",
        String(4),
        nullable=False,
        info=personal.masked("bank card: last four digits", why="lists, entries of the ledger", kept=AS_EVIDENCE),
    ),
    Column(
        "card_blind",
        String(64),
        nullable=False,
        info=personal.index(
            "card",
            "bank card (银行卡号)",
            why="one card is never paid for two households",
            kept=_KEPT,
            place="payee.card",
            source=lambda: _cards,
        ),
    ),
    Column("bank", String(60), nullable=False),
    Column("since", Date, nullable=False),
    Column("recorded_by", String(100), nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("ended_at", Instant),
)
_current = payee.c.ended_at.is_(None)
Index("uq_payee_household_current", payee.c.household_no, unique=True, sqlite_where=_current, postgresql_where=_current)
Index("uq_payee_card_current", payee.c.card_blind, unique=True, sqlite_where=_current, postgresql_where=_current)

_cards: Select[Any] = select(
    payee.c.id.label("key"),
    payee.c.id.label("row"),
    payee.c.card_sealed.label("sealed"),
    payee.c.card_blind.label("old"),
).where(payee.c.card_sealed != ERASED)

_SAME = (
    payee.c.id,
    payee.c.household_no,
    payee.c.card_blind,
    payee.c.bank,
    payee.c.account_name_sealed,
    payee.c.card_sealed,
)


def _of(area: Area, *columns: Any) -> Select[Any]:
    """Present accounts of the households that live in the area."""
    at_home = household.c.household_no == payee.c.household_no
    return (
        select(*columns)
        .select_from(payee)
        .join(household, at_home)
        .where(_current, in_area(household.c.division, area))
    )


async def current(tx: AsyncConnection, household_nos: Sequence[str], area: Area) -> dict[str, Payee]:
    """Household number → its account today, for those in the area that have one."""
    query = _of(
        area,
        payee.c.household_no,
        payee.c.account_name_masked.label("name_masked"),
        payee.c.card_last4,
        payee.c.card_blind,
    )
    rows = chunked(tx, query, payee.c.household_no, household_nos)
    return {row["household_no"]: Payee(**row) async for row in rows}


async def entered_by(tx: AsyncConnection, household_nos: Sequence[str], area: Area) -> set[str]:
    """Who entered the present accounts of these households."""
    query = _of(area, payee.c.household_no, payee.c.recorded_by)
    return {row["recorded_by"] async for row in chunked(tx, query, payee.c.household_no, household_nos)}


async def to_compare(tx: AsyncConnection, household_nos: Sequence[str], area: Area) -> dict[str, RowMapping]:
    """Household number → what tells whether an imported row changes its account."""
    rows = chunked(tx, _of(area, *_SAME), payee.c.household_no, household_nos)
    return {row["household_no"]: row async for row in rows}


async def holders(tx: AsyncConnection, card_blinds: Sequence[str]) -> dict[str, str]:
    """Blind index of a card → the household that has it, wherever that is: a card is taken for everybody.

    It answers only whether, never to the caller whose.
    """
    query = select(payee.c.card_blind, payee.c.household_no).where(_current)
    asked = pii.forms(card_blinds)
    return {
        asked[row["card_blind"]]: row["household_no"] async for row in chunked(tx, query, payee.c.card_blind, asked)
    }


async def replace(tx: AsyncConnection, rows: Sequence[dict[str, Any]], *, at: datetime) -> None:
    """Ends the present accounts of these households, then enters the new ones: a card may pass from one to another."""
    if rows:
        ended = update(payee).where(payee.c.household_no == bindparam("ending"), _current).values(ended_at=at)
        await tx.execute(ended, [{"ending": number} for number in sorted(row["household_no"] for row in rows)])
        await tx.execute(insert(payee), rows)


async def page(
    tx: AsyncConnection, area: Area, *, within: Area | None, household_no: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Present accounts of the area by household number, above `after`."""
    query = _of(area, payee, household.c.division).order_by(payee.c.household_no).limit(limit)
    if within is not None:
        query = query.where(in_area(household.c.division, within))
    if household_no is not None:
        query = query.where(payee.c.household_no == household_no)
    if after is not None:
        query = query.where(payee.c.household_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def new_row(
    *, id_: UUID, household_no: str, name: tuple[str, str], card: tuple[str, str, str], bank: str, since: date,
    recorded_by: str, recorded_at: datetime,
) -> dict[str, Any]:  # fmt: skip
    """A row to enter. `name`: sealed and masked; `card`: sealed, last four digits, blind index."""
    return {
        "id": id_,
        "household_no": household_no,
        "account_name_sealed": name[0],
        "account_name_masked": name[1],
        "card_sealed": card[0],
        "card_last4": card[1],
        "card_blind": card[2],
        "bank": bank,
        "since": since,
        "recorded_by": recorded_by,
        "recorded_at": recorded_at,
    }
