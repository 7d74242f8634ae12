"""The trail downwards (向下追溯), each level one statement: a fund's projects, a project's tranches, a tranche's households.

Amounts come from the ledger's postings and balances. Every statement takes first the bounds of the caller's area ($1 on), and
applies them to each table it reads from.
"""

# ruff: noqa: S608 - statements are put together from names of our own; what a caller says is a parameter

from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from services.funds.trail.lists import first, id_text, listed
from services.funds.tranches.store import held_once, paid_once, voided_once
from shared.db import Database, area_bounds, in_area_text
from shared.scope import Area


class Project(NamedTuple):
    """One fund's money in one project; `allocated_fen` is None when it never got any."""

    project_id: str
    project_no: str
    name: str
    division: str
    allocated_fen: int | None
    left_fen: int | None
    held_fen: int


class Tranche(NamedTuple):
    """One fund's money in one tranche, and the entries that held, paid or voided it."""

    tranche_id: str
    tranche_no: str
    division: str
    households: int
    held_fen: int
    paid_fen: int
    held_seq: int | None
    paid_seq: int | None
    voided_seq: int | None


class Household(NamedTuple):
    """What a household got of one fund in one tranche."""

    household_no: str
    division: str
    amount_fen: int
    head_name_masked: str


async def projects(database: Database, fund_no: str, area: Area, *, after: str, limit: int) -> list[Project]:
    """Projects of the area that hold or held money of a fund, by number above `after`."""
    statement = _projects(database.sqlite, len(area.prefixes))
    row = await database.look_up(statement, [*area_bounds(area), fund_no, after, limit])
    assert row is not None
    return [Project(*one) for one in orjson.loads(row[0])]


async def project(
    database: Database, source_id: UUID, project_id: UUID, area: Area, *, after: str, limit: int
) -> tuple[str | None, Project | None, list[Tranche]]:
    """(number of the fund, its money in the project, the project's tranches by number above `after`); None what is not in the area."""
    fund_no, node, below = await _level(database, "project", source_id, project_id, area, after, limit)
    return fund_no, None if node is None else Project(*node), [Tranche(*one) for one in below]


async def tranche(
    database: Database, source_id: UUID, tranche_id: UUID, area: Area, *, after: str, limit: int
) -> tuple[str | None, Tranche | None, bool, list[Household]]:
    """(number of the fund, its money in the tranche, whether any is meant to be, who was paid, by number above `after`)."""
    fund_no, node, below = await _level(database, "tranche", source_id, tranche_id, area, after, limit)
    if node is None:
        return fund_no, None, False, []
    *fields, funds = node
    return fund_no, Tranche(*fields), fund_no in orjson.loads(funds), [Household(*one) for one in below]


async def _level(
    database: Database, level: str, source_id: UUID, id: UUID, area: Area, after: str, limit: int
) -> tuple[str | None, list[Any] | None, list[Any]]:
    statement = (_project if level == "project" else _tranche)(database.sqlite, len(area.prefixes))
    row = await database.look_up(statement, [*area_bounds(area), source_id, id, after, limit])
    assert row is not None
    fund_no, node, below = row
    return fund_no, None if node is None else orjson.loads(node), orjson.loads(below)


_ENTRY = "join ledger_entry e on e.book = p.book and e.seq = p.seq"


def _share(sqlite: bool, prefixes: int) -> str:
    """The columns of a Project, of project `r` and fund `f`."""
    there = (
        f"a.kind = 'project' and a.owner = r.project_no and a.earmark = f.fund_no and {_within('a.division', prefixes)}"
    )
    allocated = f"(select sum(p.amount_fen) from ledger_account a join ledger_posting p on p.account_id = a.id {_ENTRY} where {there} and e.kind = 'allocated')"
    left = f"(select a.balance_fen from ledger_account a where {there})"
    held = (
        "(select coalesce(sum(h.balance_fen), 0) from tranche t join ledger_account h on h.kind = 'hold' "
        f"and h.owner = t.tranche_no and h.earmark = f.fund_no where t.project_id = r.id and {_within('t.division', prefixes)})"
    )
    return f"{id_text('r.id', sqlite)}, r.project_no, r.name, r.division, {allocated}, {left}, {held}"


