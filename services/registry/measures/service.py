"""Use cases of measures: give one, give many from a file, end one, list."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.registry.client_refs import first_answer
from services.registry.households import service as households
from services.registry.measures import domain, store
from services.registry.measures.domain import Catalogue, Kind, Order, read_catalogue
from services.registry.measures.schemas import EndIn, MeasureIn, MeasureOut
from services.registry.roles import Ledger, require_keeper
from shared.errors import NotFound, Refusal, Stale
from shared.events.registry import MeasureChanged
from shared.http import Match, Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.imports.kinds import SLICE
from shared.scope import Area
from shared.work import Work


class MeasureUnknown(NotFound):
    code = "measure_unknown"


class HouseholdUnknown(NotFound):
    code = "household_unknown"


class RepeatedInFile(Refusal):
    code = "repeated_in_file"


@dataclass(frozen=True, slots=True)
class BulkRow:
    """One row of a file: `number` is its line; the order is in the county's words; an empty scope means the pathway's own."""

    number: int
    household_no: str
    order: Order
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A measure of a file that may be given: its row, and where its household lies and stands."""

    row: dict[str, Any]
    division: str
    household_version: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What may become of the rows of a file: the new measures, how many stand there just so, and why the others may not."""

    fresh: list[Fresh]
    unchanged: int
    refused: dict[int, Refusal]


async def give_measure(work: Work, order: MeasureIn) -> MeasureOut:
    """Gives a household a measure.

    The household is locked: of two measures at once the second is judged with the first.
    Raises what domain.classify raises; NotFound for an unknown household; ClientRefTaken.
    """
    if order.client_ref and (first := await store.find_by_client_ref(work.tx, work.caller.client, order.client_ref)):
        return await first_answer(show_measure(work, first))
    household = await households.load(work, order.household_id, lock=True)
    require_keeper(work, Ledger.MEASURES, [household.division])
    catalogue = _catalogue(work, household.division)
    wanted = Order(
        order.pathway, order.sub, order.scope or "", order.year, order.persons, order.started_on, order.valid_until
    )
    held = [_kind(row) for row in await store.held_by(work.tx, [household.id], work.area)]
    wanted = _in_scope(catalogue, wanted)
    kind = domain.classify(
        catalogue, wanted, status=household.status, people=household.people, held=held, today=work.today
    )
    id = new_id()
    row = _row(work, id, household.id, kind, wanted, order.remark) | {
        "client": work.caller.client,
        "client_ref": order.client_ref,
    }
    await store.add_measures(work.tx, [row])
    _record(work, id, household.id, household.division, household.version, kind)
    return await show_measure(work, id)


async def judge_measures(work: Work, rows: Sequence[BulkRow]) -> Judged:
    """Judges the rows of a file in their order, against the database and against each other. Writes nothing.

    A row whose measure is held already with the same persons and dates is unchanged.
    """
    found = await households.find_by_numbers(work, [row.household_no for row in rows], lock=True)
    require_keeper(work, Ledger.MEASURES, {household.division for household in found.values()})
    held: dict[UUID, dict[Kind, Mapping[Any, Any]]] = defaultdict(dict)
    for standing in await store.held_by(work.tx, [household.id for household in found.values()], work.area):
        held[standing["household_id"]][_kind(standing)] = standing
    catalogues: dict[str, Catalogue] = {}
    judged = Judged([], 0, {})
    unchanged = 0
    for n, row in enumerate(rows, 1):
        if n % SLICE == 0:
            await asyncio.sleep(0)
        household = found.get(row.household_no)
        if household is None:
            judged.refused[row.number] = HouseholdUnknown("There is no household of this number in your area.")
            continue
        catalogue = catalogues.get(household.division)
        if catalogue is None:
            catalogue = catalogues[household.division] = _catalogue(work, household.division)
        order, mine = _in_scope(catalogue, row.order), held[household.id]
        try:
            kind = domain.classify(
                catalogue, order, status=household.status, people=household.people, held=mine, today=work.today
            )
        except domain.MeasureGiven as given:
            before = mine[_same_kind(catalogue, order)]
            if "version" not in before:
                judged.refused[row.number] = RepeatedInFile(
                    "Another row of this file gives the household the same measure."
                )
            elif (before["persons"], before["started_on"], before["valid_until"]) == (
                order.persons,
                order.started_on,
                order.valid_until,
            ):
                unchanged += 1
            else:
                judged.refused[row.number] = given
            continue
        except Refusal as refusal:
            judged.refused[row.number] = refusal
            continue
        mine[kind] = {}
        values = _row(work, new_id(), household.id, kind, order, row.remark)
        judged.fresh.append(Fresh(values, household.division, household.version))
    return Judged(judged.fresh, unchanged, judged.refused)


async def give_judged(work: Work, fresh: Sequence[Fresh]) -> None:
    """Gives the measures that judge_measures found good. Emits MeasureChanged for each."""
    for start in range(0, len(fresh), SLICE):
        part = fresh[start : start + SLICE]
        await store.add_measures(work.tx, [measure.row for measure in part])
        for measure in part:
            row = measure.row
            _record(work, row["id"], row["household_id"], measure.division, measure.household_version, _kind(row))
        await asyncio.sleep(0)


async def end_measure(work: Work, id: UUID, order: EndIn, match: Match) -> MeasureOut:
    """Takes a measure away. Raises MeasureUnknown, MeasureEnded, EndsLater, DatesCross, Stale."""
    row = await store.find_measure(work.tx, id, work.area)
    if row is None:
        raise MeasureUnknown("There is no such measure in your area.")
    household = await households.load(work, row["household_id"])
    require_keeper(work, Ledger.MEASURES, [household.division])
    match(row["version"])
    domain.require_endable(row["started_on"], row["ended_on"], order.ended_on, work.today)
    if not await store.end_measure(work.tx, id, seen=row["version"], ended_on=order.ended_on, reason=order.reason):
        raise Stale("Somebody changed it since you read it. Read it again.")
    _record(work, id, household.id, household.division, household.version, _kind(row), ended=True)
    return await show_measure(work, id)


async def show_measure(work: Work, id: UUID) -> MeasureOut:
    row = await store.find_measure(work.tx, id, work.area)
    if row is None:
        raise MeasureUnknown("There is no such measure in your area.")
    return MeasureOut.model_validate(dict(row))


async def list_measures(
    work: Work,
    page: PageQuery,
    *,
    household_id: UUID | None,
    pathway: str | None,
    scope: str | None,
    year: int | None,
    division: str | None,
) -> Page[MeasureOut]:
    rows = await store.list_measures(
        work.tx,
        work.area,
        household_id=household_id,
        pathway=pathway,
        scope=scope,
        year=year,
        within=Area.of([division]) if division else None,
        after=tuple(decode_cursor(page.after, str, UUID)) if page.after else None,
        limit=page.limit,
    )
    items = [MeasureOut.model_validate(dict(row)) for row in rows]
    shown, following = page_of(items, page.limit, lambda measure: encode_cursor(measure.household_no, measure.id))
    return Page(items=shown, next=following)


def _catalogue(work: Work, division: str) -> Catalogue:
    return read_catalogue(work.policies.value("registry.pathways", division, work.today))


def _in_scope(catalogue: Catalogue, order: Order) -> Order:
    """The order with its pathway's own scope where it names none."""
    pathway = catalogue.pathway(order.pathway)
    if order.scope or pathway is None:
        return order
    return Order(
        order.pathway, order.sub, pathway.scope, order.year, order.persons, order.started_on, order.valid_until
    )


