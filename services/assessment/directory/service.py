"""Use cases of the directory: show it, appoint, end a post; seal names."""

from datetime import date
from uuid import UUID

from services.assessment.directory import domain, store
from services.assessment.directory.domain import Appointment, PostHeld, PostKind
from services.assessment.directory.schemas import CadreOut, EndingIn, PostIn, PostOut
from services.assessment.directory.store import Cadre
from services.assessment.register import store as register
from shared.errors import NotFound, Stale
from shared.events.assessment import CadreAppointed, Post
from shared.http import Match, Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.pii import mask_name
from shared.scope import EVERYWHERE, Area
from shared.work import Work

_COLUMN = "cadre.name"


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
    # Also one that lies in another area: cadre, kind, unit and day make it the same post.
    held = await store.appointments_of(work.tx, [cadre_no], EVERYWHERE)
    if any(appointment.identity == other.identity for _, other in held):
        raise PostHeld("The directory has this post already. Correct that one by import, or give another unit or day.")
    await store.keep_appointments(work.tx, [(new_id(), appointment)], at=work.now)
    await _bump(work, cadre)
    announce(work, appointment, cadre.version + 1)
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
    announce(work, held[post_id], cadre.version + 1, until=order.until)
    return await show(work, cadre_no)


def announce(work: Work, appointment: Appointment, version: int, *, until: date | None = None) -> None:
    """Records that a post is held, or held up to the day before `until`."""
    event = CadreAppointed(
        cadre_no=appointment.cadre_no,
        post=Post(appointment.post),
        unit=appointment.unit,
        division=appointment.division,
        since=appointment.since,
        until=until or appointment.until,
    )
    work.record(event, division=appointment.division, version=version)


def seal_name(work: Work, cadre_no: str, name: str, *, version: int) -> Cadre:
    """A cadre as he is stored."""
    sealed = work.vault.seal(name, column=_COLUMN, row=cadre_no)
    return Cadre(cadre_no, sealed, mask_name(name), version)


def open_name(work: Work, cadre: Cadre) -> str | None:
    """The name itself, to compare it with a file's; None when its key is lost."""
    return work.vault.open_if_here(cadre.name_sealed, column=_COLUMN, row=cadre.cadre_no)


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
