"""Table and queries of decisions. `subject` is `project:<id>` or `tranche:<id>`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Date, Integer, String, Table, UniqueConstraint, Uuid, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.approvals.domain import BOUND, Decision, Verdict
from services.funds.ledger.domain import row_digest
from services.funds.tables import metadata
from shared import personal
from shared.append_only import protect
from shared.db import DivisionCode, Instant, in_area, insert_ignoring
from shared.scope import Area

decision = Table(
    "decision",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("subject", String(64), nullable=False),
    Column("division", DivisionCode, nullable=False),
    Column("place", Integer, nullable=False),  # 0, 1, … in the order taken: instants may be equal
    Column("act", String(32), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("decider", String(100), nullable=False),
    Column(
        "reason",
        String(500),
        nullable=False,
        info=personal.plain("what people write", why="why it was decided so", kept=personal.AS_EVIDENCE),
    ),
    Column("decided_on", Date, nullable=False),
    Column("decided_at", Instant, nullable=False),
    UniqueConstraint("subject", "act"),
    UniqueConstraint("subject", "place"),
)
protect(decision)


async def add(
    tx: AsyncConnection, *, subject: str, division: str, place: int, taken: Decision, reason: str, decided_at: datetime
) -> bool:
    """False when somebody else took this act, or this place in the chain, first."""
    row = {
        "id": taken.id,
        "subject": subject,
        "division": division,
        "place": place,
        "act": taken.act,
        "verdict": taken.verdict.value,
        "decider": taken.decider,
        "reason": reason,
        "decided_on": taken.decided_on,
        "decided_at": decided_at,
    }
    return bool((await tx.execute(insert_ignoring(tx, decision), row)).rowcount)


async def rows_of(tx: AsyncConnection, subjects: Sequence[str], area: Area) -> dict[str, list[dict[str, Any]]]:
    """Subject → its decisions in the order they were taken, within the area."""
    query = (
        select(decision)
        .where(decision.c.subject.in_(subjects), in_area(decision.c.division, area))
        .order_by(decision.c.subject, decision.c.place)
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in (await tx.execute(query)).mappings():
        found[row["subject"]].append(dict(row))
    return found


def as_decision(row: dict[str, Any]) -> Decision:
    verdict, digest = Verdict(row["verdict"]), row_digest(row, BOUND)
    return Decision(row["id"], row["act"], verdict, row["decider"], row["decided_on"], digest)
