"""Use cases of households (户): read, change with history, and the steps other rooms take with a household."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.registry.divisions import service as divisions
from services.registry.households import card, codes, domain, records, store
from services.registry.households.schemas import (
    Change,
    Changes,
    HistoryEntry,
    HouseholdBrief,
    HouseholdIn,
    HouseholdOut,
    HouseholdPatch,
    IncomeOut,
    MemberAdd,
    MemberIn,
    MemberPatch,
    PastHousehold,
    Unmasked,
    identity_values,
    masked,
)
from services.registry.roles import Ledger, require_keeper
from shared import outbox, pii
from shared.events.registry import HouseholdRecorded
from shared.http import Match, Page, PageQuery, Small, decode_cursor, encode_cursor, page_of
from shared.ids import new_id
from shared.money import yuan
from shared.personal import ERASED
from shared.scope import Area
from shared.seen import store as seen
from shared.work import Glance, Work


@dataclass(frozen=True, slots=True)
class HouseholdFile:
    """What other rooms need to know of a household (户). `people`: members living in it."""

    id: UUID
    household_no: str
    division: str
    status: domain.Status
    people: int
    head_name_masked: str
    identified_on: date | None
    exited_on: date | None
    version: int


# What other rooms do with a household


async def load(work: Work, household_id: UUID, *, lock: bool = False) -> HouseholdFile:
    """Raises HouseholdUnknown when there is none in the caller's area. `lock`: see `store.find`."""
    return _file(await _row(work, household_id, lock=lock))


async def find_by_numbers(work: Work, numbers: Iterable[str], *, lock: bool = False) -> dict[str, HouseholdFile]:
    """Household number → file, of those in the caller's area. `lock`: see `store.find`."""
    found = await store.by_numbers(work.tx, numbers, work.area, lock=lock)
    return {number: _file(row) for number, row in found.items()}


async def add_candidate(work: Work, order: HouseholdIn) -> HouseholdFile:
    """Opens the file of a household in identification (识别中).

    Raises DivisionUnknown, HouseholdNumberTaken, PersonElsewhere, HeadMissing, SexConflict, CausesRepeat.
    """
    await divisions.require_village(work, order.division)
    domain.require_distinct_causes(order.cause, order.other_cause)
    domain.require_one_head([member.relation for member in order.members], codes.HEAD)
    for person in order.members:
        domain.require_sex(person.sex, pii.sex(person.id_number), person.relation)
    if await store.taken_numbers(work.tx, [order.household_no]):
        raise domain.HouseholdNumberTaken("This household number is in use. Take the next free one.")
    people = [records.new_member(work, member.model_dump(), no) for no, member in enumerate(order.members, start=1)]
    await _require_free(work, [member["id_blind"] for member, _ in people], household_id=None)
    household = {
        **order.model_dump(exclude={"members", "incomes"}),
        "id": new_id(),
        "status": domain.Status.CANDIDATE.value,
        "identified_on": None,
        "exited_on": None,
        "version": 1,
        **records.summary([member for member, _ in people]),
    }
    await store.add(
        work.tx,
        household_rows=[household],
        member_rows=[{**member, "household_id": household["id"]} for member, _ in people],
        identity_rows=[identity for _, identity in people],
        income_rows=records.income_rows(household["id"], order.incomes),
        history_rows=[
            records.first_entry(work, household, [member for member, _ in people], order.incomes, reason="entered")
        ],
    )
    records.announce(work, household)
    return _file(household)


async def register(work: Work, household_id: UUID, *, on: date, case_no: str) -> HouseholdFile:
    """Puts a candidate on the register (纳入) by a passed identification case. Raises NotACandidate."""
    row = await _row(work, household_id)
    domain.require_candidate(row["status"])
    values = {"status": domain.Status.REGISTERED.value, "identified_on": on}
    return _file(await records.change(work, row, values, reason=f"identification case {case_no}", valid_from=on))