def _kind(row: Mapping[Any, Any]) -> Kind:
    return Kind(row["pathway"], row["sub"], row["scope"], row["year"])


def _same_kind(catalogue: Catalogue, order: Order) -> Kind:
    """The kind of an order that has been refused because the household holds it."""
    pathway = catalogue.pathway(order.pathway)
    assert pathway is not None
    sub = pathway.sub(order.sub) if order.sub else None
    return Kind(pathway.key, sub.key if sub else "", order.scope, order.year)


def _row(work: Work, id: UUID, household_id: UUID, kind: Kind, order: Order, remark: str | None) -> dict[str, Any]:
    return {
        "id": id,
        "household_id": household_id,
        "pathway": kind.pathway,
        "sub": kind.sub,
        "scope": kind.scope,
        "year": kind.year,
        "persons": order.persons,
        "started_on": order.started_on,
        "valid_until": order.valid_until,
        "remark": remark,
        "actor": work.caller.subject,
        "recorded_at": work.now,
        "version": 1,
    }


def _record(
    work: Work, id: UUID, household_id: UUID, division: str, version: int, kind: Kind, *, ended: bool = False
) -> None:
    work.record(
        MeasureChanged(
            household_id=household_id,
            measure_id=id,
            division=division,
            pathway=kind.pathway,
            sub=kind.sub or None,
            scope=kind.scope,
            year=kind.year,
            ended=ended,
        ),
        division=division,
        version=version,
    )
