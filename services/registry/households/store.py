"""Tables and queries of households, their people and their history."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    RowMapping,
    Select,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    bindparam,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.tables import metadata
from shared import personal, pii
from shared.append_only import protect
from shared.db import BigId, DivisionCode, Instant, Json, chunked, in_area
from shared.personal import AS_HISTORY, ERASED, ON_FILE, WITHOUT_NAME
from shared.rows import insert_rows, upsert_rows
from shared.scope import Area

Row = dict[str, Any]

NUMBER = "member_identity.number"
"""The column that an ID number is sealed for."""


def _need(what: str) -> dict[str, Any]:
    """A mark: what the county helps by, of a household or of one of its people."""
    return personal.plain(what, why="help that fits; counts", kept=WITHOUT_NAME)


households = Table(
    "household",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_no", String(32), nullable=False, unique=True),
    Column("division", DivisionCode, nullable=False),
    Column("group", String(40)),
    Column("status", String(10), nullable=False),
    Column("attribute", String(2), nullable=False, info=_need("kind of poor household (贫困户属性)")),
    Column(
        "cause", String(2), nullable=False, info=_need("why it is poor (致贫原因): an illness or a disability, too")
    ),
    Column("other_cause", String(2), info=_need("the same")),
    Column("identified_on", Date),
    Column("exited_on", Date),
    Column("standard", String(40)),
    Column("housing", String(2), nullable=False),
    Column("safe_water", Boolean, nullable=False),
    Column("remark", String(200), info=personal.plain("what the office notes", why="the file", kept=AS_HISTORY)),
    # Kept with the row: lists and events need them without the members.
    Column(
        "head_name_masked",
        String(40),
        nullable=False,
        info=personal.masked("head of the household (户主)", why="lists and events", kept=ON_FILE),
    ),
    Column("people", Integer, nullable=False),
    Column("version", Integer, nullable=False),
)
Index("ix_household_division", households.c.division, households.c.household_no)

members = Table(
    "member",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_id", ForeignKey("household.id"), nullable=False),
    Column("member_no", SmallInteger, nullable=False),
    Column("name", String(40), nullable=False, info=personal.plain("name (姓名)", why="the file", kept=ON_FILE)),
    Column("sex", String(1), nullable=False, info=personal.plain("sex", why="the file", kept=ON_FILE)),
    Column("born_on", Date, nullable=False, info=personal.plain("birth date (出生日期)", why="the file", kept=ON_FILE)),
    Column(
        "id_masked",
        String(22),
        nullable=False,
        info=personal.masked("ID number (证件号码)", why="the file", kept=ON_FILE),
    ),
    Column(
        "id_blind",
        String(64),
        nullable=False,
        info=personal.index(
            "id_number",
            "ID number (证件号码)",
            why="nobody is registered twice",
            kept=ON_FILE,
            place=NUMBER,
            source=lambda: _numbers,
        ),
    ),
    Column("relation", String(2), nullable=False, info=_need("relation to the head (与户主关系)")),
    Column(
        "ethnic", String(2), nullable=False, info=personal.plain("ethnic group (民族)", why="the file", kept=ON_FILE)
    ),
    Column("education", String(2), nullable=False, info=_need("education (文化程度)")),
    Column("student", String(2), nullable=False, info=_need("at school (在校生状况)")),
    Column(
        "health", String(2), nullable=False, info=personal.plain("health (健康状况)", why="help in kind", kept=ON_FILE)
    ),
    Column("labour", String(2), nullable=False, info=_need("fitness for work (劳动能力)")),
    Column("work_place", String(2), info=_need("where he works away from home (务工)")),
    Column("work_months", SmallInteger, info=_need("months of it in a year")),
    Column("dibao", Boolean, nullable=False, info=_need("minimum living allowance (低保)")),
    Column("insured", Boolean, nullable=False, info=_need("medical insurance (医疗保险)")),
    Column("pension", Boolean, nullable=False, info=_need("pension insurance (养老保险)")),
    Column("left_on", Date, info=_need("when he left the household")),
    Column("left_reason", String(2), info=_need("why: death, marriage, … (人员减少原因)")),
    UniqueConstraint("household_id", "member_no"),
)
Index(
    "uq_member_living",
    members.c.id_blind,
    unique=True,
    sqlite_where=members.c.left_on.is_(None),
    postgresql_where=members.c.left_on.is_(None),
)

identities = Table(
    "member_identity",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("member_id", ForeignKey("member.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column(
        "number_sealed",
        Text,
        nullable=False,
        info=personal.sealed(
            NUMBER,
            "ID number (证件号码)",
            why="the file; what other registers ask for",
            kept=ON_FILE,
            shown="PRIVACY, with a reason, on record",
        ),
    ),
    Column("recorded_at", Instant, nullable=False),
    UniqueConstraint("member_id", "version"),
)
"""Every ID number a person was ever entered with, sealed; the highest version is the current one."""
protect(identities, but="number_sealed")  # sealed anew with each new key: another text there would not open

_later = identities.alias()
_newest = select(func.max(_later.c.version)).where(_later.c.member_id == members.c.id).scalar_subquery()
_numbers: Select[Any] = (
    select(
        members.c.id.label("key"),
        identities.c.id.label("row"),
        identities.c.number_sealed.label("sealed"),
        members.c.id_blind.label("old"),
    )
    .join(identities, identities.c.member_id == members.c.id)
    .where(identities.c.version == _newest, identities.c.number_sealed != ERASED)
)
"""Of each person the number that the blind index is made of."""

incomes = Table(
    "household_income",
    metadata,
    Column("household_id", ForeignKey("household.id"), primary_key=True),
    Column("year", SmallInteger, primary_key=True),
    Column("net_per_head_fen", BigId, nullable=False, info=_need("income of the household (人均纯收入)")),
)

history = Table(
    "household_history",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("household_id", ForeignKey("household.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column(
        "reason",
        String(1000),
        nullable=False,
        info=personal.plain("why it was changed", why="history", kept=AS_HISTORY),
    ),
    # Fields that became different; members under "members" by number, incomes under "incomes" by year.
    Column(
        "changes",
        Json,
        nullable=False,
        info=personal.plain("the fields above, as they were", why="history", kept=ON_FILE),
    ),
    UniqueConstraint("household_id", "version"),
)
protect(
    history,
    but="changes",
    opened="exists (select 1 from erasure e where e.household_id = old.household_id and e.is_open)",
)

erasures = Table(
    "erasure",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("household_id", ForeignKey("household.id"), nullable=False, index=True),
    Column("member_no", SmallInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", String(100), nullable=False),
    Column(
        "reason",
        String(1000),
        nullable=False,
        info=personal.plain("why a person was erased", why="the record of it", kept=AS_HISTORY),
    ),
    # Only within the transaction that erases: while it is, and no longer, the household's history may be rewritten.
    Column("is_open", Boolean, nullable=False),
)
"""Who was taken out of a file (删除), by whom, when and why."""
protect(erasures, but="is_open")


async def find(tx: AsyncConnection, id: UUID, area: Area, *, lock: bool = False) -> Row | None:
    """`lock`: nobody else changes it, or gives it a measure, until the end of the transaction."""
    query = select(households).where(households.c.id == id, in_area(households.c.division, area))
    if lock:
        query = query.with_for_update()
    return _row((await tx.execute(query)).mappings().one_or_none())


async def find_many(tx: AsyncConnection, ids: Sequence[UUID], area: Area) -> list[Row]:
    query = select(households).where(households.c.id.in_(ids), in_area(households.c.division, area))
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def by_numbers(tx: AsyncConnection, numbers: Iterable[str], area: Area, *, lock: bool = False) -> dict[str, Row]:
    """Household number → row, of those in the area. `lock`: see `find`; always in the order of the numbers."""
    query = select(households).where(in_area(households.c.division, area))
    if lock:
        numbers = sorted(numbers)
        query = query.order_by(households.c.household_no).with_for_update()
    return {row["household_no"]: row async for row in _chunked(tx, query, households.c.household_no, numbers)}


async def taken_numbers(tx: AsyncConnection, numbers: Iterable[str]) -> set[str]:
    """Which of these household numbers are in use anywhere: a number is given once in the whole register."""
    query = select(households.c.household_no)
    return {row["household_no"] async for row in _chunked(tx, query, households.c.household_no, numbers)}


async def page(
    tx: AsyncConnection,
    area: Area,
    *,
    within: Area | None,
    status: str | None,
    household_no: str | None,
    after: str | None,
    limit: int,
) -> list[Row]:
    """Households by number, and one more when another page follows."""
    query = (
        select(households)
        .where(in_area(households.c.division, area))
        .order_by(households.c.household_no)
        .limit(limit + 1)
    )
    if within:
        query = query.where(in_area(households.c.division, within))
    if status:
        query = query.where(households.c.status == status)
    if household_no:
        query = query.where(households.c.household_no == household_no)
    if after:
        query = query.where(households.c.household_no > after)
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def members_of(tx: AsyncConnection, household_ids: Iterable[UUID], area: Area) -> list[Row]:
    """Members of these households, the departed too, by household and member number."""
    query = (
        select(members)
        .join(households)
        .where(in_area(households.c.division, area))
        .order_by(households.c.household_no, members.c.member_no)
    )
    return [row async for row in _chunked(tx, query, members.c.household_id, household_ids)]


async def incomes_of(tx: AsyncConnection, household_ids: Iterable[UUID], area: Area) -> dict[UUID, dict[int, int]]:
    """Household → year → net income per head, fen."""
    query = select(incomes).join(households).where(in_area(households.c.division, area))
    found: dict[UUID, dict[int, int]] = {}
    async for row in _chunked(tx, query, incomes.c.household_id, household_ids):
        found.setdefault(row["household_id"], {})[row["year"]] = row["net_per_head_fen"]
    return found


async def homes_of_people(tx: AsyncConnection, blinds: Iterable[str]) -> dict[str, UUID]:
    """Blind index → the household where this person lives, anywhere: a person belongs to one household of the register."""
    query = select(members.c.id_blind, members.c.household_id).where(members.c.left_on.is_(None))
    asked = pii.forms(blinds)
    return {asked[row["id_blind"]]: row["household_id"] async for row in _chunked(tx, query, members.c.id_blind, asked)}


async def entries(
    tx: AsyncConnection, household_id: UUID, area: Area, *, after: int = 0, limit: int | None = None
) -> list[Row]:
    """The history of a household by version."""
    query = (
        select(history)
        .join(households)
        .where(history.c.household_id == household_id, history.c.version > after, in_area(households.c.division, area))
        .order_by(history.c.version)
        .limit(limit)
    )
    return [dict(row) for row in (await tx.execute(query)).mappings()]


async def sealed_number(tx: AsyncConnection, member_id: UUID, area: Area) -> Row | None:
    """The current sealed ID number of a member."""
    query = (
        select(identities)
        .join(members, identities.c.member_id == members.c.id)
        .join(households, members.c.household_id == households.c.id)
        .where(identities.c.member_id == member_id, in_area(households.c.division, area))
        .order_by(identities.c.version.desc())
        .limit(1)
    )
    return _row((await tx.execute(query)).mappings().one_or_none())


async def add(
    tx: AsyncConnection,
    *,
    household_rows: Sequence[dict[str, Any]] = (),
    member_rows: Sequence[dict[str, Any]] = (),
    identity_rows: Sequence[dict[str, Any]] = (),
    first_income_rows: Sequence[dict[str, Any]] = (),
    income_rows: Sequence[dict[str, Any]] = (),
    history_rows: Sequence[dict[str, Any]] = (),
) -> None:
    """Writes new rows, many at once; an income of a year that is there already is replaced (not `first_`)."""
    for table, rows in (
        (households, household_rows),
        (members, member_rows),
        (identities, identity_rows),
        (incomes, first_income_rows),
        (history, history_rows),
    ):
        await insert_rows(tx, table, rows)
    await upsert_rows(tx, incomes, income_rows, keys=("household_id", "year"))


async def change(tx: AsyncConnection, id: UUID, *, seen: int, values: dict[str, Any]) -> bool:
    """Moves a household from version `seen` to the next. False when somebody was faster."""
    changed = await tx.execute(
        update(households).where(households.c.id == id, households.c.version == seen).values(**values, version=seen + 1)
    )
    return changed.rowcount == 1


async def replace(tx: AsyncConnection, household_rows: Sequence[Row], member_rows: Sequence[Row]) -> None:
    """Writes many households anew that were read with `lock`, and people of them: whole rows."""
    for table, rows in ((households, household_rows), (members, member_rows)):
        if rows:
            values: dict[str, Any] = {c.name: bindparam(f"new_{c.name}") for c in table.columns if c.name != "id"}
            statement = update(table).where(table.c.id == bindparam("row_id")).values(values)
            await tx.execute(
                statement, [{"row_id": row["id"], **{f"new_{key}": row[key] for key in values}} for row in rows]
            )


async def open_erasure(tx: AsyncConnection, row: dict[str, Any]) -> None:
    await tx.execute(insert(erasures).values(**row, is_open=True))


async def close_erasure(tx: AsyncConnection, id: UUID) -> None:
    await tx.execute(update(erasures).where(erasures.c.id == id).values(is_open=False))


async def rewrite(tx: AsyncConnection, changes: dict[int, dict[str, Any]]) -> None:
    """Entries of a history with other changes in them, while an erasure of its household is open. Raises DBAPIError."""
    statement = update(history).where(history.c.id == bindparam("entry")).values(changes=bindparam("rewritten"))
    await tx.execute(statement, [{"entry": id, "rewritten": text} for id, text in changes.items()])


async def erase_numbers(tx: AsyncConnection, member_id: UUID) -> None:
    """Every ID number a person was ever entered with."""
    await tx.execute(update(identities).where(identities.c.member_id == member_id).values(number_sealed=ERASED))


async def change_member(tx: AsyncConnection, id: UUID, values: dict[str, Any]) -> None:
    await tx.execute(update(members).where(members.c.id == id).values(**values))


async def _chunked(
    tx: AsyncConnection, query: Select[Any], column: Column[Any], values: Iterable[Any]
) -> AsyncIterator[Row]:
    """`chunked` with rows that can be changed."""
    async for row in chunked(tx, query, column, values):
        yield dict(row)


def _row(found: RowMapping | None) -> Row | None:
    return None if found is None else dict(found)
