"""A service's disk is full: writes are refused by name, reads go on, and when there is room again everything goes on by itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import pytest

from demo import cast
from demo.month import STARTS_AT
from demo.server import Server
from tests.integration.cluster import Cluster
from tests.integration.load import CALLERS, CLERK, PATIENCE_S, RECEIPT_FEN, Client, Load, a_fund, a_household, rows
from tests.integration.tally import all_came_out, nobody_ends
from tests.servers import until

MIB = 2**20
HOME_MIB, ROOM_MIB = 64, 32
"""A disk for the home of one process; what is left on a disk beside the tables that are moved there."""

FULL = "storage_full"
_households = count()

ON_IT = ("registry", "funds")
"""Services whose database lies on the small disk: one writes with SQLAlchemy, the other also with the ledger's own writer."""


@contextmanager
def small_disk(place: Path, mib: int) -> Iterator[Path]:
    """A disk of so many MiB at `place`. Only root may have one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        required = os.environ.get("DAOHU_REQUIRE_SERVERS") == "1"
        (pytest.fail if required else pytest.skip)(f"no small disk to fill: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Nothing is left on it meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(MIB)):
            pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def databases_on(cluster: Cluster, disk: Path) -> Iterator[None]:
    """The tables and indexes of ON_IT lie there meanwhile."""
    shutil.chown(disk, "postgres")
    cluster.postgres.execute(f"create tablespace small location '{disk}'")
    move_databases(cluster, "pg_default", "small")
    try:
        yield
    finally:
        move_databases(cluster, "small", "pg_default")
        cluster.postgres.execute("drop tablespace small")


def move_databases(cluster: Cluster, old: str, new: str) -> None:
    for service in ON_IT:
        moves = [f"alter {kind} all in tablespace {old} set tablespace {new}" for kind in ("table", "index")]
        cluster.postgres.execute(*moves, database=f"daohu_{service}")


class Desk:
    """Somebody who receives money of a fund of its own, act after act. `taken`: how often that was acknowledged."""

    def __init__(self, client: Client) -> None:
        self.client, self.taken = client, 0
        self.fund = client.done(cast.FINANCE, "POST", "/funds/v1/sources", act="fund", body=a_fund("full")).json()["id"]

    def receive(self) -> httpx.Response:
        """The next act, or the same again when it was refused."""
        number = self.taken + 1
        body = {"amount_fen": RECEIPT_FEN, "received_on": "2016-10-31", "voucher_no": f"full-{number}"}
        path = f"/funds/v1/sources/{self.fund}/receipts"
        answer = self.client.once(cast.FINANCE, "POST", path, act=f"receipt-{number}", body=body)
        self.taken += answer.is_success
        return answer

    def shows_what_was_taken(self) -> bool:
        shown = self.client.done(cast.FINANCE, "GET", f"/funds/v1/sources/{self.fund}").json()
        return int(shown["figures"]["received_fen"]) == self.taken * RECEIPT_FEN


def enter_household(client: Client) -> httpx.Response:
    """One more, outside the numbers of a load."""
    number = next(_households)
    body = {"kind": "identification", "household": a_household(f"9{number:08}")}
    return client.once(CLERK, "POST", "/registry/v1/cases", act=f"case-{number}", body=body)


def is_refused(answer: httpx.Response) -> bool:
    """By name, to be repeated. Raises AssertionError when it was refused otherwise."""
    if answer.is_success:
        return False
    said = answer.json()
    assert (answer.status_code, said["code"], said["retryable"]) == (503, FULL, True), answer.text
    return "retry-after" in answer.headers


def test_the_disk_of_two_databases_is_full_and_they_go_on_when_there_is_room(twins: Cluster) -> None:
    used = sum(rows(twins, service, "select pg_database_size(current_database())")[0][0] for service in ON_IT)
    client = Client(twins, "full")
    with small_disk(twins.folder / "small", used // MIB + ROOM_MIB) as disk, databases_on(twins, disk):
        desk, load = Desk(client), Load(twins, "full")
        workers = {name for name in twins.processes if "-worker-" in name}  # they name the jobs that fail meanwhile
        with nobody_ends(twins), load.at_work():
            load.go_on()
            with filled(disk):
                until(lambda: is_refused(desk.receive()), PATIENCE_S, "receipts are refused")
                until(lambda: is_refused(enter_household(client)), PATIENCE_S, "households are refused")
                until(lambda: load.repeats[f"503 {FULL}"] > 2 * CALLERS, PATIENCE_S, "everybody is refused")
                assert desk.shows_what_was_taken()
                assert client.once(CLERK, "GET", "/registry/v1/households").is_success
                assert all(process.ready() for process in twins.processes.values() if process.name not in workers)
            load.go_on()
        assert desk.receive().is_success
        assert desk.shows_what_was_taken()
        twins.wait_ready()
        all_came_out(twins, load)
    client.close()


def test_the_disk_of_a_house_is_full_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """One process on SQLite. Its bus and its log lie on that disk too."""
    with small_disk(tmp_path / "home", HOME_MIB) as home:
        server = Server(home, STARTS_AT)
        server.start()
        try:
            client = Client(server, "full")
            desk = Desk(client)
            assert desk.receive().is_success
            brief = {"division": cast.COUNTY, "week": "2017-W01", "tasks": ["核实退出户收入"]}
            path = "/notify/v1/briefs"
            with filled(home):
                until(lambda: is_refused(desk.receive()), PATIENCE_S, "receipts are refused")
                assert is_refused(client.once(cast.POVERTY_OFFICE, "POST", path, act="brief", body=brief))
                assert desk.shows_what_was_taken()
                assert client.once(cast.POVERTY_OFFICE, "GET", path).json()["items"] == []
            assert desk.receive().is_success
            assert desk.shows_what_was_taken()
            assert client.once(cast.POVERTY_OFFICE, "POST", path, act="brief", body=brief).is_success
            until(lambda: client.once(cast.ADMIN, "GET", "/readyz").is_success, PATIENCE_S, "the house is ready again")
            client.close()
        finally:
            server.stop()
