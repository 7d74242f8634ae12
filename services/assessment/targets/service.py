"""Use cases of targets: enter them in bulk, list them."""

import asyncio
from typing import Any

from pydantic import ValidationError

from services.assessment.register import store as register
from services.assessment.schemes import service as schemes
from services.assessment.schemes.domain import Kind
from services.assessment.targets import store
from services.assessment.targets.schemas import ItemError, ItemResult, TargetIn, TargetOut, TargetsIn, TargetsOut
from shared.errors import FieldError, Malformed, NotFound, Refusal, Stale
from shared.http import Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.scope import Level, at_level
from shared.work import Work

CREATED, OK = 201, 200


async def enter(work: Work, order: TargetsIn) -> TargetsOut:
    """Enters the good ones of a batch, and says of each other one what is wrong with it. Source: ASM-007."""
    results = []
    for index, item in enumerate(order.items):
        results.append(await _enter_item(work, index, item))
        await asyncio.sleep(0)  # others get the loop: a batch takes some tenths of a second
    return TargetsOut(results=results)


async def list_targets(work: Work, page: PageQuery, *, year: int | None, indicator: str | None) -> Page[TargetOut]:
    after = tuple(decode_cursor(page.after, str, Small, str)) if page.after else None
    rows = await store.page(work.tx, work.area, year=year, indicator=indicator, after=after, limit=page.limit + 1)
    items, following = page_of(
        [TargetOut.model_validate(row) for row in rows],
        page.limit,
        lambda target: encode_cursor(target.division, target.year, target.indicator),
    )
    return Page(items=items, next=following)


async def _enter_item(work: Work, index: int, item: dict[str, Any]) -> ItemResult:
    """Every refusal comes before the first write, so a refused item leaves nothing behind."""
    try:
        return ItemResult(index=index, status=await _enter(work, TargetIn.model_validate(item)))
    except ValidationError as wrong:
        errors = [
            ItemError(field=".".join(map(str, e["loc"])), code=e["type"], message=e["msg"]) for e in wrong.errors()
        ]
        return ItemResult(index=index, status=Malformed.status, errors=errors)
    except Refusal as refusal:
        named = refusal.errors or (FieldError("", refusal.code, refusal.detail),)
        errors = [ItemError(field=error.field, code=error.code, message=error.message) for error in named]
        return ItemResult(index=index, status=refusal.status, errors=errors)


async def _enter(work: Work, target: TargetIn) -> int:
    if not await register.known_divisions(work.tx, [target.division], work.area):
        raise NotFound("There is no such division in your area.")
    _require_indicator(work, target)
    before = await store.find(work.tx, target.division, target.year, target.indicator, work.area)
    if (before["version"] if before else None) != target.version:
        raise Stale("Read the target and name the version you change; leave it out for a new one.")
    row = {**target.model_dump(), "actor": work.caller.subject, "at": work.now, "version": (target.version or 0) + 1}
    done = await (store.change(work.tx, row, version=before["version"]) if before else store.add(work.tx, row))
    if not done:
        raise Stale("Somebody changed it at the same time. Read it again.")
    return OK if before else CREATED


def _require_indicator(work: Work, target: TargetIn) -> None:
    county = at_level(target.division, Level.COUNTY) or target.division
    force = schemes.in_force(work, county, f"{target.year}-12")
    known = {i.key for i in force.schemes[Kind.TOWN].indicators if i.target is not None}
    if target.indicator not in known:
        raise Malformed(
            "Name an indicator that is measured against a target.",
            errors=[FieldError("indicator", "unknown_indicator", "One of: " + ", ".join(sorted(known)) + ".")],
        )
