"""Mandates (授权) as every service knows them: who acts for whom in his absence (代理), and which audits are open (审计项目).

The registry gives and ends them (services/registry/mandates); each service keeps what it hears of them beside its own tables, so
that no request waits for another service. Who sends no `Daohu-Acting-For` and is no auditor pays nothing for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.types import Scope

from shared.clock import business_date
from shared.consumer import Handler
from shared.db import upsert
from shared.errors import Forbidden, Malformed
from shared.events.base import Envelope
from shared.events.registry import MandateKind, MandateRecorded
from shared.roles import FOR, NEVER_LENT, Caller, Role, is_subject
from shared.scope import Area
from shared.tables import mandate
from shared.work import Work

ACTING_FOR = b"daohu-acting-for"
"""The header of a request that somebody makes for another: the other's subject, UTF-8 in percent-encoding where it is not ASCII."""

ENGAGEMENT = b"daohu-engagement"
"""The header of an auditor with several engagements: the id of the one he reads under."""


class NoMandate(Forbidden):
    code = "no_mandate"


class NoEngagement(Forbidden):
    code = "no_engagement"


class AuditorReadsOnly(Forbidden):
    code = "auditor_reads_only"


class EngagementUnclear(Malformed):
    code = "engagement_unclear"


@dataclass(frozen=True, slots=True)
class Mandate:
    """What a holder has by a mandate that is in force."""

    id: UUID
    roles: frozenset[Role]
    divisions: tuple[str, ...]


# What is known


async def hear(work: Work, heard: Sequence[tuple[MandateRecorded, Envelope]]) -> None:
    """Keeps each mandate as it is now; an older version than the kept one is no news."""
    for event, envelope in heard:
        await keep(work.tx, event, envelope.aggregate_version)


HANDLER = Handler(MandateRecorded, batch=hear)


async def keep(tx: AsyncConnection, event: MandateRecorded, version: int) -> None:
    """A row for each holder."""
    known = event.model_dump(include={"absent", "roles", "divisions", "since", "until", "ended_at"})
    rows = [
        {**known, "id": event.mandate_id, "holder": holder, "kind": event.kind.value, "version": version}
        for holder in event.holders
    ]
    await tx.execute(upsert(tx, mandate, keys=("id", "holder"), forward="version"), rows)


async def in_force(
    tx: AsyncConnection, holder: str, kind: MandateKind, now: datetime, *, absent: str | None = None
) -> list[Mandate]:
    """The mandates that a person holds at an instant: first and last day are days in the county. The oldest first."""
    m, today = mandate.c, business_date(now)
    query = select(m.id, m.roles, m.divisions).where(
        m.holder == holder,
        m.kind == kind.value,
        m.since <= today,
        m.until >= today,
        or_(m.ended_at.is_(None), m.ended_at > now),
    )
    if absent is not None:
        query = query.where(m.absent == absent)
    known = set(Role)
    return [
        Mandate(row.id, frozenset(Role(role) for role in row.roles if role in known), tuple(row.divisions))
        for row in await tx.execute(query.order_by(m.id))
    ]


# What it allows


def header(scope: Scope, name: bytes) -> str | None:
    """What a request says in this header. Raises Malformed when it says it twice."""
    sent = [value for key, value in scope["headers"] if key == name]
    if len(sent) > 1:
        raise Malformed(f"Send the header {name.decode()} once.")
    return unquote(sent[0].decode("latin-1")) if sent else None


async def stand_in(request: Request) -> None:
    """Makes the caller of a request whom he says he acts for, if he may. Raises NoMandate, AuditorReadsOnly, Malformed."""
    caller: Caller | None = getattr(request.state, "caller", None)
    absent = header(request.scope, ACTING_FOR)
    if caller is not None and absent is not None:
        service = request.app.state.service
        async with service.database.read() as tx:
            request.state.caller = await acting(tx, caller, absent, service.clock.now())


async def acting(tx: AsyncConnection, caller: Caller, absent: str, now: datetime) -> Caller:
    """Who acts for another: exactly the roles and divisions lent to him, both names on record. Raises NoMandate, AuditorReadsOnly.

    It goes by the token's own subject, and what is lent is no role of a token: who acts for somebody lends nothing on.
    """
    if caller.has(Role.AUDITOR):
        raise AuditorReadsOnly("Who audits acts for nobody. Leave the header Daohu-Acting-For out.")
    named = is_subject(absent)  # what is nobody's name may hold what no database keeps
    held = await in_force(tx, caller.subject, MandateKind.ACTING, now, absent=absent) if named else []
    if not held:
        raise NoMandate(
            "You hold no mandate to act for this person today. He or the county administrator gives one: "
            "POST /registry/v1/mandates."
        )
    if len(held) > 1:
        raise NoMandate(
            "You hold several mandates to act for this person today. Let all but one be ended: "
            "POST /registry/v1/mandates/{id}/endings.",
            mandates=[str(one.id) for one in held],
        )
    [lent] = held
    return Caller(
        subject=f"{caller.subject}{FOR}{absent}",
        client=caller.client,
        roles=lent.roles - NEVER_LENT,
        divisions=lent.divisions,
        area=Area.of(lent.divisions),
    )


async def engaged(tx: AsyncConnection, caller: Caller, named: str | None, now: datetime) -> tuple[Caller, UUID]:
    """The auditor as his engagement makes him, and its id: a reader of what lies in it and in his token's area.

    `named`: the engagement he names, if he does. Raises NoEngagement, EngagementUnclear.
    """
    open_ones = {
        str(one.id): (one, area)
        for one in await in_force(tx, caller.subject, MandateKind.AUDIT, now)
        if (area := caller.area.within(Area.of(one.divisions))).prefixes
    }
    if named is not None:
        open_ones = {id: found for id, found in open_ones.items() if id == named}
    if not open_ones:
        raise NoEngagement(
            "No audit of yours is open today in your area. The county administrator or a county leader opens one: "
            "POST /registry/v1/engagements."
        )
    if len(open_ones) > 1:
        raise EngagementUnclear(
            "Several audits of yours are open today: say in the header Daohu-Engagement under which of them you read.",
            engagements=list(open_ones),
        )
    [(engagement, area)] = open_ones.values()
    return replace(caller, roles=frozenset({Role.AUDITOR}), area=area), engagement.id
