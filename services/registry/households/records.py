"""Builds the rows of a household's file: members, sealed identities, history entries, and the event that tells of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Any
from uuid import UUID

from services.registry.households import codes, domain, store
from services.registry.households.schemas import identity_values
from shared import pii
from shared.errors import Stale
from shared.events.registry import HouseholdRecorded, HouseholdStatus
from shared.ids import new_id
from shared.work import Work

HOUSEHOLD_FIELDS = (
    "household_no", "division", "group", "status", "attribute", "cause", "other_cause",
    "identified_on", "exited_on", "standard", "housing", "safe_water", "remark",
)  # fmt: skip
MEMBER_FIELDS = (
    "name", "sex", "born_on", "id_masked", "relation", "ethnic", "education", "student", "health",
    "labour", "work_place", "work_months", "dibao", "insured", "pension", "left_on", "left_reason",
)  # fmt: skip
_MEMBER = itemgetter(*MEMBER_FIELDS)


def new_member(
    work: Work, values: Mapping[str, Any], member_no: int, *, blind: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A member's row (without `household_id`) and its sealed identity. `values` holds `id_number` in the open."""
    member = {
        **values,
        **identity_values(number := values["id_number"]),
        "id": new_id(),
        "member_no": member_no,
        "id_blind": blind or work.vault.blind(number, kind=pii.ID_KIND),
        "left_on": None,
        "left_reason": None,
    }
    del member["id_number"]
    return member, identity(work, number, member["id"], 1)


def identity(work: Work, number: str, member_id: UUID, version: int) -> dict[str, Any]:
    id = new_id()
    sealed = work.vault.seal(number, column=store.NUMBER, row=id)
    return {"id": id, "member_id": member_id, "version": version, "number_sealed": sealed, "recorded_at": work.now}


def summary(people: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the household's row keeps of its people: how many live in it, and the head's masked name."""
    living = [person for person in people if person["left_on"] is None]
    head = next((person["name"] for person in living if person["relation"] == codes.HEAD), "")
    return {"people": len(living), "head_name_masked": pii.mask_name(head)}


def income_rows(household_id: UUID, incomes: Mapping[int, int]) -> list[dict[str, Any]]:
    return [
        {"household_id": household_id, "year": year, "net_per_head_fen": amount}
        for year, amount in sorted(incomes.items())
    ]


def first_entry(
    work: Work,
    household: Mapping[str, Any],
    people: Sequence[Mapping[str, Any]],
    incomes: Mapping[int, int],
    *,
    reason: str,
) -> dict[str, Any]:
    """The first entry of a history: everything, valid from the day it is known to hold."""
    changes = {key: household[key] for key in HOUSEHOLD_FIELDS}
    changes["incomes"] = {str(year): amount for year, amount in sorted(incomes.items())}
    changes["members"] = {str(person["member_no"]): member_fields(person) for person in people}
    since = household["identified_on"] or work.today
    return entry(work, household["id"], 1, changes, reason=reason, valid_from=min(since, work.today))


def entry(
    work: Work, household_id: UUID, version: int, changes: Mapping[str, Any], *, reason: str, valid_from: date
) -> dict[str, Any]:
    return {
        "household_id": household_id,
        "version": version,
        "valid_from": valid_from,
        "recorded_at": work.now,
        "actor": work.caller.subject,
        "reason": reason,
        "changes": changes,
    }


def announce(work: Work, household: Mapping[str, Any], *, also_in: str | None = None) -> None:
    """Records HouseholdRecorded. `also_in`: the division it left, so that the feed of that area hears of it."""
    fact = HouseholdRecorded(
        household_id=household["id"],
        household_no=household["household_no"],
        division=household["division"],
        head_name_masked=household["head_name_masked"],
        people=household["people"],
        status=HouseholdStatus(household["status"]),
    )
    for division in filter(None, (also_in, household["division"])):
        work.record(fact, division=division, version=household["version"])


def member_fields(person: Mapping[str, Any]) -> dict[str, Any]:
    """A person's fields as the history keeps them."""
    return dict(zip(MEMBER_FIELDS, _MEMBER(person), strict=True))


async def change(
    work: Work,
    row: Mapping[str, Any],
    values: dict[str, Any],
    *,
    reason: str,
    valid_from: date | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes the new state, its history entry and its event. Raises Stale when somebody was faster, FutureDate.

    `values`: columns of the household that are different from now on. `changes`: what the history is told; default `values`.
    """
    since = valid_from or work.today
    domain.require_not_future(since, work.today)
    if not await store.change(work.tx, row["id"], seen=row["version"], values=values):
        raise Stale("Somebody changed it since you read it. Read it again.")
    after, line = next_version(work, row, values, reason=reason, valid_from=since, changes=changes)
    await store.add(work.tx, history_rows=[line])
    return after


def next_version(
    work: Work,
    row: Mapping[str, Any],
    values: dict[str, Any],
    *,
    reason: str,
    valid_from: date,
    changes: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row as it becomes, and its history entry; its event is recorded. The caller writes both."""
    after = {**row, **values, "version": row["version"] + 1}
    told = values if changes is None else changes
    announce(work, after, also_in=row["division"] if row["division"] != after["division"] else None)
    return after, entry(work, row["id"], after["version"], told, reason=reason, valid_from=valid_from)


async def entries_of(work: Work, household_id: UUID) -> list[domain.Entry]:
    """The history of a household of the caller's area."""
    return [
        domain.Entry(line["version"], line["valid_from"], line["recorded_at"], line["changes"])
        for line in await store.entries(work.tx, household_id, work.area)
    ]


async def still_true(work: Work, household_id: UUID, changes: dict[str, Any], since: date | None) -> dict[str, Any]:
    """Of changes that took effect on `since`, those that no later change has overtaken. None and today: all of them."""
    if since is None or since >= work.today:
        return dict(changes)
    return domain.still_true(changes, since, await entries_of(work, household_id))
