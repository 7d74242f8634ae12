"""The sheet of divisions (行政区划) and its import kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.registry.divisions import domain, store
from services.registry.roles import REGISTRARS
from shared.events.registry import DivisionRecorded
from shared.imports.kinds import ImportKind, Prepared, Tally, only
from shared.scope import Level, is_division
from shared.sheets import Checked, Column, RowError, SheetSpec, ValidRow, cells
from shared.work import Work

LEVEL_WORDS = {
    "province": Level.PROVINCE.value,
    "city": Level.CITY.value,
    "county": Level.COUNTY.value,
    "town": Level.TOWN.value,
    "village": Level.VILLAGE.value,
    "省": Level.PROVINCE.value,
    "市": Level.CITY.value,
    "县": Level.COUNTY.value,
    "镇": Level.TOWN.value,
    "乡": Level.TOWN.value,
    "街道": Level.TOWN.value,
    "村": Level.VILLAGE.value,
    "社区": Level.VILLAGE.value,
}

DIVISIONS = SheetSpec(
    "divisions",
    "行政区划",
    (
        Column("code", ("行政区划代码", "code"), cells.division(), help="12 位"),
        Column("name", ("名称", "name"), cells.text(100), fold=False),
        Column("level", ("级别", "level"), cells.one_of(LEVEL_WORDS), choices=("省", "市", "县", "镇", "村")),
        Column("parent", ("上级代码", "parent"), cells.division(), required=False, help="省级留空"),
        Column("valid_from", ("启用日期", "valid from"), cells.day, required=False),
        Column("valid_to", ("停用日期", "valid to"), cells.day, required=False),
        Column(
            "predecessors", ("原代码", "predecessors"), cells.text(200), required=False, help="撤并前的代码，用空格隔开"
        ),
    ),
    unique=(("code",),),
)


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows of a file of divisions: levels, parents (in the file or here already), the caller's area."""
    checked = only(sheets)
    codes = {row.values["code"] for row in checked.valid}
    parents = {row.values["parent"] for row in checked.valid if row.values["parent"]}
    known = {row["code"]: row for row in await store.with_codes(work.tx, codes | parents)}
    checked = checked.without([error for row in checked.valid if (error := _judge(work, checked, row, codes, known))])

    async def write() -> Tally:
        return await _write(work, checked.valid, known)

    return Prepared((checked,), write)


KIND = ImportKind("divisions", (DIVISIONS,), prepare, REGISTRARS)


def _judge(
    work: Work, checked: Checked, row: ValidRow, codes: set[str], known: Mapping[str, Mapping[Any, Any]]
) -> RowError | None:
    code, level, parent = row.values["code"], row.values["level"], row.values["parent"]
    if not domain.may_record(code, work.area):
        return checked.error(row, "code", "outside_area", "不在本辖区。", "Outside your area.")
    before = known.get(code)
    if before is not None and not domain.may_change(code, work.area) and not _stands(before, row):
        return checked.error(
            row,
            "code",
            "above_area",
            "上级区划已登记，本级不得修改。",
            "It lies above your area and is recorded already.",
        )
    if not domain.level_fits(code, level):
        return checked.error(row, "level", "wrong_level", "级别与代码不符。", "The level does not fit the code.")
    if not domain.parent_fits(code, parent):
        return checked.error(
            row, "parent", "wrong_parent", "上级代码与代码不符。", "The code does not lie in this parent."
        )
    if parent and parent not in codes and parent not in known:
        return checked.error(row, "parent", "parent_unknown", "上级不存在。", "The parent is unknown.")
    if any(not is_division(old) for old in _predecessors(row)):
        return checked.error(row, "predecessors", "bad_division", "应为 12 位代码。", "Fill in 12-digit codes.")
    return None


async def _write(work: Work, rows: Sequence[ValidRow], known: dict[str, Any]) -> Tally:
    fresh: list[dict[str, Any]] = []
    changed = unchanged = 0
    for row in rows:
        values = _values(row)
        before = known.get(values["code"])
        if before is None:
            values["version"] = 1
            fresh.append(values)
        elif _stands(before, row):
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


def _stands(before: Mapping[Any, Any], row: ValidRow) -> bool:
    """Whether the row says what is recorded already."""
    return all(before[key] == value for key, value in _values(row).items())


def _values(row: ValidRow) -> dict[str, Any]:
    return {**row.values, "predecessors": _predecessors(row)}


def _predecessors(row: ValidRow) -> list[str]:
    return (row.values["predecessors"] or "").split()
