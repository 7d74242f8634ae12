"""Divisions (行政区划): read in the caller's area, entered by import."""

from collections.abc import Sequence
from typing import Any

from services.registry.divisions import domain, store
from services.registry.divisions.imports import DIVISIONS
from services.registry.divisions.schemas import DivisionOut
from services.registry.imports.kinds import REGISTRARS, ImportKind, Prepared, Tally
from shared.events.registry import DivisionRecorded
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.scope import Level, is_division
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work


async def list_divisions(
    work: Work, paging: PageQuery, *, level: Level | None, parent: str | None
) -> Page[DivisionOut]:
    """Divisions of the caller's area by code."""
    after = decode_cursor(paging.after, str)[0] if paging.after else None
    rows = await store.page(work.tx, work.area, level=level, parent=parent, after=after, limit=paging.limit)
    shown, following = page_of(rows, paging.limit, lambda row: encode_cursor(row["code"]))
    return Page(items=[DivisionOut(**row) for row in shown], next=following)


async def show(work: Work, code: str) -> DivisionOut:
    """Raises DivisionUnknown."""
    row = await store.find(work.tx, code, work.area)
    if row is None:
        raise domain.DivisionUnknown("There is no such division in your area.")
    return DivisionOut(**row)


async def villages_in_use(work: Work) -> frozenset[str]:
    """Codes of the villages of the caller's area that are in use today."""
    rows = await store.in_their_area(work.tx, work.area)
    return frozenset(
        row["code"]
        for row in rows
        if row["level"] == Level.VILLAGE and domain.in_use(row["valid_from"], row["valid_to"], work.today)
    )


async def require_village(work: Work, code: str) -> None:
    """Raises DivisionUnknown unless it is a village of the caller's area that is in use today."""
    row = await store.find(work.tx, code, work.area)
    if (
        row is None
        or row["level"] != Level.VILLAGE
        or not domain.in_use(row["valid_from"], row["valid_to"], work.today)
    ):
        raise domain.DivisionUnknown(
            "There is no such village in your area. Import the divisions first, or correct the code."
        )


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows of a file of divisions: levels, parents (in the file or here already), the caller's area."""
    checked = sheets[0]
    assert checked is not None
    codes = {row.values["code"] for row in checked.valid}
    parents = {row.values["parent"] for row in checked.valid if row.values["parent"]}
    known = {row["code"]: row for row in await store.with_codes(work.tx, sorted(codes | parents))}
    checked = checked.without(
        [error for row in checked.valid if (error := _judge(work, checked, row, codes | set(known)))]
    )

    async def write() -> Tally:
        return await _write(work, checked.valid, known)

    return Prepared((checked,), write)


KIND = ImportKind("divisions", "行政区划", (DIVISIONS,), prepare, REGISTRARS)


def _judge(work: Work, checked: Checked, row: ValidRow, known: set[str]) -> RowError | None:
    code, level, parent = row.values["code"], row.values["level"], row.values["parent"]
    if not domain.may_record(code, work.area):
        return checked.error(row, "code", "outside_area", "不在本辖区。", "Outside your area.")
    if not domain.level_fits(code, level):
        return checked.error(row, "level", "wrong_level", "级别与代码不符。", "The level does not fit the code.")
    if not domain.parent_fits(code, parent):
        return checked.error(
            row, "parent", "wrong_parent", "上级代码与代码不符。", "The code does not lie in this parent."
        )
    if parent and parent not in known:
        return checked.error(row, "parent", "parent_unknown", "上级不存在。", "The parent is unknown.")
    if any(not is_division(old) for old in _predecessors(row)):
        return checked.error(row, "predecessors", "bad_division", "应为 12 位代码。", "Fill in 12-digit codes.")
    return None


async def _write(work: Work, rows: Sequence[ValidRow], known: dict[str, Any]) -> Tally:
    fresh: list[dict[str, Any]] = []
    changed = unchanged = 0
    for row in rows:
        values = {**row.values, "predecessors": _predecessors(row)}
        before = known.get(values["code"])
        if before is None:
            values["version"] = 1
            fresh.append(values)
        elif all(before[key] == value for key, value in values.items()):
            unchanged += 1
            continue
        else:
            values["version"] = before["version"] + 1
            await store.change(work.tx, values["code"], values)
            changed += 1
        work.record(
            DivisionRecorded(
                code=values["code"], name=values["name"], level=Level(values["level"]), parent=values["parent"]
            ),
            division=values["code"],
            version=values["version"],
        )
    await store.add(work.tx, fresh)
    return Tally(created=len(fresh), changed=changed, unchanged=unchanged)


def _predecessors(row: ValidRow) -> list[str]:
    return (row.values["predecessors"] or "").split()
