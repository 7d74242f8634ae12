"""The card of a household (户卡): its present file in one statement, as the JSON that is sent.

The register's most read answer. The databases make JSON of their rows themselves, several times faster than rows go through
SQLAlchemy and models (handbook: speed.md). It says what `HouseholdOut` says; a test holds the two together.
"""

from functools import cache
from uuid import UUID

import orjson
from sqlalchemy import Boolean, Column, Table, Uuid

from services.registry.households.schemas import HouseholdOut, MemberOut
from services.registry.households.store import households, incomes, members
from shared.db import Database, area_bounds, in_area_text
from shared.money import yuan
from shared.scope import Area

_FILE = {name: name for name in HouseholdOut.model_fields if name in households.c}
_PERSON = {name: name if name in members.c else "id_masked" for name in MemberOut.model_fields}


async def find(database: Database, id: UUID, area: Area) -> tuple[int, bytes] | None:
    """(version, JSON of HouseholdOut) of a household of the area."""
    statement = _statement(database.sqlite, len(area.prefixes))
    row = await database.look_up(statement, [id, *area_bounds(area)])
    if row is None:
        return None
    version, file, years, people = row
    shown = [
        {"year": year, "net_per_head_fen": fen, "net_per_head_yuan": yuan(fen)} for year, fen in orjson.loads(years)
    ]
    return version, orjson.dumps({**orjson.loads(file), "incomes": shown, "members": orjson.Fragment(people)})


@cache
def _statement(sqlite: bool, prefixes: int) -> str:
    """Takes the id, and the bounds of so many prefixes of an area. Gives version, file, [[year, fen] …] and members."""
    array = "json_array" if sqlite else "json_build_array"
    people = _list(f"{_object(members, _PERSON, sqlite)} as one from {members.name}", "member_no", sqlite)
    years = _list(f"{array}(year, net_per_head_fen) as one from {incomes.name}", "year", sqlite)
    file = f"cast({_object(households, _FILE, sqlite)} as text)"
    # Found by its id before its area is looked at: a plan made while the table was empty may do it the other way round.
    found = f"with h as materialized (select * from {households.name} where id = $1)"  # noqa: S608 - our own names alone
    return f"{found} select version, {file}, {years}, {people} from h where {in_area_text('division', prefixes, 2)}"  # noqa: S608


def _list(rows: str, order: str, sqlite: bool) -> str:
    every = "json_group_array(json(one))" if sqlite else "coalesce(json_agg(one), '[]')"
    return f"(select cast({every} as text) from (select {rows} where household_id = h.id order by {order}) as listed)"  # noqa: S608


def _object(table: Table, fields: dict[str, str], sqlite: bool) -> str:
    pairs = ", ".join(f"'{name}', {_value(table.c[column], sqlite)}" for name, column in fields.items())
    return f"{'json_object' if sqlite else 'json_build_object'}({pairs})"


def _value(column: Column[object], sqlite: bool) -> str:
    """A column as JSON shows it; SQLite keeps truth as a number and a UUID as 32 digits."""
    name = f'"{column.name}"'
    if sqlite and isinstance(column.type, Boolean):
        return f"json(iif({name}, 'true', 'false'))"
    if sqlite and isinstance(column.type, Uuid):
        cuts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        return " || '-' || ".join(f"substr({name}, {start}, {length})" for start, length in cuts)
    return name
