"""`daohu keys …`: what a person reads of the keys, and what is refused."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from services import prepare
from services.keys_command import keys_app
from services.notify.contacts.store import contacts
from shared.clock import SystemClock
from shared.db import Database
from shared.pii import Vault

AT_ONCE = ("--notice", "0", "--settled", "0")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one cadre's phone in it."""
    home = tmp_path_factory.mktemp("keys") / "home"
    home.mkdir()
    asyncio.run(prepare.tables(home=home))
    prepare.all_keys(home)
    vault = Vault.at(home / "keys" / "vault.json")
    contact = {
        "cadre_no": "G001", "phone_sealed": vault.seal("19900000001", column="contact.phone", row="G001"),
        "phone_index": vault.blind("19900000001", kind="phone"), "phone_masked": "199****0001", "language": "zh",
        "entered_at": SystemClock().now(),
    }  # fmt: skip

    async def enter() -> None:
        database = Database(f"sqlite:///{home / 'notify.db'}", service="notify")
        async with database.write() as tx:
            await tx.execute(insert(contacts).values(contact))
        await database.close()

    asyncio.run(enter())
    return home


def keys(home: Path, *words: str) -> Result:
    return CliRunner().invoke(keys_app, [*words, "--home", str(home)])


def data_keys(home: Path) -> list[str]:
    said = json.loads(keys(home, "status", "--json").stdout)
    return [key["id"] for key in said["keys"] if key["purpose"] == "data"]


def test_an_old_key_stays_while_a_value_stands_under_it_and_the_status_says_where(migrated: Path) -> None:
    assert keys(migrated, "rotate", "data", "--no-wait", *AT_ONCE[:2]).exit_code == 0
    said = keys(migrated, "status").stdout
    assert "data k1 · old: being renewed · 1 values" in said
    assert "notify.contact.phone_sealed 1" in said
    refused = keys(migrated, "retire", *AT_ONCE[2:])
    assert refused.exit_code == 1
    assert "Still in use: k1" in refused.output
    [old, new] = [
        key for key in json.loads(keys(migrated, "status", "--json").stdout)["keys"] if key["purpose"] == "data"
    ]
    assert (old["id"], old["state"], old["values"], new["id"], new["state"]) == ("k1", "old", 1, "k2", "current")


def test_unused_keys_are_retired_and_one_that_is_used_is_not(migrated: Path) -> None:
    for _ in range(2):
        assert keys(migrated, "rotate", "data", "--no-wait", *AT_ONCE[:2]).exit_code == 0
    before, _ = data_keys(migrated), keys(migrated, "retire", *AT_ONCE[2:])
    assert len(before) > 2
    assert data_keys(migrated) == ["k1", before[-1]]  # the phone still stands under the first


def test_a_lost_key_is_named_with_what_stands_under_it_until_it_is_given_up(migrated: Path) -> None:
    path = migrated / "keys" / "vault.json"
    before = path.read_text()
    said = json.loads(before)
    said["data"][0]["key"] = base64.b64encode(bytes(40)).decode()
    path.write_text(json.dumps(said))
    try:
        status = keys(migrated, "status")
        assert (status.exit_code, keys(migrated, "rotate", "data").exit_code) == (1, 1)
        assert "key k1 is listed and cannot be unwrapped" in status.output
        assert "notify.contact.phone_sealed: 1 values under keys that are not here (k1)" in status.output
        assert (keys(migrated, "forget", "k9").exit_code, keys(migrated, "forget", "k1").exit_code) == (1, 0)
    finally:
        path.write_text(before)


def test_a_home_without_keys_is_said_to_have_none_and_gets_none(tmp_path: Path) -> None:
    refused = keys(tmp_path, "status")
    assert refused.exit_code == 2
    assert "daohu keys init" in refused.output
    assert list(tmp_path.iterdir()) == []
