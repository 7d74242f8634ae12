"""Erasure (删除): what is personal of somebody who left a household is taken out of the file and its history; that it was is kept."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.registry.households import domain, records, service, store
from services.registry.households.schemas import HouseholdOut
from shared.ids import new_id
from shared.personal import ERASED
from shared.work import Work


async def erase(work: Work, household_id: UUID, member_id: UUID, reason: str) -> HouseholdOut:
    """Name, number, birth day, ethnic group and health of a departed person, wherever the register has them.

    The history keeps its entries, their days and authors, and says itself that somebody was erased, by whom and why.
    Raises HouseholdUnknown, MemberUnknown, StillOnFile, PersonErased.
    """
    row, member = await service.person_of(work, household_id, member_id)
    domain.require_erasable(left=member["left_on"] is not None, erased=member["id_blind"] == ERASED)
    number = str(member["member_no"])
    gone = domain.erased({**member, "id_blind": ERASED})
    values = {key: gone[key] for key in (*domain.ERASED_FIELDS, "id_blind")}
    opened = {"id": new_id(), "household_id": household_id, "member_no": member["member_no"], "at": work.now}
    await store.open_erasure(work.tx, {**opened, "actor": work.caller.subject, "reason": reason})
    entries = await store.entries(work.tx, household_id, work.area)
    await store.rewrite(work.tx, {line["id"]: _without(line["changes"], number) for line in entries})
    await store.erase_numbers(work.tx, member_id)
    await store.change_member(work.tx, member_id, values)
    await store.close_erasure(work.tx, opened["id"])
    told = {key: values[key] for key in domain.ERASED_FIELDS}
    changed = await records.change(work, row, {}, reason=reason, changes={"members": {number: told}})
    return await service.whole(work, changed)


def _without(changes: Mapping[str, Any], number: str) -> dict[str, Any]:
    people = changes.get("members", {})
    if number not in people:
        return dict(changes)
    return {**changes, "members": {**people, number: domain.erased(people[number])}}
