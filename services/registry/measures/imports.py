"""The sheet of measures (帮扶措施) and its import kind."""

from collections.abc import Sequence

from services.registry.measures import service
from services.registry.measures.domain import FIRST_YEAR, Order
from services.registry.measures.service import BulkRow
from services.registry.roles import HELPERS
from services.registry.texts import open_cell
from shared.imports.kinds import ImportKind, Prepared, Tally, only
from shared.sheets import Checked, Column, SheetSpec, cells
from shared.work import Work

LAST_YEAR = 2100
MAX_PERSONS = 100
MAX_REMARK = 200


MEASURES = SheetSpec(
    "measures",
    "帮扶措施",
    (
        Column("household_no", ("户编号", "household no", "aac001"), cells.business_no()),
        Column("pathway", ("脱贫路径", "pathway"), cells.text(40), help="名称或代码，如 产业扶持"),
        Column(
            "sub", ("子类", "sub-category"), cells.text(40), required=False, fold=False, help="名称或代码，无子类的留空"
        ),
        Column("scope", ("统计口径", "scope"), cells.text(40), required=False, help="留空为该路径的默认口径"),
        Column("year", ("年度", "year"), cells.whole(FIRST_YEAR, LAST_YEAR)),
        Column(
            "persons",
            ("人数", "persons"),
            cells.whole(1, MAX_PERSONS),
            required=False,
            help="只在按人头统计的子类填写（如护林员）",
        ),
        Column("started_on", ("开始日期", "started on"), cells.day, help="如 2016-03-01"),
        Column("valid_until", ("有效期至", "valid until"), cells.day, required=False),
        Column("remark", ("备注", "remark"), open_cell(MAX_REMARK), required=False, fold=False),
    ),
)

_SAID = {
    "household_unknown": ("household_no", "本辖区内没有此户编号。"),
    "wrong_status": ("household_no", "该户尚在识别中，纳入后才能登记帮扶措施。"),
    "pathway_unknown": ("pathway", "不是本县的脱贫路径。"),
    "scope_unknown": ("scope", "该路径没有此统计口径。"),
    "sub_unknown": ("sub", "不是该路径的子类，或缺少子类。"),
    "year_out_of_range": ("year", "年度超出范围。"),
    "dates_cross": ("started_on", "应在该年度内或之前开始，且不晚于有效期。"),
    "persons_wrong": ("persons", "只有按人头统计的子类填写人数，且不超过家庭人口。"),
    "measure_given": ("sub", "该户已有此措施，内容不同；请先终止原措施。"),
    "repeated_in_file": ("sub", "本文件中另一行已给该户同一措施。"),
    "sub_disjoint": ("sub", "该户在此路径只能计入一个子类，已有其他子类。"),
}
"""Refusal → the column it stands at, and the remedy in Chinese; the refusal itself has the English one."""


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows against the households, their measures and the pack's catalogue. Changes nothing yet."""
    checked = only(sheets)
    rows = [
        BulkRow(
            row.number,
            row.values["household_no"],
            Order(
                pathway=row.values["pathway"],
                sub=row.values["sub"] or "",
                scope=row.values["scope"] or "",
                year=row.values["year"],
                persons=row.values["persons"],
                started_on=row.values["started_on"],
                valid_until=row.values["valid_until"],
            ),
            row.values["remark"],
        )
        for row in checked.valid
    ]
    judged = await service.judge_measures(work, rows)
    errors = []
    for row in checked.valid:
        if refusal := judged.refused.get(row.number):
            key, zh = _SAID[refusal.code]
            errors.append(checked.error(row, key, refusal.code, zh, refusal.detail))

    async def write() -> Tally:
        await service.give_judged(work, judged.fresh)
        return Tally(created=len(judged.fresh), unchanged=judged.unchanged)

    return Prepared((checked.without(errors),), write)


KIND = ImportKind("measures", (MEASURES,), prepare, HELPERS)
