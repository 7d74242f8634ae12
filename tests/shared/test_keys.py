"""The deployment's keys: made once, the same for all processes, and of each only what a process needs."""

import resource
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from services import prepare
from services.embedded import Embedded
from services.funds.settings import Settings as FundsSettings
from services.notify.settings import Settings as NotifySettings
from shared import keys
from shared.clock import SystemClock
from shared.keyfiles import KeyFileBroken
from shared.roles import Role


def test_keys_are_made_once(tmp_path: Path) -> None:
    prepare.all_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    prepare.all_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()} == before
    assert set(before) == {"issuer.pem", "issuer.pub", "vault.json", "master.key", "funds-log.key", "funds-log.pub"}


def test_private_keys_are_their_owners_and_public_ones_everybodys(tmp_path: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in prepare.all_keys(tmp_path).iterdir()}
    private = {name for name, mode in modes.items() if mode == 0o600}
    assert private == {"issuer.pem", "vault.json", "master.key", "funds-log.key"}
    assert {modes[name] for name in set(modes) - private} == {0o644}


def test_a_token_is_verified_without_the_issuers_private_key(tmp_path: Path) -> None:
    now = SystemClock().now()
    issued = keys.issuer(tmp_path).token(
        "clerk", [Role.AUDITOR], ["610926000000"], client="tests", lifetime=timedelta(hours=1), now=now
    )
    keys.make(tmp_path)
    (tmp_path / "keys" / "issuer.pem").unlink()
    verifier = keys.verifier(NotifySettings(home=tmp_path), SystemClock())
    assert verifier.verify(issued).subject == "clerk"
    assert not (tmp_path / "keys" / "issuer.pem").exists()


@pytest.mark.parametrize(("role", "private"), [("api", False), ("worker", True), ("all", True)])
def test_who_seals_needs_the_logs_private_key_and_an_api_does_not(tmp_path: Path, role: str, private: bool) -> None:
    prepare.all_keys(tmp_path)
    settings = FundsSettings(home=tmp_path, role=role)
    assert keys.missing(settings) == []
    (tmp_path / "keys" / "funds-log.key").unlink()
    assert bool(keys.missing(settings)) is private


def test_a_house_without_its_master_key_does_not_begin_and_says_which_file_it_misses(tmp_path: Path) -> None:
    prepare.all_keys(tmp_path)
    (tmp_path / "keys" / "master.key").unlink()
    with pytest.raises(KeyFileBroken) as refused:
        Embedded(tmp_path)
    assert "master.key" in str(refused.value)


def test_a_process_that_has_the_keys_leaves_no_core_file(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    keys.vault(NotifySettings(home=tmp_path))
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, most)


def test_a_keyring_from_the_environment_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare.all_keys(tmp_path)
    ring = (tmp_path / "keys" / "vault.json").read_text()
    (tmp_path / "keys" / "vault.json").unlink()
    settings = NotifySettings(home=tmp_path)
    assert keys.missing(settings) == [str(tmp_path / "keys" / "vault.json")]
    monkeypatch.setenv("DAOHU_KEYS", ring)
    assert keys.missing(settings) == []
    assert keys.vault(settings).blind("1", kind="phone")
