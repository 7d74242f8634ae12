"""All keys are replaced while people and programs are at work: no request fails, no value becomes unreadable, no old key stays."""

import asyncio
import csv
import io
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from conftest import daohu, running_house
from sqlalchemy import select
from test_backup import Office

from demo import cast
from demo.county.identity import luhn_digit
from demo.driver import Who
from services.catalogue import NAMES, part
from shared import tables
from shared.db import Database
from shared.keyring import RingFile
from shared.personal import ERASED, Form, marked
from shared.pii import TEST_CARD_PREFIX, Vault
from shared.roles import Role
from tests.integration.load import CLERK, Client, Load, a_household, settle

PEOPLE = 12
NOTICE_S, SETTLED_S = 1, 2
PRIVACY = Who("privacy-officer", (Role.PRIVACY,), (cast.COUNTY,))


class Desk:
    """People of the file who are looked at, entered a second time and paid to, over and over. `asked`: what → how often."""

    def __init__(self, office: Office) -> None:
        self.asked: Counter[str] = Counter()
        self.failures: list[BaseException] = []
        self._client = Client(office, "desk")
        self._over = threading.Event()
        self._orders = [a_household(f"900{number:05}") for number in range(PEOPLE)]
        self._made = [self._enter(order) for order in self._orders]
        settle(office)
        self._payees = self._sheet()
        self._import("first", created=PEOPLE)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._repeat, args=(act,)) for act in (self._unmask, self._again, self._pay)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def close(self) -> None:
        self._client.close()

    def said(self, path: str) -> str:
        return self._client.done(cast.FINANCE, "GET", path).text

    def erase_one(self) -> str:
        """Somebody joins the first household, leaves it and is erased; answers his name."""
        person = {**a_household("0")["members"][0], "name": "欧阳试验", "relation": "20", "reason": "出生"}
        path = f"/registry/v1/households/{self._made[0][0]}"
        etag = self._client.done(CLERK, "GET", path).headers["etag"]
        joined = self._client.done(CLERK, "POST", f"{path}/members", act="join", body=person, etag=etag)
        member, etag = f"{path}/members/{joined.json()['members'][-1]['id']}", joined.headers["etag"]
        left = {"left_on": "2016-11-01", "left_reason": "01", "reason": "外出"}
        self._client.done(CLERK, "PATCH", member, body=left, etag=etag)
        self._client.done(PRIVACY, "POST", f"{member}/erasure", act="erase", body={"reason": "本人申请"})
        return person["name"]

    def _repeat(self, act: Callable[[int], None]) -> None:
        try:
            for number in count():
                if self._over.is_set():
                    return
                act(number)
                self.asked[act.__name__] += 1
        except BaseException as error:
            self.failures.append(error)

    def _enter(self, order: dict[str, Any]) -> tuple[str, str]:
        """Ids of a household and of its only person."""
        body = {"kind": "identification", "household": order}
        act = f"enter-{order['household_no']}"
        id = self._client.done(CLERK, "POST", "/registry/v1/cases", act=act, body=body).json()["household_id"]
        shown = self._client.done(CLERK, "GET", f"/registry/v1/households/{id}").json()
        return id, shown["members"][0]["id"]

    def _unmask(self, number: int) -> None:
        """Somebody's number in full is the one that was entered."""
        household, member = self._made[number % PEOPLE]
        path = f"/registry/v1/households/{household}/members/{member}/unmask"
        shown = self._client.once(PRIVACY, "POST", path, act=f"unmask-{number}", body={"reason": "核对"})
        assert shown.status_code == 200, shown.text
        assert shown.json()["id_number"] == self._orders[number % PEOPLE]["members"][0]["id_number"]

    def _again(self, number: int) -> None:
        """Who is on the register is recognised, whatever key his index was made with."""
        order = {**self._orders[number % PEOPLE], "household_no": f"{self._orders[0]['household_no']}A{number}"}
        body = {"kind": "identification", "household": order}
        refused = self._client.once(CLERK, "POST", "/registry/v1/cases", act=f"again-{number}", body=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "person_in_other_household"), refused.text

    def _pay(self, number: int) -> None:
        """The same accounts again: names are opened and compared, cards are found."""
        self._import(f"again-{number}", unchanged=PEOPLE)

    def _import(self, act: str, **expected: int) -> None:
        path = "/funds/v1/imports/payees"
        said = self._client.once(cast.FINANCE, "POST", path, act=f"payees-{act}", data=self._payees)
        assert said.status_code == 201, said.text
        assert {key: said.json()[key] for key in expected} == expected, said.text

    def _sheet(self) -> bytes:
        out = io.StringIO()
        sheet = csv.writer(out)
        sheet.writerow(["户编号", "户名", "银行卡号", "开户银行"])
        for number, order in enumerate(self._orders):
            sheet.writerow([order["household_no"], "王试验", _card(number), "农商行"])
        return out.getvalue().encode()


