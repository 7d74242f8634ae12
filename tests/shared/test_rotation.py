"""shared.rotation: values are sealed and indexed anew while others write, on both databases; what cannot be is said, not lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import insert, select, update

from services.notify.contacts.store import contacts
from services.notify.phones.store import received
from services.notify.tables import metadata
from shared import rotation, tables
from shared.clock import SystemClock
from shared.db import Database
from shared.keyring import EPOCH, RingFile
from shared.personal import ERASED
from shared.pii import Vault, mask_phone
from shared.rotation import Held

PHONES = {f"G{number:03d}": f"19900{number:06d}" for number in range(1, 8)}
NUMBER, INDEX = "contact.phone_sealed", "contact.phone_index"


@dataclass(slots=True)
class House:
    """The contacts of a small office, and the keys that they are sealed with."""

    database: Database
    file: RingFile
    vault: Vault

    def contact(self, cadre_no: str, phone: str) -> dict[str, Any]:
        return {
            "cadre_no": cadre_no,
            "phone_sealed": self.vault.seal(phone, column="contact.phone", row=cadre_no),
            "phone_index": self.vault.blind(phone, kind="phone"),
            "phone_masked": mask_phone(phone),
            "language": "zh",
            "entered_at": SystemClock().now(),
        }

    async def renew(self) -> None:
        await rotation.renew(self.database, self.vault, metadata)

    async def held(self) -> dict[str, Held]:
        found = await rotation.held(self.database, self.file.read(), metadata)
        return {
            f"{one.table}.{one.column}": one for one in found if one.under and sum(one.under.values()) + one.missing
        }

    async def phones(self) -> dict[str, str]:
        """Every phone, opened."""
        async with self.database.read() as tx:
            rows = (await tx.execute(select(contacts))).mappings().all()
        return {
            row["cadre_no"]: self.vault.open(row["phone_sealed"], column="contact.phone", row=row["cadre_no"])
            for row in rows
        }

    def follow(self, *purposes: Any) -> list[str]:
        ids = [self.file.follow(purpose, since=EPOCH).id for purpose in purposes]
        self.vault.refresh()
        return ids


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    file = RingFile(tmp_path / "keys" / "vault.json", {})
    database = Database(database_url, service="notify")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
        made = House(database, file, Vault(file.read(), file=file))
        await tx.execute(insert(contacts), [made.contact(*entry) for entry in PHONES.items()])
        shown = {"phone_masked": "199****0001", "text": "…", "parts": 1, "received_at": SystemClock().now()}
        indexes = [made.vault.blind(phone, kind="phone") for phone in (PHONES["G001"], "19900999999")]
        rows = [{"message_id": str(n), "phone_index": index, **shown} for n, index in enumerate(indexes)]
        await tx.execute(insert(received), rows)
    yield made
    await database.close()


async def test_all_values_come_under_the_new_keys_and_still_open(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rotation, "BATCH", 3)
    data, blind = house.follow("data", "blind")
    await house.renew()
    held = await house.held()
    assert (held[NUMBER].under[data], held[INDEX].under[blind]) == (len(PHONES), len(PHONES))
    assert [key for key, number in held[NUMBER].under.items() if number] == [data]
    assert [key for key, number in held[INDEX].under.items() if number] == [blind]
    assert await house.phones() == PHONES
    async with house.database.read() as tx:
        indexes = dict((await tx.execute(select(contacts.c.cadre_no, contacts.c.phone_index))).all())
    assert indexes == {cadre: house.vault.blind(phone, kind="phone") for cadre, phone in PHONES.items()}


async def test_an_index_that_repeats_anothers_follows_it_and_one_that_nobody_has_is_erased(house: House):
    house.follow("blind")
    await house.renew()
    async with house.database.read() as tx:
        shown = (await tx.execute(select(received.c.phone_index).order_by(received.c.id))).scalars().all()
    assert shown == [house.vault.blind(PHONES["G001"], kind="phone"), ERASED]


async def test_whoever_writes_between_reading_and_renewing_wins(house: House):
    """The renewal reads, somebody enters another phone, then the renewal writes: it must leave that one alone."""
    house.follow("data")
    new = house.contact("G001", "19900777777")

    class Between(Vault):
        """Its first sealing is the moment between the renewal's reading and its writing."""

        def seal(self, *args: Any, **kwargs: Any) -> str:
            entered.append(new)
            return super().seal(*args, **kwargs)

    entered: list[dict[str, Any]] = []
    between = Between(house.vault.ring, file=house.file)
    write = house.database.write

    def written_after_another() -> Any:
        return _first(write, entered)

    house.database.write = written_after_another  # type: ignore[method-assign]
    await rotation.renew(house.database, between, metadata)
    assert entered
    assert await house.phones() == PHONES | {"G001": "19900777777"}


def _first(write: Any, entered: list[dict[str, Any]]) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        if entered:
            new = entered[-1]
            async with write() as tx:
                await tx.execute(update(contacts).where(contacts.c.cadre_no == new["cadre_no"]).values(new))
        async with write() as tx:
            yield tx

    return opened()


async def test_two_who_came_to_stand_for_one_are_left_and_counted(house: House):
    """While two blind keys were in use the same phone was entered twice, under each of them once."""
    old = house.contact("G999", PHONES["G001"])["phone_index"]
    [blind] = house.follow("blind")
    async with house.database.write() as tx:
        await tx.execute(insert(contacts), [house.contact("G999", PHONES["G001"])])
    await house.renew()
    under = (await house.held())[INDEX].under
    assert (under.pop(blind), list(under.values())) == (len(PHONES), [1])
    async with house.database.read() as tx:
        left = (await tx.execute(select(contacts.c.cadre_no).where(contacts.c.phone_index == old))).scalars().all()
    assert left == ["G001"]


async def test_what_stands_under_a_key_that_is_gone_stays_and_is_named(house: House):
    [data] = house.follow("data")
    house.file.retire("data", ["k1"])
    house.vault.refresh()
    async with house.database.write() as tx:
        await tx.execute(
            update(contacts).where(contacts.c.cadre_no == "G002").values(house.contact("G002", PHONES["G002"]))
        )
    house.follow("data")
    await house.renew()
    found = (await house.held())[NUMBER]
    assert (found.missing, found.missing_ids, found.under) == (len(PHONES) - 1, ("k1",), {data: 0, "k3": 1})


async def test_with_one_key_of_each_purpose_no_table_is_read(house: House):
    house.vault.refresh()
    await house.database.close()
    reads = []
    house.database.read = lambda: reads.append(1)  # type: ignore[method-assign, assign, return-value]
    await house.renew()
    assert reads == []


async def test_what_is_lost_is_not_asked_for_again_and_again(house: House):
    """A value, and an index whose number stands under the lost key: neither can be renewed, however often."""
    house.follow("data")
    house.file.retire("data", ["k1"])
    house.vault.refresh()
    house.follow("data", "blind")
    with structlog.testing.capture_logs() as lines:
        await house.renew()
    assert lines == []
    assert [number for number in (await house.held())[INDEX].under.values() if number] == [len(PHONES)]
