"""Backup, destroy, restore, verify: the embedded mode, from the command line, also while it is written to all the time."""

import asyncio
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from conftest import House, Month, daohu, issue_at, running_house

from demo import cast
from demo.driver import Driver
from services import dump
from services.catalogue import NAMES
from shared.events.base import REGISTRY
from shared.topics import group_of
from tests.integration.load import Load

CHECKPOINT = "select note from log_checkpoint order by size desc limit 1"


def rows(home: Path, service: str, query: str) -> list[Any]:
    with closing(sqlite3.connect(home / f"{service}.db")) as opened:
        return opened.execute(query).fetchall()


def back_up(home: Path, to: Path, *words: str) -> str:
    run = daohu("backup", to, "--home", home, *words)
    assert run.returncode == 0, run.stderr
    return run.stdout


def dumped(home: Path) -> list[bytes]:
    """Every row there is, as `daohu dump --rows` writes them."""
    return asyncio.run(dump.of_home(home, canonical=False))[1]


def seconds_of(said: str) -> float:
    return float(re.findall(r"· ([\d.]+) s$", said.splitlines()[0])[0])


def test_drill_backup_destroy_restore_verify(month: Month, tmp_path: Path, say: Callable[[str], None]) -> None:
    home, backup, witness = tmp_path / "home", tmp_path / "month.backup", tmp_path / "witnessed.txt"
    shutil.copytree(month.home, home)
    before = dumped(home)
    witness.write_text(rows(home, "funds", CHECKPOINT)[0][0])
    made = back_up(home, backup)
    keys = tmp_path / "keys"
    shutil.move(home / "keys", keys)
    shutil.rmtree(home)
    began = time.monotonic()
    home.mkdir()
    shutil.move(keys, home / "keys")
    restored = daohu("restore", backup, "--home", home, "--witness", witness)
    took = time.monotonic() - began
    assert restored.returncode == 0, restored.stderr
    assert "1 checkpoints compared, 0 books are shorter" in restored.stdout
    assert dumped(home) == before != []
    verified = daohu("verify", "--database", home / "funds.db", "--checkpoint", witness)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    size = backup.stat().st_size / 1e6
    say(f"drill, embedded: {size:.1f} MB, backup {seconds_of(made):.1f} s, lost to verified {took:.1f} s")


class Office:
    """A house as the load reaches it."""

    def __init__(self, house: House) -> None:
        self.home, self.url = house.home, house.server.url

    def driver(self, key_prefix: str) -> Driver:
        return Driver(self.url, issue_at(self.home), key_prefix=key_prefix)


def known_to(home: Path, service: str) -> dict[str, int]:
    """Households and the version of each, as a service knows them."""
    id = "id" if service == "registry" else "household_id"
    return dict(rows(home, service, f"select {id}, version from household"))


def test_a_backup_under_load_is_of_one_instant_and_a_witness_notices_that_it_is_older(tmp_path: Path) -> None:
    backup, witness, again = tmp_path / "busy.backup", tmp_path / "witnessed.txt", tmp_path / "again"
    with running_house(tmp_path / "home") as house:
        load = Load(Office(house), "backup")
        with load.at_work():
            load.go_on()
            before = load.done.copy()
            back_up(house.home, backup, "--with-keys")
            after = load.done.copy()
            load.go_on()
        assert load.failures == []
        house.driver.clock(cast.ADMIN)
        witness.write_text(rows(house.home, "funds", CHECKPOINT)[0][0])
        secret = house.home / "keys" / "backup.key"
        house.server.kill()
    shutil.copytree(house.home / "keys", again / "keys", ignore=shutil.ignore_patterns("vault.json", "issuer.pem"))
    asked = ("restore", backup, "--home", again, "--key", secret, "--witness", witness)

    refused = daohu(*asked)
    assert refused.returncode == 2
    assert "a witnessed checkpoint has" in refused.stderr
    assert sorted(path.name for path in again.iterdir()) == ["keys", "lock"]

    accepted = daohu(*asked, "--accept-loss", "the newest copy there is", "--actor", "clerk")
    assert accepted.returncode == 0, accepted.stderr
    noted = rows(again, "funds", "select actor, reason from audit where action = 'restored_with_loss'")
    assert noted == [("clerk", "the newest copy there is")]
    assert unknown_to_producers(again) == set()

    with running_house(again) as restored:
        restored.driver.clock(cast.ADMIN)
        households = known_to(again, "registry")
        assert before["household"] <= len(households) <= after["household"] + len(load._clients)
        assert known_to(again, "funds") == known_to(again, "assessment") == households
        [(receipts,)] = rows(again, "funds", "select count(*) from ledger_entry where kind = 'received'")
        assert before["receipt"] <= receipts <= after["receipt"] + len(load._clients)
        assert [name for name in NAMES if rows(again, name, "select id from dead_letter")] == []


def unknown_to_producers(home: Path) -> set[str]:
    """Events that a service has taken and whose producer has no record of them: there must be none, at any instant."""
    recorded = {id for name in NAMES for (id,) in rows(home, name, "select event_id from outbox")}
    hearers = {service for event in REGISTRY.values() for service in event.consumers}
    taken = {
        id
        for name in hearers
        for (id,) in rows(home, name, f"select event_id from inbox where \"group\" = '{group_of(name)}'")
    }
    assert taken
    return taken - recorded
