"""Rotation (密钥轮换): old values are sealed and indexed anew in small batches while everything runs; how much is left under which key

Every write compares with the value that was read, so that whoever writes at the same moment wins, and loses nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Select, and_, bindparam, func, not_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import tables
from shared.db import Database
from shared.keyring import Ring
from shared.observability import log
from shared.personal import ERASED, Form, Personal, marked
from shared.pii import SealBroken, Vault, tag_of

EVERY_S = 2.0
"""How often a worker looks for values under old keys. While there is one key of each purpose it reads no table."""

BATCH = 200
"""Values of one transaction."""

WIDE_BATCH = 1
"""Of a column that holds whole files."""

PAUSE_S = 0.01
"""Between two batches: the database is the requests' first."""

_SAMPLE = 200
"""Values under keys that are not here, of which the ids are read."""

_log = log("kit")


@dataclass(frozen=True, slots=True)
class Held:
    """How many values of a column stand under which key; `missing`: under keys that are not in the keyring, and some of their ids."""

    table: str
    column: str
    form: Form
    under: dict[str, int]
    missing: int
    missing_ids: tuple[str, ...]


async def renew(database: Database, vault: Vault, metadata: MetaData) -> None:
    """Brings every value of a service's database under the current keys. What cannot be opened stays as it is.

    What stands under a key that is lost is not even read, nor is an index whose number does: it would be asked for again and again.
    """
    vault.refresh()
    if vault.under_older("data"):
        for column, mark in marked(tables.metadata, metadata, form=Form.SEALED):
            await _renew(database, _sealed(vault, column, mark), column, _resealed(vault, mark), _batch(column))
    if vault.under_older("blind"):
        for column, mark in marked(metadata, form=Form.INDEX):
            if mark.source is not None:
                rows = mark.source()
                rows = rows.where(_not_current(vault, column), _opens(vault, rows.selected_columns.sealed.element))
                await _renew(
                    database, rows, column, _indexed(vault, mark), BATCH, followers=_followers(metadata, column)
                )
        for column, mark in marked(metadata, form=Form.INDEX):
            if mark.follows is not None:
                await _forget_orphans(database, vault, column, mark.follows())


async def held(database: Database, ring: Ring, metadata: MetaData) -> list[Held]:
    """The marked columns that hold sealed values or indexes, and how many of them stand under which key."""
    found = []
    async with database.read() as tx:
        for column, mark in marked(tables.metadata, metadata):
            if mark.form in (Form.SEALED, Form.INDEX):
                found.append(await _count(tx, ring, column, mark.form))
    return found


Remade = Callable[[Any], str]
"""A row (`key`, `row`, `sealed`, `old`) → its value under the current key. Raises SealBroken."""


async def _renew(
    database: Database,
    rows: Select[Any],
    column: Column[Any],
    remade: Remade,
    batch: int,
    followers: Sequence[Column[Any]] = (),
) -> None:
    key = rows.selected_columns.key.element
    last: Any = None
    while True:
        query = rows.order_by(key).limit(batch)
        async with database.read() as tx:
            found = (await tx.execute(query if last is None else query.where(key > last))).all()
        if not found:
            return
        last = found[-1].key
        changes = await asyncio.to_thread(_changes, found, column, remade)
        await _write(database, column, key, changes, followers)
        await asyncio.sleep(PAUSE_S)


def _changes(found: Sequence[Any], column: Column[Any], remade: Remade) -> list[dict[str, Any]]:
    changes = []
    for row in found:
        try:
            changes.append({"r_key": row.key, "r_old": row.old, "r_new": remade(row)})
        except SealBroken as broken:
            _log.error("value_not_renewed", column=str(column), row=str(row.key), code=broken.code)
    return changes


async def _write(
    database: Database,
    column: Column[Any],
    key: Any,
    changes: Sequence[dict[str, Any]],
    followers: Sequence[Column[Any]],
) -> None:
    """All at once; one by one when one of them clashes: a person who was entered twice while two keys were in use."""
    try:
        async with database.write() as tx:
            await _compare_and_set(tx, column, key, changes, followers)
    except IntegrityError:
        for change in changes:
            try:
                async with database.write() as tx:
                    await _compare_and_set(tx, column, key, [change], followers)
            except IntegrityError:
                _log.error("value_stands_twice", column=str(column), row=str(change["r_key"]))


