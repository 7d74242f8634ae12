"""The import of households (户) and people (人): rows judged against the register, then written in bulk with their history."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from services.registry.divisions import service as divisions
from services.registry.households import codes, domain, records, store
from services.registry.households.imports import HOUSEHOLDS, INCOME_YEARS, PEOPLE
from services.registry.roles import REGISTRARS, Ledger, require_keeper
from shared import pii
from shared.ids import new_id
from shared.imports.kinds import SLICE, ImportKind, Prepared, Tally, only
from shared.sheets import Checked, RowError, ValidRow
from shared.work import Work

REASON = "imported"

BATCH, YIELD = 1_000, 16
"""Households written at once, and households made ready before others get the loop: the writing, too, goes on in between."""

_INCOMES = {f"income_{year}": year for year in INCOME_YEARS}
_PROCEDURE_FIELDS = ("status", "identified_on", "exited_on")
"""Of a household that is on file these change by procedure alone; an empty or equal cell is no change."""


@dataclass(slots=True)
class _Register:
    """What the database knows of the households and people that a file names."""

    by_number: dict[str, store.Row]
    taken: set[str]
    homes: dict[str, UUID]
    """blind index of an ID number → household where that person lives"""
    members: dict[UUID, list[store.Row]]
    incomes: dict[UUID, dict[int, int]]
    blinds: dict[int, str]
    """row number in the sheet of people → blind index"""


@dataclass(slots=True)
class _Batch:
    """Rows to write, collected so that each table is written in few statements."""

    households: list[store.Row] = field(default_factory=list)
    members: list[store.Row] = field(default_factory=list)
    identities: list[store.Row] = field(default_factory=list)
    incomes: list[store.Row] = field(default_factory=list)
    renewed_incomes: list[store.Row] = field(default_factory=list)
    history: list[store.Row] = field(default_factory=list)
    renewed: list[store.Row] = field(default_factory=list)
    renewed_members: list[store.Row] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.history)

    async def flush(self, work: Work) -> None:
        await store.replace(work.tx, self.renewed, self.renewed_members)
        await store.add(
            work.tx,
            household_rows=self.households,
            member_rows=self.members,
            identity_rows=self.identities,
            first_income_rows=self.incomes,
            income_rows=self.renewed_incomes,
            history_rows=self.history,
        )
        await work.flush()  # a county's events, too, while the next batch is made


async def prepare_households(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """A file of households, with the sheet of their people or without it (a CSV)."""
    homes, people = sheets
    assert homes is not None
    return await _prepare(work, homes, people)


async def prepare_people(work: Work, sheets: Sequence[Checked | None]) -> Prepared:
    """A file of people of households that are on file."""
    return await _prepare(work, None, only(sheets))


KINDS = (
    ImportKind("households", (HOUSEHOLDS, PEOPLE), prepare_households, REGISTRARS),
    ImportKind("people", (PEOPLE,), prepare_people, REGISTRARS),
)


async def _prepare(work: Work, homes: Checked | None, people: Checked | None) -> Prepared:
    register = await _look_up(work, homes, people)
    named = {row.values["division"] for row in homes.valid} if homes else set()
    require_keeper(work, Ledger.REGISTRATION, named | {row["division"] for row in register.by_number.values()})
    villages = await divisions.villages_in_use(work) if homes else frozenset()
    # In a thread: a county's rows take longer than other requests should wait for the loop.
    homes, people = await asyncio.to_thread(_judge, homes, people, register, villages)

    async def write() -> Tally:
        return await _write(work, homes.valid if homes else [], people.valid if people else [], register)

    return Prepared(tuple(sheet for sheet in (homes, people) if sheet), write)


def _judge(
    homes: Checked | None, people: Checked | None, register: _Register, villages: frozenset[str]
) -> tuple[Checked | None, Checked | None]:
    """The sheets without the rows that the register or the rest of the file speaks against."""
    if homes:
        homes = homes.without([e for row in homes.valid if (e := _judge_household(homes, row, register, villages))])
    if people:
        people = people.without(_named_twice(people, register))
        entered = {row.values["household_no"] for row in homes.valid} if homes else set()
        people = people.without([e for row in people.valid if (e := _judge_person(people, row, register, entered))])
        people = people.without(_wrong_heads(people, register))
        if homes:
            homes = homes.without(_headless(homes, people, register))
            kept = {row.values["household_no"] for row in homes.valid} | set(register.by_number)
            people = people.without(
                [
                    people.error(
                        row, "household_no", "household_rejected", "该户有错误，未导入。", "Its household has errors."
                    )
                    for row in people.valid
                    if row.values["household_no"] not in kept
                ]
            )
    return homes, people


async def _look_up(work: Work, homes: Checked | None, people: Checked | None) -> _Register:
    numbers = {row.values["household_no"] for sheet in (homes, people) if sheet for row in sheet.valid}
    by_number = await store.by_numbers(work.tx, sorted(numbers), work.area, lock=True)
    ids = [row["id"] for row in by_number.values()]
    blinds = {}
    for row in people.valid if people else ():
        blinds[row.number] = work.vault.blind(row.values["id_number"], kind=pii.ID_KIND)
        if len(blinds) % SLICE == 0:
            await asyncio.sleep(0)
    written = pii.forms(blinds.values())
    members: dict[UUID, list[store.Row]] = defaultdict(list)
    for member in await store.members_of(work.tx, ids, work.area):
        member["id_blind"] = written.get(member["id_blind"], member["id_blind"])
        members[member["household_id"]].append(member)
    return _Register(
        by_number=by_number,
        taken=await store.taken_numbers(work.tx, sorted(numbers - set(by_number))),
        homes=await store.homes_of_people(work.tx, blinds.values()),
        members=members,
        incomes=await store.incomes_of(work.tx, ids, work.area),
        blinds=blinds,
    )


def _judge_household(sheet: Checked, row: ValidRow, register: _Register, villages: frozenset[str]) -> RowError | None:
    values = row.values
    if values["division"] not in villages:
        return sheet.error(
            row,
            "division",
            "division_unknown",
            "本辖区没有这个行政村，请先导入行政区划。",
            "No such village in your area; import divisions first.",
        )
    if values["household_no"] in register.taken:
        return sheet.error(
            row, "household_no", "household_no_taken", "户编号已被使用。", "This household number is in use."
        )
    if values["cause"] == values["other_cause"]:
        return sheet.error(row, "other_cause", "causes_repeat", "与主要致贫原因重复。", "Repeats the main cause.")
    before = register.by_number.get(values["household_no"])
    if before is None:
        if values["status"] == domain.Status.EXITED and values["exited_on"] is None:
            return sheet.error(
                row, "exited_on", "required", "已脱贫的户必填。", "Required for a household that has exited."
            )
        return None
    for key in _PROCEDURE_FIELDS:
        if values[key] is not None and values[key] != before[key]:
            return sheet.error(
                row,
                key,
                "by_procedure_only",
                "在册户的状态只能通过程序变更。",
                "On a household on file this changes by procedure alone.",
            )
    return None


def _judge_person(sheet: Checked, row: ValidRow, register: _Register, entered: set[str]) -> RowError | None:
    values = row.values
    home = register.by_number.get(values["household_no"])
    if home is None and values["household_no"] not in entered:
        return sheet.error(
            row,
            "household_no",
            "household_unknown",
            "本辖区内没有此户编号，或该户有错误。",
            "No such household in your area, or it has errors.",
        )
    lives_in = register.homes.get(register.blinds[row.number])
    if lives_in is not None and (home is None or home["id"] != lives_in):
        return sheet.error(
            row,
            "id_number",
            "person_in_other_household",
            "此人已在另一户中。",
            "This person is in another household already.",
        )
    if values["sex"] != pii.sex(values["id_number"]):
        return sheet.error(
            row, "sex", "sex_differs_from_id", "与证件号码中的性别不符。", "Differs from the sex in the ID number."
        )
    if not domain.sex_fits_relation(values["sex"], values["relation"]):
        return sheet.error(row, "relation", "relation_differs_from_sex", "与性别不符。", "Does not fit the sex.")
    return None


def _named_twice(people: Checked, register: _Register) -> list[RowError]:
    """Rows of somebody whom an earlier row names: one by the ID number, one by a disability certificate, which begins with it."""
    first: dict[str, int] = {}
    return [
        people.error(
            row,
            "id_number",
            "duplicate_in_file",
            f"与本文件第 {earlier} 行是同一人，请只保留一行。",
            f"The same person as in row {earlier} of this file; keep one of them.",
        )
        for row in people.valid
        if (earlier := first.setdefault(register.blinds[row.number], row.number)) != row.number
    ]


def _wrong_heads(people: Checked, register: _Register) -> list[RowError]:
    """Rows that give a household a second head, or take its only one away. A head on file counts unless the file names that person."""
    by_household: dict[str, list[ValidRow]] = defaultdict(list)
    for row in people.valid:
        by_household[row.values["household_no"]].append(row)
    named = {register.blinds[row.number] for row in people.valid}
    wrong: list[ValidRow] = []
    for number, rows in by_household.items():
        home = register.by_number.get(number)
        stands = home is not None and any(
            member["relation"] == codes.HEAD and member["left_on"] is None and member["id_blind"] not in named
            for member in register.members[home["id"]]
        )
        heads = [row for row in rows if row.values["relation"] == codes.HEAD]
        wrong += heads[0 if stands else 1 :]
        if home is not None and not stands and not heads:
            wrong += rows
    return [
        people.error(row, "relation", "one_head_needed", "一户有且只有一名户主。", "A household has exactly one head.")
        for row in wrong
    ]


def _headless(homes: Checked, people: Checked, register: _Register) -> list[RowError]:
    """New households of a workbook whose sheet of people gives them no head. Source: standards.md 1.3."""
    headed = Counter(row.values["household_no"] for row in people.valid if row.values["relation"] == codes.HEAD)
    return [
        homes.error(
            row,
            "household_no",
            "one_head_needed",
            "“人”表中没有该户的户主，或户主一行有错误。",
            "The sheet 人 has no head for it, or the head's row has errors.",
        )
        for row in homes.valid
        if row.values["household_no"] not in register.by_number and not headed[row.values["household_no"]]
    ]


async def _write(work: Work, homes: Sequence[ValidRow], people: Sequence[ValidRow], register: _Register) -> Tally:
    by_household: dict[str, list[ValidRow]] = defaultdict(list)
    for person in people:
        by_household[person.values["household_no"]].append(person)
    rows = {row.values["household_no"]: row.values for row in homes}
    created = changed = unchanged = 0
    async with _Pen(work) as pen:
        for number in dict.fromkeys([*rows, *by_household]):
            given, members = rows.get(number), by_household.get(number, [])
            before = register.by_number.get(number)
            if before is None:
                assert given is not None
                _enter(work, given, [(person.values, register.blinds[person.number]) for person in members], pen.batch)
                created += 1 + len(members)
            else:
                tally = _renew(work, before, given, members, register, pen.batch)
                created, changed, unchanged = (
                    created + tally.created,
                    changed + tally.changed,
                    unchanged + tally.unchanged,
                )
            await pen.turn()
    return Tally(created, changed, unchanged)


class _Pen:
    """Writes a batch while the next one is being made: the database works on one core, we on another."""

    def __init__(self, work: Work) -> None:
        self._work, self.batch = work, _Batch()
        self._writing: asyncio.Task[None] | None = None

    async def turn(self) -> None:
        """Lets the writing, and other requests, go on; hands over a full batch."""
        if self.batch.size >= BATCH:
            await self._hand_over()
        elif self.batch.size % YIELD == 0:
            await asyncio.sleep(0)

    async def _hand_over(self) -> None:
        if self._writing is not None:
            await self._writing
        self._writing, self.batch = asyncio.create_task(self.batch.flush(self._work)), _Batch()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._hand_over()
        if self._writing is not None:
            if kind is not None:
                self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=kind is not None)


def _enter(
    work: Work, given: Mapping[str, Any], people: Sequence[tuple[Mapping[str, Any], str]], batch: _Batch
) -> None:
    """A household that was not on file."""
    id = new_id()
    members = []
    for no, (values, blind) in enumerate(people, start=1):
        member, identity = records.new_member(work, _person(values), no, blind=blind)
        member["household_id"] = id
        members.append(member)
        batch.identities.append(identity)
    incomes = _incomes(given)
    household = {**_household(given), "id": id, "version": 1, **records.summary(members)}
    batch.households.append(household)
    batch.members += members
    batch.incomes += records.income_rows(id, incomes)
    batch.history.append(records.first_entry(work, household, members, incomes, reason=REASON))
    records.announce(work, household)


def _renew(
    work: Work,
    before: store.Row,
    given: Mapping[str, Any] | None,
    people: Sequence[ValidRow],
    register: _Register,
    batch: _Batch,
) -> Tally:
    """A household on file: what the file says differently is changed, new people join, nobody leaves."""
    members = register.members[before["id"]]
    by_blind = {member["id_blind"]: member for member in members if member["left_on"] is None}
    created = changed = unchanged = 0
    changes: dict[str, Any] = {}
    different = {}
    if given is not None:
        sent = {key: value for key, value in _household(given).items() if key not in _PROCEDURE_FIELDS}
        different = domain.differences(before, sent)
        known = register.incomes.get(before["id"], {})
        incomes = {year: fen for year, fen in _incomes(given).items() if known.get(year) != fen}
        if incomes:
            batch.renewed_incomes += records.income_rows(before["id"], incomes)
            changes["incomes"] = {str(year): fen for year, fen in incomes.items()}
        changed, unchanged = (1, 0) if different or incomes else (0, 1)
    after = [dict(member) for member in members]
    for row in people:
        member = by_blind.get(blind := register.blinds[row.number])
        if member is None:
            no = 1 + max((other["member_no"] for other in after), default=0)
            fresh, identity = records.new_member(work, _person(row.values), no, blind=blind)
            after.append(fresh)
            batch.members.append({**fresh, "household_id": before["id"]})
            batch.identities.append(identity)
            changes.setdefault("members", {})[str(no)] = records.member_fields(fresh)
            created += 1
        elif fields := _different(work, before, member, row.values, batch):
            renewed_member = next(other for other in after if other["id"] == member["id"])
            renewed_member |= fields
            batch.renewed_members.append(renewed_member)
            changes.setdefault("members", {})[str(member["member_no"])] = fields
            changed += 1
        else:
            unchanged += 1
    if different or changes:
        values = {**different, **records.summary(after)}
        told = {**different, **changes}
        renewed, line = records.next_version(work, before, values, reason=REASON, valid_from=work.today, changes=told)
        batch.renewed.append(renewed)
        batch.history.append(line)
    return Tally(created, changed, unchanged)


def _different(
    work: Work, before: store.Row, member: store.Row, given: Mapping[str, Any], batch: _Batch
) -> dict[str, Any]:
    """What a row says differently of a person on file. A certificate where there was an ID number is kept in its place."""
    fields = domain.differences(member, _person(given, without_id=True))
    number = given["id_number"]
    if len(number) > len(member["id_masked"]):
        fields["id_masked"] = pii.mask_id(number)
        batch.identities.append(records.identity(work, number, member["id"], before["version"] + 1))
    return fields


def _household(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in records.HOUSEHOLD_FIELDS}


def _incomes(given: Mapping[str, Any]) -> dict[int, int]:
    return {year: given[key] for key, year in _INCOMES.items() if given[key] is not None}


def _person(given: Mapping[str, Any], *, without_id: bool = False) -> dict[str, Any]:
    person = dict(given)
    del person["household_no"]
    if without_id:
        del person["id_number"]
    return person
