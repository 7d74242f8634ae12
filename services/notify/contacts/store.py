"""Tables and queries of contacts: posts and place names heard from others, phones of our own. Phones are sealed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Date,
    RowMapping,
    Select,
    String,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notify.contacts.domain import Appointment, Contact
from services.notify.tables import metadata
from shared import personal, pii
from shared.db import DivisionCode, Instant, chunked, in_area, insert_ignoring, upsert
from shared.scope import Area

KEPT_AFTER_POST = timedelta(days=90)
"""After somebody's last post his phone is kept so long (ours): whoever gets another post need not be asked again."""

_KEPT = f"until another is entered, and {KEPT_AFTER_POST.days} days after the last post"

appointments = Table(
    "recipient",
    metadata,
    Column("cadre_no", String(32), primary_key=True),
    Column("post", String(32), primary_key=True),
    Column("unit", String(100), primary_key=True),
    Column("since", Date, primary_key=True),
    Column("division", DivisionCode, nullable=False, index=True),
    Column("county", DivisionCode, nullable=False, index=True),
    Column("until", Date),
)

contacts = Table(
    "contact",
    metadata,
    Column("cadre_no", String(32), primary_key=True),
    Column(
        "phone_sealed",
        String(200),
        nullable=False,
        info=personal.sealed(
            "contact.phone",
            "a cadre's phone (手机号)",
            why="prompts by SMS",
            kept=_KEPT,
            shown="the SMS gateway",
            row="cadre_no",
        ),
    ),
    Column(
        "phone_index",
        String(64),
        nullable=False,
        unique=True,
        info=personal.index(
            "phone",
            "a cadre's phone (手机号)",
            why="whose SMS comes in",
            kept=_KEPT,
            place="contact.phone",
            source=lambda: _phones,
        ),
    ),
    Column(
        "phone_masked",
        String(20),
        nullable=False,
        info=personal.masked("a cadre's phone (手机号)", why="lists", kept=_KEPT),
    ),
    Column("language", String(2), nullable=False),
    Column("entered_at", Instant, nullable=False),
)

_phones: Select[Any] = select(
    contacts.c.cadre_no.label("key"),
    contacts.c.cadre_no.label("row"),
    contacts.c.phone_sealed.label("sealed"),
    contacts.c.phone_index.label("old"),
)

opt_outs = Table(
    "opt_out",
    metadata,
    Column("cadre_no", String(32), primary_key=True),
    Column("at", Instant, nullable=False),
)

places = Table(
    "place", metadata, Column("code", DivisionCode, primary_key=True), Column("name", String(100), nullable=False)
)