async def mark_exited(work: Work, household_id: UUID, *, on: date, case_no: str) -> HouseholdFile:
    """Marks the exit (脱贫) by a passed exit case. Raises NotOnRegister."""
    row = await _row(work, household_id)
    domain.require_on_register(row["status"])
    values = {"status": domain.Status.EXITED.value, "exited_on": on}
    return _file(await records.change(work, row, values, reason=f"exit case {case_no}", valid_from=on))


async def income_fen(work: Work, household_id: UUID, year: int) -> int | None:
    """Net income per head (人均纯收入) of a year in fen; None when it was not entered."""
    return (await store.incomes_of(work.tx, [household_id], work.area)).get(household_id, {}).get(year)


# Reading


async def list_households(
    work: Work, paging: PageQuery, *, division: str | None, status: domain.Status | None, household_no: str | None
) -> Page[HouseholdBrief]:
    """Households of the caller's area by number; `division` narrows to what lies in it."""
    after = decode_cursor(paging.after, str)[0] if paging.after else None
    rows = await store.page(
        work.tx,
        work.area,
        within=Area.of([division]) if division else None,
        status=status,
        household_no=household_no,
        after=after,
        limit=paging.limit,
    )
    shown, following = page_of(rows, paging.limit, lambda row: encode_cursor(row["household_no"]))
    return Page(items=[_brief(row) for row in shown], next=following)


async def show(glance: Glance, household_id: UUID) -> tuple[int, bytes]:
    """The present file with its people: its version, and a HouseholdOut as JSON. Raises HouseholdUnknown."""
    found = await card.find(glance.database, household_id, glance.area)
    if found is None:
        raise _unknown()
    return found


async def show_past(
    work: Work, household_id: UUID, *, valid_on: date | None, known_at: datetime | None
) -> PastHousehold:
    """The file as it was on a day, as far as it was known at an instant. Raises HouseholdUnknown when nothing was known."""
    row = await _row(work, household_id)
    valid_on, known_at = valid_on or work.today, known_at or work.now
    entries = await records.entries_of(work, row["id"])
    state = domain.as_of(entries, valid_on=valid_on, known_at=known_at)
    if state is None:
        raise domain.HouseholdUnknown("Nothing was known of this household then. Ask for a later day or instant.")
    return PastHousehold(id=row["id"], valid_on=valid_on, known_at=known_at, file=state)


async def show_history(work: Work, household_id: UUID, paging: PageQuery) -> Page[HistoryEntry]:
    """Every entry of the history by version. Raises HouseholdUnknown."""
    row = await _row(work, household_id)
    after = decode_cursor(paging.after, Small)[0] if paging.after else 0
    rows = await store.entries(work.tx, row["id"], work.area, after=after, limit=paging.limit + 1)
    shown, following = page_of(rows, paging.limit, lambda entry: encode_cursor(entry["version"]))
    return Page(
        items=[HistoryEntry(**{key: entry[key] for key in HistoryEntry.model_fields}) for entry in shown],
        next=following,
    )


async def list_changes(work: Work, paging: PageQuery) -> Changes:
    """What changed after the cursor, in order. A household that left the caller's area comes as a tombstone."""
    after = decode_cursor(paging.after, int)[0] if paging.after else 0
    found = await outbox.feed(work.tx, HouseholdRecorded.topic, work.area, after, paging.limit)
    present = {
        row["id"]: row for row in await store.find_many(work.tx, [UUID(change.key) for change in found], work.area)
    }
    items = [
        Change(
            id=(id := UUID(change.key)),
            deleted=id not in present,
            changed_at=change.recorded_at,
            household=_brief(present[id]) if id in present else None,
        )
        for change in found
    ]
    return Changes(items=items, next=encode_cursor(found[-1].position if found else after))


# Changing


