"""Table and queries of payments heard of. They are kept until no prompt can tell of them any more."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Index, Integer, String, Table, Uuid, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.payments.domain import Paid
from services.notify.tables import metadata
from shared.db import DivisionCode, insert_ignoring

payments = Table(
    "payment",
    metadata,
    Column("tranche_id", Uuid, primary_key=True),
    Column("county", DivisionCode, nullable=False),
    Column("week", String(8), nullable=False),
    Column("paid_on", Date, nullable=False),
    Column("households", Integer, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    # The trace of the payment, which goes on in the message that tells of it.
    Column("traceparent", String(55), info={"volatile": True}),
)
Index("ix_payment_week", payments.c.county, payments.c.week)


async def keep(tx: AsyncConnection, row: Mapping[str, Any]) -> None:
    """A payment, once."""
    await tx.execute(insert_ignoring(tx, payments).values(**row))


async def forget(tx: AsyncConnection, county: str, *, before: str) -> None:
    """Those of the weeks before one."""
    await tx.execute(delete(payments).where(payments.c.county == county, payments.c.week < before))


async def of_week(tx: AsyncConnection, county: str, week: str) -> Paid:
    c = payments.c
    sums = select(func.coalesce(func.sum(c.households), 0), func.coalesce(func.sum(c.amount_fen), 0))
    households, amount_fen = (await tx.execute(sums.where(c.county == county, c.week == week))).one()
    return Paid(int(households), int(amount_fen))


async def traces_of_week(tx: AsyncConnection, county: str, week: str, *, limit: int) -> list[str]:
    """The traceparents of a week's payments, the first ones."""
    c = payments.c
    query = select(c.traceparent).where(c.county == county, c.week == week, c.traceparent.is_not(None))
    return list((await tx.execute(query.order_by(c.paid_on, c.tranche_id).limit(limit))).scalars())