watched = Table(
    "watched_county",
    metadata,
    Column("county", DivisionCode, primary_key=True),
    Column("since", Instant, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone as stored: sealed, with its blind index."""

    cadre_no: str
    phone_sealed: str
    phone_index: str
    phone_masked: str
    language: str


async def keep_appointments(tx: AsyncConnection, found: Sequence[Appointment]) -> None:
    rows = [{name: getattr(appointment, name) for name in Appointment.__slots__} for appointment in found]
    await tx.execute(upsert(tx, appointments, keys=("cadre_no", "post", "unit", "since")), rows)


async def watch(tx: AsyncConnection, counties: Collection[str], *, since: datetime) -> None:
    """Remembers from when on campaigns are owed to counties. The first time counts."""
    await tx.execute(insert_ignoring(tx, watched), [{"county": county, "since": since} for county in sorted(counties)])


async def watched_counties(tx: AsyncConnection) -> list[tuple[str, datetime]]:
    rows = await tx.execute(select(watched.c.county, watched.c.since).order_by(watched.c.county))
    return [(row.county, row.since) for row in rows]


async def keep_places(tx: AsyncConnection, rows: Sequence[dict[str, str]]) -> None:
    await tx.execute(upsert(tx, places, keys=("code",)), rows)


async def appointments_of_county(tx: AsyncConnection, county: str) -> list[Appointment]:
    rows = await tx.execute(select(appointments).where(appointments.c.county == county))
    return [Appointment(**row) for row in rows.mappings()]


async def appointments_of(tx: AsyncConnection, cadre_nos: Collection[str], area: Area) -> list[Appointment]:
    """All posts of these cadres that lie in the area."""
    query = select(appointments).where(in_area(appointments.c.division, area))
    return [Appointment(**row) async for row in chunked(tx, query, appointments.c.cadre_no, cadre_nos)]


async def contacts_of(tx: AsyncConnection, cadre_nos: Collection[str], area: Area) -> dict[str, Contact]:
    rows = await _contact_rows(tx, contacts.c.cadre_no, cadre_nos, area)
    return {
        row["cadre_no"]: Contact(
            row["cadre_no"], row["language"], has_phone=True, opted_out=row["opted_out_at"] is not None
        )
        for row in rows
    }


async def phones_of(tx: AsyncConnection, cadre_nos: Collection[str], area: Area) -> dict[str, Phone]:
    """The sealed phones of cadres in the area."""
    rows = await _contact_rows(tx, contacts.c.cadre_no, cadre_nos, area)
    return {row["cadre_no"]: _phone(row) for row in rows}


async def cadres_by_phone(tx: AsyncConnection, indexes: Collection[str], area: Area) -> dict[str, str]:
    """Blind index → cadre number, for phones of cadres in the area."""
    asked = pii.forms(indexes)
    rows = await _contact_rows(tx, contacts.c.phone_index, asked, area)
    return {asked[row["phone_index"]]: row["cadre_no"] for row in rows}


async def keep_phones(tx: AsyncConnection, phones: Sequence[Phone], *, at: datetime) -> None:
    """Enters or replaces phones. All old ones of these cadres go first, so that two may swap theirs in one file."""
    if not phones:
        return
    await tx.execute(
        delete(contacts).where(contacts.c.cadre_no == bindparam("old")), [{"old": p.cadre_no} for p in phones]
    )
    rows = [{name: getattr(phone, name) for name in Phone.__slots__} | {"entered_at": at} for phone in phones]
    await tx.execute(insert(contacts), rows)


async def forget_departed(tx: AsyncConnection, today: date) -> None:
    """Takes the phones out of those whose last post ended KEPT_AFTER_POST ago. An opt-out stays: it is the person's word."""
    a = appointments.c
    recent = a.until.is_(None) | (a.until > today - KEPT_AFTER_POST)
    await tx.execute(delete(contacts).where(~exists().where(a.cadre_no == contacts.c.cadre_no, recent)))


async def opt_out(tx: AsyncConnection, cadre_no: str, *, at: datetime) -> bool:
    """Whether it is new. It belongs to the person: a new number does not undo it."""
    return (await tx.execute(insert_ignoring(tx, opt_outs).values(cadre_no=cadre_no, at=at))).rowcount == 1


async def opt_in(tx: AsyncConnection, cadre_no: str, area: Area) -> bool:
    """Whether there was an opt-out to take back, of a cadre in the area."""
    query = delete(opt_outs).where(opt_outs.c.cadre_no == cadre_no, _holds_post_in(opt_outs.c.cadre_no, area))
    return (await tx.execute(query)).rowcount == 1


async def list_recipients(
    tx: AsyncConnection, area: Area, *, day: date, after: tuple[str, str, str, date] | None, limit: int
) -> list[dict[str, Any]]:
    """Posts held on a day with their contact (masked), in order of cadre number."""
    a = appointments.c
    key = tuple_(a.cadre_no, a.post, a.unit, a.since)
    query: Select[Any] = (
        select(
            appointments,
            contacts.c.phone_masked,
            contacts.c.language,
            opt_outs.c.at.label("opted_out_at"),
            places.c.name.label("place"),
        )
        .outerjoin(contacts, contacts.c.cadre_no == a.cadre_no)
        .outerjoin(opt_outs, opt_outs.c.cadre_no == a.cadre_no)
        .outerjoin(places, places.c.code == a.division)
        .where(in_area(a.division, area), a.since <= day, a.until.is_(None) | (a.until > day))
        .order_by(a.cadre_no, a.post, a.unit, a.since)
        .limit(limit)
    )
    if after is not None:
        query = query.where(key > tuple_(*after))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


def _holds_post_in(cadre_no: Any, area: Area) -> Any:
    return exists().where(appointments.c.cadre_no == cadre_no, in_area(appointments.c.division, area))


async def _contact_rows(tx: AsyncConnection, column: Any, values: Collection[str], area: Area) -> list[RowMapping]:
    query = (
        select(contacts, opt_outs.c.at.label("opted_out_at"))
        .outerjoin(opt_outs, opt_outs.c.cadre_no == contacts.c.cadre_no)
        .where(_holds_post_in(contacts.c.cadre_no, area))
    )
    return [row async for row in chunked(tx, query, column, values)]


def _phone(row: RowMapping) -> Phone:
    return Phone(**{name: row[name] for name in Phone.__slots__})
