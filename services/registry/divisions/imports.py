"""The sheet of divisions (行政区划)."""

from shared.scope import Level
from shared.sheets import Column, SheetSpec, cells

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
