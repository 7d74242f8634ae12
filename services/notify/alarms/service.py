"""Use cases of alarms: raise, list, acknowledge."""

from typing import Any
from uuid import UUID

from services.notify.alarms import store
from services.notify.alarms.domain import AlarmKind, words
from services.notify.alarms.schemas import AlarmOut
from shared.errors import NotFound
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.work import Work


async def raise_alarm(work: Work, kind: AlarmKind, subject: str, *, division: str, **facts: Any) -> None:
    """Puts something before the office's eyes, once a kind and subject. `facts` fill the words of the kind."""
    await store.add(work.tx, kind=kind, subject=subject, division=division, facts=facts, at=work.now)


async def list_alarms(work: Work, page: PageQuery, *, only_open: bool) -> Page[AlarmOut]:
    after = tuple(decode_cursor(page.after, str, str)) if page.after else None
    rows = await store.page(work.tx, work.area, only_open=only_open, after=after, limit=page.limit + 1)
    items, following = page_of(
        [_out(row) for row in rows], page.limit, lambda alarm: encode_cursor(alarm.kind, alarm.subject)
    )
    return Page(items=items, next=following)


async def acknowledge(work: Work, alarm_id: UUID) -> AlarmOut:
    """Somebody has seen it (已阅). Raises NotFound."""
    await store.mark_seen(work.tx, alarm_id, work.area, by=work.caller.subject, at=work.now)
    row = await store.find(work.tx, alarm_id, work.area)
    if row is None:
        raise NotFound("There is no such alarm in your area.")
    return _out(row)


def _out(row: dict[str, Any]) -> AlarmOut:
    zh, en = words(AlarmKind(row["kind"]), row["facts"])
    return AlarmOut.model_validate({**row, "zh": zh, "en": en})