def _money(sqlite: bool, prefixes: int) -> str:
    """The columns of a Tranche, of tranche `t` and fund `f`."""
    there = (
        f"a.kind = 'hold' and a.owner = t.tranche_no and a.earmark = f.fund_no and {_within('a.division', prefixes)}"
    )
    held = f"coalesce((select a.balance_fen from ledger_account a where {there}), 0)"
    paid = f"coalesce((select sum(-p.amount_fen) from ledger_account a join ledger_posting p on p.account_id = a.id {_ENTRY} where {there} and e.kind = 'paid'), 0)"
    seqs = ", ".join(_settled(once("")) for once in (held_once, paid_once, voided_once))
    return f"{id_text('t.id', sqlite)}, t.tranche_no, t.division, t.households, {held}, {paid}, {seqs}"


def _settled(act: str) -> str:
    """The entry that settled an act of tranche `t`."""
    return f"(select e.seq from ledger_entry e where e.book = substr(t.division, 1, 6) and e.once = '{act}' || t.tranche_no)"


@cache
def _projects(sqlite: bool, prefixes: int) -> str:
    """Takes the fund's number, the project's number to go on after, and how many."""
    number, after, limit = _places(prefixes, 3)
    rows = (
        f"from (select cast({number} as varchar(32)) as fund_no) f join ledger_account x on x.earmark = f.fund_no and x.kind = 'project' "
        f"join project r on r.project_no = x.owner where r.project_no > {after} and {_within('r.division', prefixes)} "
        f"order by r.project_no limit {limit}"
    )
    return f"select {listed(_share(sqlite, prefixes), rows, sqlite)}"


@cache
def _project(sqlite: bool, prefixes: int) -> str:
    """Takes the ids of fund and project, the tranche's number to go on after, and how many."""
    _, id, after, limit = _places(prefixes, 4)
    found = f"r as materialized (select * from project where id = {id} and {_within('division', prefixes)})"
    below = (
        f"from r, f, tranche t where t.project_id = r.id and t.tranche_no > {after} and {_within('t.division', prefixes)} "
        f"order by t.tranche_no limit {limit}"
    )
    return _of_fund(
        prefixes,
        found,
        first(_share(sqlite, prefixes), "from r, f", sqlite),
        listed(_money(sqlite, prefixes), below, sqlite),
    )


@cache
def _tranche(sqlite: bool, prefixes: int) -> str:
    """Takes the ids of fund and tranche, the household's number to go on after, and how many."""
    _, id, after, limit = _places(prefixes, 4)
    found = f"t as materialized (select * from tranche where id = {id} and {_within('division', prefixes)})"
    node = first(f"{_money(sqlite, prefixes)}, cast(t.funds as text)", "from t, f", sqlite)
    # In the order of the list, so that a page stops where it is full.
    lines = f"(select * from tranche_line where tranche_id = (select id from t) and household_no > {after} order by household_no) l"
    below = (
        f"from t, f, {lines} join ledger_account a on a.kind = 'household' and a.owner = l.household_no "
        "join ledger_posting p on p.account_id = a.id "
        f"where a.earmark = f.fund_no and p.book = substr(t.division, 1, 6) and p.seq = {_settled(paid_once(''))} "
        f"and {_within('p.division', prefixes)} order by l.household_no limit {limit}"
    )
    columns = "l.household_no, p.division, p.amount_fen, l.head_name_masked"
    return _of_fund(prefixes, found, node, listed(columns, below, sqlite))


def _of_fund(prefixes: int, found: str, node: str, below: str) -> str:
    source, *_ = _places(prefixes, 1)
    fund = f"f as materialized (select fund_no from source where id = {source} and {_within('division', prefixes)})"
    return f"with {fund}, {found} select (select fund_no from f), {node}, {below}"


def _within(column: str, prefixes: int) -> str:
    return in_area_text(column, prefixes, 1)


def _places(prefixes: int, number: int) -> list[str]:
    """The places after the bounds of the area."""
    return [f"${2 * prefixes + n}" for n in range(1, number + 1)]
