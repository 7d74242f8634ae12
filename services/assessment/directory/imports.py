"""The sheet of the directory (干部名录) and its import kind."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from services.assessment.directory import service, store
from services.assessment.directory.domain import LEVELS, WORDS, Appointment, PostKind, fits
from services.assessment.directory.store import Cadre
from services.assessment.register import store as register
from shared.ids import new_id
from shared.imports.kinds import ImportKind, Prepared, Tally, only
from shared.roles import Role
from shared.scope import EVERYWHERE, Level
from shared.sheets import CellError, Checked, Column, RowError, SheetSpec, ValidRow, cells
from shared.work import Work


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


async def prepare(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """Judges the rows against the divisions and the cadres that are known. Changes nothing yet.

    A post is known by cadre number, kind, unit and first day; such a row again corrects its title, division and the name.
    """
    checked = only(sheets)
    checked = checked.without(await _refused(work, checked))

    async def write() -> Tally:
        return await _write(work, checked.valid)

    return Prepared((checked,), write)


KIND = ImportKind("directory", (DIRECTORY,), prepare, (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE))


async def _write(work: Work, rows: list[ValidRow]) -> Tally:
    numbers = [row.values["cadre_no"] for row in rows]
    known = await store.cadres_of(work.tx, numbers, work.area)
    held = {a.identity: (id, a) for id, a in await store.appointments_of(work.tx, numbers, work.area)}
    cadres = _new_or_renamed(work, rows, known)
    posts = _new_or_corrected(rows, held)
    renamed = {cadre.cadre_no for cadre in cadres}
    moved = {appointment.cadre_no for _, appointment in posts} - renamed
    cadres += [replace(known[number], version=known[number].version + 1) for number in sorted(moved)]
    await store.keep_cadres(work.tx, cadres)
    await store.keep_appointments(work.tx, posts, at=work.now)
    versions = {cadre.cadre_no: cadre.version for cadre in cadres}
    for _, appointment in posts:
        service.announce(work, appointment, versions[appointment.cadre_no])
    different = {appointment.identity for _, appointment in posts}
    identities = [_appointment(row).identity for row in rows]
    created = sum(identity not in held for identity in identities)
    unchanged = sum(identity not in different and identity[0] not in renamed for identity in identities)
    return Tally(created, len(rows) - created - unchanged, unchanged)


async def _refused(work: Work, checked: Checked) -> list[RowError]:
    """Good rows that the database refuses."""
    numbers = [row.values["cadre_no"] for row in checked.valid]
    divisions = await register.known_divisions(work.tx, [row.values["division"] for row in checked.valid], work.area)
    ours = await store.cadres_of(work.tx, numbers, work.area)
    elsewhere = await store.numbers_taken(work.tx, numbers) - set(ours)
    posts = await store.appointments_of(work.tx, numbers, EVERYWHERE)
    held_elsewhere = {post.identity for _, post in posts if not work.area.covers(post.division)}
    errors: list[RowError] = []
    named: dict[str, str] = {}
    for row in checked.valid:
        number, name, division = row.values["cadre_no"], row.values["name"], row.values["division"]
        if division not in divisions:
            zh, en = "本辖区没有此区划。", "There is no such division in your area."
            errors.append(checked.error(row, "division", "unknown_division", zh, en))
        elif wrong := _level_error(checked, row):
            errors.append(wrong)
        if _appointment(row).identity in held_elsewhere and number not in elsewhere:
            zh, en = "此任职已在其他辖区登记。", "This post is in the directory of another area already."
            errors.append(checked.error(row, "since", "post_held", zh, en))
        if number in elsewhere:
            zh, en = "此编号已登记给其他干部。", "This number belongs to another cadre."
            errors.append(checked.error(row, "cadre_no", "number_taken", zh, en))
        elif named.setdefault(number, name) != name:
            zh, en = "同一编号的姓名不一致。", "The same number stands with another name above."
            errors.append(checked.error(row, "name", "name_differs", zh, en))
    return errors


def _level_error(checked: Checked, row: ValidRow) -> RowError | None:
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


def _new_or_renamed(work: Work, rows: list[ValidRow], known: dict[str, Cadre]) -> list[Cadre]:
    names = {row.values["cadre_no"]: row.values["name"] for row in rows}
    changed = []
    for number, name in sorted(names.items()):
        before = known.get(number)
        if before is not None and service.open_name(work, before) == name:
            continue
        changed.append(service.seal_name(work, number, name, version=before.version + 1 if before else 1))
    return changed


def _new_or_corrected(
    rows: list[ValidRow], held: dict[tuple[str, str, str, date], tuple[UUID, Appointment]]
) -> list[tuple[UUID, Appointment]]:
    changed = []
    for row in rows:
        given = _appointment(row)
        id, before = held.get(given.identity, (new_id(), None))
        if before is None or (before.title, before.division) != (given.title, given.division):
            until = before.until if before else None
            changed.append((id, _appointment(row, until)))
    return changed


def _appointment(row: ValidRow, until: date | None = None) -> Appointment:
    values = row.values
    return Appointment(
        cadre_no=values["cadre_no"],
        post=PostKind(values["post"]),
        title=values["title"] or "",
        unit=values["unit"],
        division=values["division"],
        since=values["since"],
        until=until,
    )