def _card(number: int) -> str:
    body = f"{TEST_CARD_PREFIX}{number:012}"
    return body + luhn_digit(body)


def _named(home: Path, name: str) -> int:
    """In how many rows of people and of their history somebody's name stands."""
    query = (
        "select (select count(*) from member where name = :name)"
        " + (select count(*) from household_history where changes like '%' || :name || '%')"
    )
    with closing(sqlite3.connect(home / "registry.db")) as registry:
        [number] = registry.execute(query, {"name": name}).fetchone()
        return int(number)


def opened(home: Path) -> Counter[str]:
    """Column → how many of its values were opened, of all sealed ones in all databases. Raises SealBroken."""

    async def of(name: str) -> Counter[str]:
        made, found = part(name), Counter[str]()
        database = Database(made.settings.of(home=home).url, service=name)
        async with database.read() as tx:
            for column, mark in marked(tables.metadata, made.tables, form=Form.SEALED):
                query = select(column.table.c[mark.row], column).where(column.is_not(None), column != ERASED)
                for row, sealed in await tx.execute(query):
                    vault.open(sealed, column=mark.place, row=row)
                    found[f"{name}.{column}"] += 1
        await database.close()
        return found

    async def of_all() -> Counter[str]:
        return sum([await of(name) for name in NAMES], Counter())

    vault = Vault.at(home / "keys" / "vault.json")
    return asyncio.run(of_all())


def standing(home: Path) -> Any:
    said = daohu("keys", "status", "--json", "--home", home)
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def test_all_keys_are_replaced_under_load_and_nobody_notices(tmp_path: Path, say: Callable[[str], None]) -> None:
    witnessed, log_keys = tmp_path / "witnessed.txt", tmp_path / "funds.vkey"
    with running_house(tmp_path / "home") as house:
        office = Office(house)
        load = Load(office, "rotation")  # enters the divisions
        desk = Desk(office)
        erased = desk.erase_one()
        ring = RingFile(house.home / "keys" / "vault.json").read()
        before = {key.id for key in (*ring.data, *ring.blind)}
        with load.at_work(), desk.at_work():
            load.go_on()
            witnessed.write_text(desk.said("/funds/v1/checkpoints/latest"))
            began = time.monotonic()
            settled = ("--notice", str(NOTICE_S), "--settled", str(SETTLED_S))
            rotated = daohu("keys", "rotate", "all", *settled, "--home", house.home)
            took = time.monotonic() - began
            assert rotated.returncode == 0, rotated.stdout + rotated.stderr
            load.go_on()
        assert (desk.failures, load.failures, dict(load.repeats)) == ([], [], {})
        after = standing(house.home)
        settle(office)
        log_keys.write_text(desk.said("/funds/v1/log-key"))
        desk.close()
        home = house.home
    assert {key["id"] for key in after["keys"]} & before == set()
    assert [key["state"] for key in after["keys"]] == ["current", "current"]
    assert (after["lost"], after["missing"], after["master"]) == ([], {}, "m2")
    verified = daohu("verify", "--database", home / "funds.db", "--key", log_keys, "--checkpoint", witnessed)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert len(log_keys.read_text().split()) > 1
    assert _named(home, erased) == 0
    found = opened(home)
    assert found["registry.member_identity.number_sealed"] >= PEOPLE + load.done["household"]
    assert found["funds.payee.card_sealed"] == PEOPLE
    requests = desk.asked.total() + len(load.seconds)
    say(f"rotation under load: {found.total()} values, {requests} requests, 0 failed, {took:.1f} s")
