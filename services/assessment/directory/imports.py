"""The sheet of the directory (干部名录): what its columns mean."""

from services.assessment.directory.domain import LEVELS, WORDS, PostKind, fits
from shared.scope import Level
from shared.sheets import CellError, Checked, Column, RowError, SheetSpec, ValidRow, cells


def person_name(cell: str) -> str:
    """A person's name. Raises CellError."""
    if len(cell) > 40 or any(character.isdigit() for character in cell):
        raise CellError("bad_name", "应为姓名，最多 40 个字。", "Fill in a person's name, at most 40 characters.")
    return cell


DIRECTORY = SheetSpec(
    name="directory",
    title="干部名录",
    columns=(
        Column(
            "cadre_no", ("干部编号", "cadre_no", "cadre number"), cells.business_no(), help="县里自编，不用身份证号"
        ),
        Column("name", ("姓名", "name"), person_name, fold=False),
        Column(
            "post",
            ("职务类别", "岗位", "post"),
            cells.one_of({WORDS[post]: post for post in PostKind} | {post: post for post in PostKind}),
            choices=tuple(WORDS.values()),
        ),
        Column("title", ("职务", "职务名称", "title"), cells.text(100), required=False),
        Column("unit", ("单位", "unit"), cells.text(100)),
        Column(
            "division",
            ("行政区划代码", "区划代码", "division"),
            cells.division(Level.COUNTY, Level.TOWN, Level.VILLAGE),
            help="12 位；第一书记和结对干部填所包村",
        ),
        Column("since", ("任职日期", "since"), cells.day),
    ),
    unique=(("cadre_no", "post", "unit", "since"),),
)


def level_error(checked: Checked, row: ValidRow) -> RowError | None:
    """The division of a row must be of the level its post belongs to."""
    post = PostKind(row.values["post"])
    if fits(post, row.values["division"]):
        return None
    zh = {Level.COUNTY: "县", Level.TOWN: "镇", Level.VILLAGE: "村"}[LEVELS[post]]
    return checked.error(
        row,
        "division",
        "wrong_level",
        f"此职务应填{zh}级区划代码。",
        f"This post belongs to a division of the level {LEVELS[post]}.",
    )