async def _compare_and_set(
    tx: AsyncConnection,
    column: Column[Any],
    key: Any,
    changes: Sequence[dict[str, Any]],
    followers: Sequence[Column[Any]],
) -> None:
    if changes:
        unchanged = and_(key == bindparam("r_key"), column == bindparam("r_old"))
        await tx.execute(update(column.table).where(unchanged).values({column: bindparam("r_new")}), list(changes))
        for follower in followers:
            same = update(follower.table).where(follower == bindparam("r_old")).values({follower: bindparam("r_new")})
            await tx.execute(same, [{"r_old": change["r_old"], "r_new": change["r_new"]} for change in changes])


def _sealed(vault: Vault, column: Column[Any], mark: Personal) -> Select[Any]:
    """Values of a sealed column that stand under another key than the current one."""
    row = column.table.c[mark.row]
    query = select(row.label("key"), row.label("row"), column.label("sealed"), column.label("old"))
    return query.where(_opens(vault, column), not_(_begins(column, f"{vault.current_key}:")))


def _resealed(vault: Vault, mark: Personal) -> Remade:
    def remade(row: Any) -> str:
        return vault.seal(vault.open(row.sealed, column=mark.place, row=row.row), column=mark.place, row=row.row)

    return remade


def _indexed(vault: Vault, mark: Personal) -> Remade:
    def remade(row: Any) -> str:
        return str(vault.blind(vault.open(row.sealed, column=mark.place, row=row.row), kind=mark.kind))

    return remade


def _followers(metadata: MetaData, column: Column[Any]) -> list[Column[Any]]:
    return [other for other, mark in marked(metadata, form=Form.INDEX) if mark.follows and mark.follows() is column]


async def _forget_orphans(database: Database, vault: Vault, column: Column[Any], followed: Column[Any]) -> None:
    """An old index that nobody's number has any more can be looked up by nobody: it is erased."""
    orphan = and_(_not_current(vault, column), column.not_in(select(followed)))
    async with database.write() as tx:
        await tx.execute(update(column.table).where(orphan).values({column: ERASED}))


def _not_current(vault: Vault, column: Column[Any]) -> ColumnElement[bool]:
    return and_(column != ERASED, not_(_begins(column, vault.current_tag)))


def _opens(vault: Vault, sealed: Any) -> ColumnElement[bool]:
    """Under a key that is here."""
    return or_(*(_begins(sealed, f"{key.id}:") for key in vault.ring.data))


def _begins(column: Column[Any], text: str) -> ColumnElement[bool]:
    return func.substr(column, 1, len(text)) == text


def _batch(column: Column[Any]) -> int:
    return WIDE_BATCH if column.table is tables.import_file else BATCH


async def _count(tx: AsyncConnection, ring: Ring, column: Column[Any], form: Form) -> Held:
    there = and_(column.is_not(None), column != ERASED)
    heads = (
        {key.id: f"{key.id}:" for key in ring.data} if form is Form.SEALED else {k.id: tag_of(k) for k in ring.blind}
    )
    tagged = {id: head for id, head in heads.items() if head}
    counts = [func.count().filter(_begins(column, head)) for head in tagged.values()]
    total, *numbers = (await tx.execute(select(func.count(), *counts).select_from(column.table).where(there))).one()
    under = dict(zip(tagged, numbers, strict=True))
    missing = total - sum(numbers)
    if len(tagged) < len(heads):  # what begins with no tag is the untagged key's
        under[next(id for id in heads if id not in tagged)] = missing
        missing = 0
    ids: tuple[str, ...] = ()
    if missing and form is Form.SEALED:
        unknown = and_(there, *(not_(_begins(column, head)) for head in heads.values()))
        values = (await tx.execute(select(func.substr(column, 1, 17)).where(unknown).limit(_SAMPLE))).scalars()
        ids = tuple(sorted({value.partition(":")[0] for value in values if ":" in value}))
    return Held(column.table.name, column.name, form, under, missing, ids)
