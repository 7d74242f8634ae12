"""Use cases of mandates: give one, open an audit, end either, read them."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from services.registry.mandates import domain, store
from services.registry.mandates.schemas import (
    EndingIn,
    EndingOut,
    EngagementIn,
    EngagementOut,
    MandateIn,
    MandateOut,
)
from shared import mandates
from shared.db import in_line
from shared.events.registry import MandateKind, MandateRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.roles import Role
from shared.scope import Area
from shared.work import Work

OVERVIEW = frozenset({Role.COUNTY_ADMIN, Role.COUNTY_LEADER, Role.DISCIPLINE, Role.AUDITOR})
"""Who sees all mandates of his area; others see those to which they are party."""


async def give(work: Work, order: MandateIn) -> MandateOut:
    """Raises MandateChained, MandateToOneself, RoleNeverLent, NotToLend, PeriodPast, PeriodTooLong, MandateThere, PolicyMissing."""
    domain.require_lender(
        work.caller, holder=order.holder, absent=order.absent, roles=order.roles, divisions=order.divisions
    )
    _require_period(work, order, "registry.mandate_max_days")
    await in_line(work.tx, f"mandate {order.holder}")
    there = await store.periods(work.tx, order.holder, order.absent)
    domain.require_alone(there, since=order.since, until=order.until)
    roles = sorted({role.value for role in order.roles})
    row = await _keep(work, MandateKind.ACTING, order, holders=[order.holder], absent=order.absent, roles=roles)
    return _mandate(row)


async def open_engagement(work: Work, order: EngagementIn) -> EngagementOut:
    """Raises MandateChained, NotToLend (a division outside the caller's area), PeriodPast, PeriodTooLong, PolicyMissing."""
    domain.require_himself(work.caller)
    domain.require_area(work.caller, order.divisions)
    _require_period(work, order, "registry.engagement_max_days")
    row = await _keep(
        work, MandateKind.AUDIT, order, holders=order.auditors, roles=[Role.AUDITOR.value], object=order.object
    )
    return _engagement(row)


async def end(work: Work, id: UUID, order: EndingIn) -> MandateOut:
    """Ends a mandate at once. Raises MandateUnknown, MandateChained, NotToEnd, MandateEnded."""
    row = await _found(work, id, MandateKind.ACTING)
    domain.require_ender(work.caller, people=(row["holder"], row["absent"]))
    return _mandate(await _end(work, row, order))


async def close_engagement(work: Work, id: UUID, order: EndingIn) -> EngagementOut:
    """Closes an audit before its last day. Raises MandateUnknown, MandateChained, MandateEnded."""
    domain.require_himself(work.caller)
    return _engagement(await _end(work, await _found(work, id, MandateKind.AUDIT), order))


async def show(work: Work, id: UUID) -> MandateOut:
    """Raises MandateUnknown."""
    return _mandate(await _found(work, id, MandateKind.ACTING))


async def show_engagement(work: Work, id: UUID) -> EngagementOut:
    """Raises MandateUnknown."""
    return _engagement(await _found(work, id, MandateKind.AUDIT))


async def list_mandates(work: Work, paging: PageQuery, *, on: date | None) -> Page[MandateOut]:
    rows, following = await _page(work, paging, MandateKind.ACTING, on)
    return Page(items=[_mandate(row) for row in rows], next=following)


async def list_engagements(work: Work, paging: PageQuery, *, on: date | None) -> Page[EngagementOut]:
    rows, following = await _page(work, paging, MandateKind.AUDIT, on)
    return Page(items=[_engagement(row) for row in rows], next=following)


def _require_period(work: Work, order: MandateIn | EngagementIn, key: str) -> None:
    division = Area.of(order.divisions).narrowest
    max_days: int = work.policies.value(key, division, work.today)
    domain.require_period(order.since, order.until, today=work.today, max_days=max_days)


async def _keep(
    work: Work,
    kind: MandateKind,
    order: MandateIn | EngagementIn,
    *,
    holders: list[str],
    roles: list[str],
    absent: str | None = None,
    object: str | None = None,
) -> dict[str, Any]:
    row = {
        **order.model_dump(include={"divisions", "since", "until", "reason"}),
        "id": new_id(),
        "kind": kind.value,
        "holder": holders[0],
        "holders": holders,
        "absent": absent,
        "roles": roles,
        "division": Area.of(order.divisions).narrowest,
        "object": object,
        "given_by": work.caller.subject,
        "given_at": work.now,
    }
    await store.add(work.tx, row)
    await _tell(work, row, version=1)
    return row


async def _end(work: Work, row: Mapping[str, Any], order: EndingIn) -> dict[str, Any]:
    if row["ended_at"] is not None:
        raise domain.MandateEnded("It was ended before. Nothing is left to end.")
    ended = {"reason": order.reason, "ended_by": work.caller.subject, "ended_at": work.now}
    await store.end(work.tx, {"mandate_id": row["id"], **ended})
    after = {**row, "ended_at": work.now, "ended_by": work.caller.subject, "ending_reason": order.reason}
    await _tell(work, after, version=2)
    return after


async def _tell(work: Work, row: Mapping[str, Any], *, version: int) -> None:
    """For this service at once, for the others by an event."""
    event = MandateRecorded(
        mandate_id=row["id"],
        ended_at=row.get("ended_at"),
        **{name: row[name] for name in ("kind", "holders", "absent", "roles", "divisions", "since", "until")},
    )
    await mandates.keep(work.tx, event, version)
    work.record(event, division=row["division"], version=version)


async def _found(work: Work, id: UUID, kind: MandateKind) -> dict[str, Any]:
    row = await store.find(work.tx, id, kind, _overseen(work, kind), parties=work.caller.persons)
    if row is None:
        raise domain.MandateUnknown("There is no such mandate in your area.")
    return row


async def _page(
    work: Work, paging: PageQuery, kind: MandateKind, on: date | None
) -> tuple[list[dict[str, Any]], str | None]:
    after = decode_cursor(paging.after, UUID)[0] if paging.after else None
    area, parties = _overseen(work, kind), work.caller.persons
    rows = await store.page(work.tx, kind, area, parties=parties, on=on, after=after, limit=paging.limit)
    return page_of(rows, paging.limit, lambda row: encode_cursor(row["id"]))


def _overseen(work: Work, kind: MandateKind) -> Area:
    """Where the caller may see the mandates of others."""
    return work.area if kind is MandateKind.AUDIT or work.caller.has(*OVERVIEW) else Area(())


def _mandate(row: Mapping[str, Any]) -> MandateOut:
    return MandateOut(**{key: row[key] for key in MandateOut.model_fields if key in row}, ending=_ending(row))


def _engagement(row: Mapping[str, Any]) -> EngagementOut:
    fields = {key: row[key] for key in EngagementOut.model_fields if key in row}
    return EngagementOut(**fields, auditors=row["holders"], ending=_ending(row))


def _ending(row: Mapping[str, Any]) -> EndingOut | None:
    if row.get("ended_at") is None:
        return None
    return EndingOut(ended_at=row["ended_at"], ended_by=row["ended_by"], reason=row["ending_reason"])
