"""Use cases of the directory: import it, show it, appoint, end a post."""

from dataclasses import replace
from datetime import date
from uuid import UUID

from services.assessment.directory import domain, store
from services.assessment.directory.domain import Appointment, FileHasErrors, PostHeld, PostKind
from services.assessment.directory.imports import DIRECTORY, level_error
from services.assessment.directory.schemas import CadreOut, EndingIn, ImportOut, Mode, PostIn, PostOut, RowProblem
from services.assessment.directory.store import Cadre
from services.assessment.register import store as register
from shared import sheets
from shared.errors import NotFound, Stale
from shared.events.assessment import CadreAppointed, Post
from shared.http import Match, Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.pii import mask_name
from shared.scope import Area
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work

MAX_ERRORS = 100
"""Row errors in one answer."""

_NAME = "cadre.name"


async def import_directory(work: Work, data: bytes, *, mode: Mode, dry_run: bool) -> ImportOut:
    """Enters the cadres and posts of a file. With mode `all` a file with wrong rows changes nothing.

    A post is known by cadre number, kind, unit and first day; such a row again corrects its title, division and the name.
    Raises WrongFile, FileTooLarge (the file as a whole), FileHasErrors (409, with the errors by row and column).
    """
    checked = sheets.check(sheets.read(data, DIRECTORY))
    rows = len(checked.valid) + checked.rejected
    checked = checked.without(await _refused(work, checked))
    numbers = [row.values["cadre_no"] for row in checked.valid]
    known = await store.cadres_of(work.tx, numbers, work.area)
    cadres = _new_or_renamed(work, checked.valid, known)
    held = {a.identity: (id, a) for id, a in await store.appointments_of(work.tx, numbers, work.area)}
    posts = _new_or_corrected(checked.valid, held)
    renamed = {cadre.cadre_no for cadre in cadres}
    changed = {appointment.identity for _, appointment in posts}
    unchanged = sum(
        row.values["cadre_no"] not in renamed and _appointment(row).identity not in changed for row in checked.valid
    )
    moved = {appointment.cadre_no for _, appointment in posts} - renamed
    cadres += [replace(known[number], version=known[number].version + 1) for number in sorted(moved)]
    outcome = ImportOut(
        rows=rows,
        accepted=len(checked.valid),
        unchanged=unchanged,
        rejected=checked.rejected,
        applied=not dry_run and (mode == "valid" or not checked.errors),
        errors=[
            RowProblem(row=e.row, column=e.column, code=e.code, zh=e.zh, en=e.en) for e in checked.errors[:MAX_ERRORS]
        ],
    )
    if checked.errors and mode == "all" and not dry_run:
        raise FileHasErrors(
            "Correct the rows named here, or import the good ones with mode=valid.", import_result=outcome.model_dump()
        )
    if outcome.applied:
        await store.keep_cadres(work.tx, cadres)
        await store.keep_appointments(work.tx, posts, at=work.now)
        versions = {cadre.cadre_no: cadre.version for cadre in cadres}
        for _, appointment in posts:
            _record(work, appointment, versions[appointment.cadre_no])
    return outcome


async def list_cadres(
    work: Work, page: PageQuery, *, division: str | None, post: PostKind | None, on: date | None
) -> Page[CadreOut]:
    """Cadres with a post in the area, by number."""
    after = str(decode_cursor(page.after, str)[0]) if page.after else None
    within = Area.of([division]) if division else None
    rows = await store.page(work.tx, work.area, within=within, post=post, on=on, after=after, limit=page.limit + 1)
    shown, following = page_of(rows, page.limit, lambda cadre: encode_cursor(cadre.cadre_no))
    posts = await store.appointments_of(work.tx, [cadre.cadre_no for cadre in shown], work.area)
    return Page(items=[_out(cadre, posts) for cadre in shown], next=following)


async def show(work: Work, cadre_no: str) -> CadreOut:
    """One cadre. Raises NotFound."""
    cadre = await _load(work, cadre_no)
    return _out(cadre, await store.appointments_of(work.tx, [cadre_no], work.area))


