"""Erasure: what is personal of who has left is nowhere any more; file, history and feed go on and say that it was done."""

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError

from services.registry.households.domain import ERASED_NAME
from services.registry.households.store import erasures, history, identities, members
from shared.pii import mask_id
from shared.roles import Role
from shared.tables import idempotency

PATH = "/registry/v1/households"
WHY = {"reason": "入户核实"}
ASKED = {"reason": "本人申请删除"}


@pytest.fixture
def clerk(registry):
    return registry.village(Role.VILLAGE_CLERK, "clerk")


@pytest.fixture
def privacy(registry):
    return registry.live.as_(Role.PRIVACY, subject="zhao")


@pytest.fixture
async def left(registry, clerk):
    """(address of the household, of somebody who lived there and left, his data as it was entered)."""
    household, person = await registry.household(), {**registry.person("20"), "name": "欧阳试验"}
    joined = (await clerk.post(f"{PATH}/{household.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})).json()
    member = f"{PATH}/{household.id}/members/{joined['members'][-1]['id']}"
    registry.live.pass_days(1)
    gone = await clerk.patch(member, {"left_on": "2016-11-02", "left_reason": "01", **WHY}, etag='"3"')
    assert gone.status_code == 200, gone.text
    return f"{PATH}/{household.id}", member, person


async def test_nothing_of_the_person_is_left_and_the_history_says_who_erased_it(registry, clerk, privacy, left):
    household, member, person = left
    before = (await clerk.get(f"{household}/history")).json()["items"]
    erased = await privacy.post(f"{member}/erasure", ASKED)
    assert erased.status_code == 201, erased.text
    shown = erased.json()["members"][-1]
    assert (shown["name"], shown["id_number_masked"], shown["ethnic"], shown["health"]) == (ERASED_NAME, "", "", "")
    assert shown["born_on"].endswith("-01-01")
    after = (await clerk.get(f"{household}/history")).json()["items"]
    assert [(e["version"], e["valid_from"], e["actor"], e["reason"]) for e in after[:-1]] == [
        (e["version"], e["valid_from"], e["actor"], e["reason"]) for e in before
    ]
    assert (after[-1]["actor"], after[-1]["reason"]) == ("zhao", "本人申请删除")
    async with registry.live.service.database.read() as tx:
        rows = [str(row) for table in (members, history, identities) for row in await tx.execute(select(table))]
    kept = "\n".join(rows)
    assert [text for text in ("欧阳试验", mask_id(person["id_number"])) if text in kept] == []


async def test_all_others_and_all_days_stay_as_they_were(clerk, privacy, left):
    household, member, _ = left
    days = [{"valid_on": "2016-11-01"}, {"valid_on": "2016-11-02"}, {}]
    before = [(await clerk.get(f"{household}/as-of", **day)).json()["file"] for day in days]
    await privacy.post(f"{member}/erasure", ASKED)
    after = [(await clerk.get(f"{household}/as-of", **day)).json()["file"] for day in days]
    for was, now in zip(before, after, strict=True):
        number = max(was["members"], key=int)
        was["members"].pop(number), now["members"].pop(number)
        assert now == was


async def test_who_lives_in_the_household_is_not_erased_and_nobody_twice(registry, clerk, privacy, left):
    household, member, _ = left
    living = (await clerk.get(household)).json()["members"][0]["id"]
    refused = await privacy.post(f"{household}/members/{living}/erasure", ASKED)
    assert (refused.status_code, refused.json()["code"]) == (409, "still_on_file")
    assert (await privacy.post(f"{member}/erasure", ASKED)).status_code == 201
    again = await privacy.post(f"{member}/erasure", ASKED)
    assert (again.status_code, again.json()["code"]) == (409, "person_erased")
    unmasked = await privacy.post(f"{member}/unmask", WHY)
    assert (unmasked.status_code, unmasked.json()["code"]) == (409, "person_erased")


async def test_it_needs_the_role_and_a_reason_and_is_on_record(registry, clerk, privacy, left):
    _, member, _ = left
    assert (await clerk.post(f"{member}/erasure", ASKED)).status_code == 403
    assert (await privacy.post(f"{member}/erasure", {"reason": ""})).status_code == 422
    await privacy.post(f"{member}/erasure", ASKED)
    async with registry.live.service.database.read() as tx:
        [row] = (await tx.execute(select(erasures))).all()
    assert (row.actor, row.reason, row.is_open) == ("zhao", "本人申请删除", False)


async def test_the_history_is_rewritten_by_an_erasure_alone(registry, privacy, left):
    _, member, _ = left

    async def meddle():
        async with registry.live.service.database.write() as tx:
            await tx.execute(text("update household_history set changes = '{}'"))

    for _ in range(2):  # also afterwards
        with pytest.raises(DBAPIError) as refused:
            await meddle()
        assert "append-only" in str(refused.value)
        await privacy.post(f"{member}/erasure", ASKED)


async def test_the_same_person_may_be_entered_again(registry, clerk, privacy, left):
    household, member, person = left
    version = (await privacy.post(f"{member}/erasure", ASKED)).headers["etag"]
    joined = await clerk.post(f"{household}/members", {**person, **WHY}, headers={"if-match": version})
    assert joined.status_code == 201, joined.text


async def test_the_files_of_the_database_do_not_hold_the_person_either(small):
    """Of SQLite: what was deleted or overwritten in the file and its log."""
    clerk, privacy = small.village(Role.VILLAGE_CLERK, "clerk"), small.live.as_(Role.PRIVACY)
    household, person = await small.household(), {**small.person("20"), "name": "欧阳试验"}
    joined = await clerk.post(f"{PATH}/{household.id}/members", {**person, **WHY}, headers={"if-match": '"2"'})
    member = f"{PATH}/{household.id}/members/{joined.json()['members'][-1]['id']}"
    await clerk.patch(member, {"left_on": "2016-11-01", "left_reason": "01", **WHY}, etag='"3"')
    database = small.live.service.database
    async with database.write() as tx:  # the first answers to keys are kept for 30 days
        await tx.execute(delete(idempotency))
    assert _found(small) != []
    assert (await privacy.post(f"{member}/erasure", ASKED)).status_code == 201
    assert await database.empty_log()
    assert _found(small) == []


def _found(registry):
    home = registry.live.service.settings.home
    return [path.name for path in home.glob("*.db*") if "欧阳试验".encode() in path.read_bytes()]