async def change(work: Work, household_id: UUID, order: HouseholdPatch, match: Match) -> HouseholdOut:
    """Changes fields of the file, from a day on that is not after today.

    Raises HouseholdUnknown, Stale, DivisionUnknown, CausesRepeat, FutureDate.
    """
    row = await _row(work, household_id)
    sent = order.fields()
    require_keeper(work, Ledger.MONITORING, {row["division"], str(sent.get("division", row["division"]))})
    match(row["version"])
    if "incomes" in sent:
        sent["incomes"] = {str(year): amount for year, amount in sorted(sent["incomes"].items())}
    fields = await records.still_true(work, row["id"], sent, order.valid_from)
    incomes = {int(year): amount for year, amount in fields.pop("incomes", {}).items()}
    if "division" in fields:
        await divisions.require_village(work, fields["division"])
    after = {**row, **fields}
    domain.require_distinct_causes(after["cause"], after["other_cause"])
    await store.add(work.tx, income_rows=records.income_rows(row["id"], incomes))
    changed = await records.change(work, row, fields, reason=order.reason, valid_from=order.valid_from, changes=sent)
    return await whole(work, changed)


async def add_member(work: Work, household_id: UUID, order: MemberAdd, match: Match) -> HouseholdOut:
    """A person joins the household. Raises HouseholdUnknown, Stale, PersonElsewhere, HeadMissing, SexConflict, FutureDate."""
    row = await _row(work, household_id)
    require_keeper(work, Ledger.MONITORING, [row["division"]])
    match(row["version"])
    domain.require_sex(order.sex, pii.sex(order.id_number), order.relation)
    people = [dict(member) for member in await store.members_of(work.tx, [row["id"]], work.area)]
    values = order.model_dump(include=set(MemberIn.model_fields))
    member, identity = records.new_member(work, values, 1 + max((person["member_no"] for person in people), default=0))
    await _require_free(work, [member["id_blind"]], household_id=None)
    people.append(member)
    await store.add(work.tx, member_rows=[{**member, "household_id": row["id"]}], identity_rows=[identity])
    return await _people_changed(
        work, row, people, {str(member["member_no"]): records.member_fields(member)}, order.reason, order.valid_from
    )


async def change_member(
    work: Work, household_id: UUID, member_id: UUID, order: MemberPatch, match: Match
) -> HouseholdOut:
    """Changes a person's data, or ends the membership (left_on, left_reason).

    Raises HouseholdUnknown, MemberUnknown, Stale, MemberLeft, PersonElsewhere, HeadMissing, SexConflict, FutureDate.
    """
    row = await _row(work, household_id)
    require_keeper(work, Ledger.MONITORING, [row["division"]])
    match(row["version"])
    people = [dict(member) for member in await store.members_of(work.tx, [row["id"]], work.area)]
    member = next((person for person in people if person["id"] == member_id), None)
    if member is None:
        raise domain.MemberUnknown("There is no such person in this household.")
    if member["left_on"] is not None:
        raise domain.MemberLeft("This person has left the household; the file of a departed person stays as it is.")
    fields = order.fields()
    if fields.get("left_on"):
        domain.require_not_future(fields["left_on"], work.today)
    number = fields.pop("id_number", None)
    if number or fields.keys() & {"sex", "relation"}:  # on file they agree
        after = {**member, **fields}
        domain.require_sex(after["sex"], pii.sex(number) if number else member["sex"], after["relation"])
    if number:
        fields |= {**identity_values(number), "id_blind": work.vault.blind(number, kind=pii.ID_KIND)}
        same = member["id_blind"] in pii.forms([fields["id_blind"]])
        await _require_free(work, [fields["id_blind"]], household_id=row["id"] if same else None)
        await store.add(work.tx, identity_rows=[records.identity(work, number, member_id, row["version"] + 1)])
    told = {str(member["member_no"]): {key: fields[key] for key in records.MEMBER_FIELDS if key in fields}}
    current = await records.still_true(work, row["id"], {"members": told}, order.valid_from)
    moved = current.get("members", {}).get(str(member["member_no"]), {})
    values = {key: value for key, value in fields.items() if key in moved or key == "id_blind"}
    member |= values
    if values:
        await store.change_member(work.tx, member_id, values)
    return await _people_changed(work, row, people, told, order.reason, order.valid_from)