async def appoint(work: Work, cadre_no: str, order: PostIn, match: Match) -> CadreOut:
    """A cadre of the directory takes a further post (任职).

    Raises NotFound (cadre or division), WrongLevel, PostHeld, PreconditionRequired, Stale.
    """
    cadre = await _load(work, cadre_no)
    match(cadre.version)
    if not await register.known_divisions(work.tx, [order.division], work.area):
        raise NotFound("There is no such division in your area.")
    domain.require_level(order.post, order.division)
    appointment = Appointment(cadre_no=cadre_no, **order.model_dump())
    held = await store.appointments_of(work.tx, [cadre_no], work.area)
    if any(appointment.identity == other.identity for _, other in held):
        raise PostHeld("The directory has this post already.")
    await store.keep_appointments(work.tx, [(new_id(), appointment)], at=work.now)
    await _bump(work, cadre)
    _record(work, appointment, cadre.version + 1)
    return await show(work, cadre_no)


async def end_post(work: Work, cadre_no: str, post_id: UUID, order: EndingIn, match: Match) -> CadreOut:
    """A cadre leaves a post (离任). Raises NotFound, PostEnded, EndsBeforeItBegan, PreconditionRequired, Stale."""
    cadre = await _load(work, cadre_no)
    held = dict(await store.appointments_of(work.tx, [cadre_no], work.area))
    if post_id not in held:
        raise NotFound("This cadre has no such post in your area.")
    match(cadre.version)
    domain.require_ending(held[post_id], order.until)
    await store.end(work.tx, post_id, until=order.until)
    await _bump(work, cadre)
    _record(work, held[post_id], cadre.version + 1, until=order.until)
    return await show(work, cadre_no)


async def _refused(work: Work, checked: Checked) -> list[RowError]:
    """Good rows that the database refuses."""
    numbers = [row.values["cadre_no"] for row in checked.valid]
    divisions = await register.known_divisions(work.tx, [row.values["division"] for row in checked.valid], work.area)
    ours = await store.cadres_of(work.tx, numbers, work.area)
    elsewhere = await store.numbers_taken(work.tx, numbers) - set(ours)
    errors: list[RowError] = []
    named: dict[str, str] = {}
    for row in checked.valid:
        number, name, division = row.values["cadre_no"], row.values["name"], row.values["division"]
        if division not in divisions:
            zh, en = "本辖区没有此区划。", "There is no such division in your area."
            errors.append(checked.error(row, "division", "unknown_division", zh, en))
        elif wrong := level_error(checked, row):
            errors.append(wrong)
        if number in elsewhere:
            zh, en = "此编号已登记给其他干部。", "This number belongs to another cadre."
            errors.append(checked.error(row, "cadre_no", "number_taken", zh, en))
        elif named.setdefault(number, name) != name:
            zh, en = "同一编号的姓名不一致。", "The same number stands with another name above."
            errors.append(checked.error(row, "name", "name_differs", zh, en))
    return errors


def _new_or_renamed(work: Work, rows: list[ValidRow], known: dict[str, Cadre]) -> list[Cadre]:
    names = {row.values["cadre_no"]: row.values["name"] for row in rows}
    changed = []
    for number, name in sorted(names.items()):
        before = known.get(number)
        if before is not None and work.vault.open(before.name_sealed, column=_NAME, row=number) == name:
            continue
        sealed = work.vault.seal(name, column=_NAME, row=number)
        changed.append(Cadre(number, sealed, mask_name(name), before.version + 1 if before else 1))
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


def _record(work: Work, appointment: Appointment, version: int, *, until: date | None = None) -> None:
    event = CadreAppointed(
        cadre_no=appointment.cadre_no,
        post=Post(appointment.post),
        unit=appointment.unit,
        division=appointment.division,
        since=appointment.since,
        until=until or appointment.until,
    )
    work.record(event, division=appointment.division, version=version)


async def _load(work: Work, cadre_no: str) -> Cadre:
    cadre = await store.find(work.tx, cadre_no, work.area)
    if cadre is None:
        raise NotFound("There is no such cadre in your area.")
    return cadre


async def _bump(work: Work, cadre: Cadre) -> None:
    if not await store.bump(work.tx, cadre.cadre_no, cadre.version):
        raise Stale("Somebody changed this cadre since you read it. Read it again.")


def _out(cadre: Cadre, posts: list[tuple[UUID, Appointment]]) -> CadreOut:
    return CadreOut(
        cadre_no=cadre.cadre_no,
        name_masked=cadre.name_masked,
        version=cadre.version,
        posts=[
            PostOut.model_validate(
                {"id": id, **{name: getattr(a, name) for name in PostOut.model_fields if name != "id"}}
            )
            for id, a in posts
            if a.cadre_no == cadre.cadre_no
        ],
    )
