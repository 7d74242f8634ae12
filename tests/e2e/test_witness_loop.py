"""`daohu witness run` as the audit bureau's service: it goes on by itself, also while others are away, and ends when it is told to."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import DAOHU, ROOT, House, daohu

from demo.cast import ADMIN, COUNTY, FINANCE
from services.funds.proofs.notes import COSIGNATURE, Signer
from services.funds.proofs.witness_command import KEY, VKEY
from tests.funds import tsa
from tests.integration.load import a_fund
from tests.servers import free_port, until

BOOK = COUNTY[:6]
EVERY_S = 1
PATIENCE_S = 90.0
END_S = 30.0


@dataclass
class Bureau:
    """A witness on its own machine, and the county that it watches."""

    folder: Path
    house: House
    fund: str
    process: subprocess.Popen[bytes] | None = None
    received: int = 0

    @property
    def witness(self) -> Path:
        return self.folder / "witness"

    def receive(self) -> None:
        """One entry more."""
        self.received += 1
        receipt = {"amount_fen": 100, "received_on": "2016-11-01", "voucher_no": f"{self.folder.name}-{self.received}"}
        path = f"/funds/v1/sources/{self.fund}/receipts"
        self.house.driver.post(FINANCE, path, f"receive-{receipt['voucher_no']}", receipt)

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def wait_for(self, what: str, times: int = 1) -> None:
        """Until it has said this so often."""
        process = self.process
        assert process is not None
        until(lambda: self.said().count(what) >= times or process.poll() is not None, PATIENCE_S, what)
        assert self.said().count(what) >= times, self.said()

    @contextmanager
    def at_work(self, *words: str | Path) -> Iterator[None]:
        """The service runs; when it is told to end, it ends with 0."""
        asked_with = ("--url", self.house.server.url, "--key", self.folder / "funds.vkey", "--account", "witness")
        line = [DAOHU, "witness", "run", self.witness, *asked_with, "--secret-file", self.folder.parent / "secret"]
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [str(word) for word in (*line, "--every", EVERY_S, *words)], stdout=said, stderr=said, cwd=ROOT
            )
            try:
                yield
                self.process.terminate()
                assert self.process.wait(END_S) == 0, self.said()
            finally:
                self.process.kill()
                self.process.wait(END_S)


@pytest.fixture(scope="module")
def fund(house: House, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fund, and the witnesses' account, whose secret lies beside their folders."""
    account = ("witness", "--role", "backend", "--division", COUNTY, "--home", house.home)
    made = daohu("accounts", "add", *account)
    assert made.returncode == 0, made.stderr
    (tmp_path_factory.getbasetemp() / "secret").write_text(made.stdout)
    return str(house.driver.post(FINANCE, "/funds/v1/sources", "register-W-1", a_fund("W-1"))["id"])


@pytest.fixture
def bureau(house: House, fund: str, tmp_path_factory: pytest.TempPathFactory) -> Bureau:
    """A new witness, whom the county knows; there is an entry to sign."""
    made = Bureau(tmp_path_factory.mktemp("bureau"), house, fund)
    made.witness.mkdir()
    verifier = f"{Signer.at(made.witness / KEY).verifier(made.folder.name, COSIGNATURE)}\n"
    (made.witness / VKEY).write_text(verifier)
    (house.home / "keys" / "witnesses.vkey").write_text(verifier)
    made.receive()
    house.driver.clock(ADMIN)  # until it is sealed
    (made.folder / "funds.vkey").write_bytes(house.driver.ask(FINANCE, "GET", "/funds/v1/log-key").content)
    return made


def test_it_signs_and_hands_in_each_new_checkpoint_and_ends_when_told(bureau: Bureau) -> None:
    with bureau.at_work():
        bureau.wait_for("signed")
        bureau.receive()
        bureau.wait_for("signed", times=2)
        bureau.wait_for("known", times=1)
    newest = max((bureau.witness / BOOK / "checkpoints").iterdir())
    path = "/funds/v1/checkpoints/latest?witnessed=true"
    assert bureau.house.driver.ask(FINANCE, "GET", path).content == newest.read_bytes()
    assert [path for path in bureau.witness.rglob(".*") if path.is_file()] == [], "a half-written file"


def test_while_the_authority_is_away_it_signs_on_and_gets_the_stamp_later(bureau: Bureau) -> None:
    folder, port = bureau.folder / "tsa", free_port()
    folder.mkdir()
    root = tsa.make(folder)
    stamped = ("--tsa", f"http://127.0.0.1:{port}/", "--tsa-root", root)
    with bureau.at_work(*stamped):
        bureau.wait_for("UNSTAMPED")
        bureau.receive()
        bureau.wait_for("signed", times=2)
        assert list((bureau.witness / BOOK / "stamps").iterdir()) == []
        with tsa.authority(folder, port):
            bureau.wait_for("stamped  ")
    newest = max((bureau.witness / BOOK / "checkpoints").iterdir())
    stamp = bureau.witness / BOOK / "stamps" / f"{newest.stem}.tsr"
    tsa.openssl(folder, "ts", "-verify", "-in", str(stamp), "-data", str(newest), "-CAfile", str(root))