async def unmask(work: Work, household_id: UUID, member_id: UUID, reason: str) -> Unmasked:
    """Shows a person's ID number in full, and puts on record who saw it and why.

    Raises HouseholdUnknown, MemberUnknown, PersonErased.
    """
    row, member = await person_of(work, household_id, member_id)
    sealed = await store.sealed_number(work.tx, member_id, work.area)
    if sealed is None:
        raise domain.MemberUnknown("There is no such person in this household.")
    if sealed["number_sealed"] == ERASED:
        raise domain.PersonErased("This person's data was erased.")
    await seen.add_unmasking(
        work, household=household_id, person=member_id, division=row["division"], field="id_number", reason=reason
    )
    number = work.vault.open(sealed["number_sealed"], column=store.NUMBER, row=sealed["id"])
    return Unmasked(member_id=member_id, name=member["name"], id_number=number)


async def person_of(work: Work, household_id: UUID, member_id: UUID) -> tuple[store.Row, store.Row]:
    """A household of the area and a person of its file, the departed too. Raises HouseholdUnknown, MemberUnknown."""
    row = await _row(work, household_id, lock=True)
    people = await store.members_of(work.tx, [row["id"]], work.area)
    for member in people:
        if member["id"] == member_id:
            return row, member
    raise domain.MemberUnknown("There is no such person in this household.")


async def _people_changed(
    work: Work,
    row: Mapping[str, Any],
    people: Sequence[Mapping[str, Any]],
    changes: dict[str, Any],
    reason: str,
    valid_from: date | None,
) -> HouseholdOut:
    living = [person for person in people if person["left_on"] is None]
    if living:
        domain.require_one_head([person["relation"] for person in living], codes.HEAD)
    changed = await records.change(
        work, row, records.summary(people), reason=reason, valid_from=valid_from, changes={"members": changes}
    )
    return await whole(work, changed)


async def _require_free(work: Work, blinds: Sequence[str], *, household_id: UUID | None) -> None:
    """Raises PersonElsewhere when one of these people lives in another household of the register, or is named twice."""
    homes = await store.homes_of_people(work.tx, blinds)
    if len(set(blinds)) < len(blinds) or any(home != household_id for home in homes.values()):
        raise domain.PersonElsewhere(
            "A person with this ID number is on the register already. End that membership first."
        )


async def _row(work: Work, household_id: UUID, *, lock: bool = False) -> store.Row:
    row = await store.find(work.tx, household_id, work.area, lock=lock)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> domain.HouseholdUnknown:
    return domain.HouseholdUnknown("There is no such household in your area.")


async def whole(work: Work, row: Mapping[str, Any]) -> HouseholdOut:
    people = await store.members_of(work.tx, [row["id"]], work.area)
    incomes = (await store.incomes_of(work.tx, [row["id"]], work.area)).get(row["id"], {})
    return HouseholdOut(
        **{key: row[key] for key in HouseholdOut.model_fields if key in row},
        incomes=[
            IncomeOut(year=year, net_per_head_fen=fen, net_per_head_yuan=yuan(fen))
            for year, fen in sorted(incomes.items())
        ],
        members=[masked(member) for member in people],
    )


def _brief(row: Mapping[str, Any]) -> HouseholdBrief:
    return HouseholdBrief(**{key: row[key] for key in HouseholdBrief.model_fields})


def _file(row: Mapping[str, Any]) -> HouseholdFile:
    return HouseholdFile(
        id=row["id"],
        household_no=row["household_no"],
        division=row["division"],
        status=domain.Status(row["status"]),
        people=row["people"],
        head_name_masked=row["head_name_masked"],
        identified_on=row["identified_on"],
        exited_on=row["exited_on"],
        version=row["version"],
    )
