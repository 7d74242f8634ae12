"""Secrets come from the environment or from files of their own: never from the repository, an image, a log or a command line."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.catalogue import NAMES, part
from services.prepare import all_keys
from shared import keys
from shared.clock import SystemClock
from shared.roles import Role
from tests.integration.cluster import SECRETS, Cluster
from tests.integration.composed import ROOT
from tests.integration.conftest import Lived
from tests.mutants.copies import tree

SIGNS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]"),
    "a key file of ours": re.compile(rb"\A(?:\w+:)?[A-Za-z0-9+/]{43}=\s*\Z"),
    "a keyring": re.compile(rb'"(?:key|blind)": ?"[A-Za-z0-9+/]{43,}={0,2}"'),
    "a bearer token": re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{40,}"),
    "a password in an address": re.compile(rb"postgresql://[\w.-]+:(?!\$|\{)[^@\s:/\"'{}$]{6,}@"),
    "a key of a cloud": re.compile(rb"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abp]-[0-9A-Za-z-]{20,}"),
}


PASSWORD = "s3cret99"
ADDRESS = f"postgresql://daohu:{PASSWORD}@db/daohu"


def signs_in(data: bytes) -> set[str]:
    return {name for name, sign in SIGNS.items() if sign.search(data)}


def test_no_file_of_the_repository_holds_a_secret():
    files = tree()
    found = {(str(path), sign) for path in files for sign in signs_in((ROOT / path).read_bytes())}
    assert len(files) > 500
    assert found == set()


def test_each_kind_of_secret_would_be_seen(tmp_path: Path):
    """Against the real ones, as this release makes them."""
    folder = all_keys(tmp_path)
    token = keys.issuer(tmp_path).token(
        "li", [Role.AUDITOR], ["610926000000"], client="t", lifetime=timedelta(hours=1), now=SystemClock().now()
    )
    private = {path.name: signs_in(path.read_bytes()) for path in folder.iterdir() if path.stat().st_mode & 0o077 == 0}
    assert set(private) >= {"issuer.pem", "funds-log.key", "vault.json"}
    assert all(private.values()), private
    assert signs_in(token.encode()) == {"a bearer token"}
    assert signs_in(ADDRESS.encode()) == {"a password in an address"}


def test_git_and_the_image_leave_homes_and_passwords_out():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {".env", ".daohu/"} <= set(ignored) or {".env", ".daohu"} <= set(ignored)
    kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert not [line for line in kept if re.search(r"env|home|key|secret|tests", line)]
    image = (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^(?:ARG|ENV) .*(?:PASSWORD|SECRET|TOKEN|KEY)", image, re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("service", sorted(NAMES))
def test_settings_show_no_password(service: str, tmp_path: Path):
    kind = part(service).settings
    settings = kind(home=tmp_path, database_url=ADDRESS)
    assert PASSWORD in settings.url
    assert PASSWORD not in repr(settings) + str(settings)
    with pytest.raises(ValidationError) as wrong:
        kind(home=tmp_path, database_url=[ADDRESS])
    assert PASSWORD not in str(wrong.value)


def test_no_process_of_the_cluster_logs_a_secret_or_was_given_one_on_its_command_line(cluster: Cluster):
    secrets = {value.encode() for value in SECRETS.values()} | set(material(cluster.home / "keys"))
    assert len(secrets) > len(SECRETS)
    for process in cluster.processes.values():
        said = process.log.read_bytes() + Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert said, process.name
        assert [secret for secret in secrets if secret in said] == [], process.name
        assert signs_in(said) == set(), process.name


def test_after_a_month_no_file_of_a_home_but_its_keys_holds_one(undisturbed: Lived):
    """Neither databases nor the bus nor the log."""
    secrets = list(material(undisturbed.home / "keys"))
    files = [path for path in undisturbed.home.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert secrets
    assert {"funds.db", "bus.db", "daohu.log"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        assert [secret for secret in secrets if secret in data] == [], path.name
        assert signs_in(data) == set(), path.name


def material(keys: Path) -> Iterator[bytes]:
    """What is secret in a folder of keys: long runs of base64 in files that only their owner reads."""
    for path in keys.iterdir():
        if path.is_file() and path.stat().st_mode & 0o077 == 0:
            yield from re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", path.read_bytes())


def test_material_is_what_is_secret_in_key_files(tmp_path: Path):
    key = base64.b64encode(bytes(range(32)))
    (tmp_path / "ring.json").write_text(json.dumps({"blind": key.decode()}))
    (tmp_path / "ring.json").chmod(0o600)
    (tmp_path / "issuer.pub").write_bytes(key)
    (tmp_path / "issuer.pub").chmod(0o644)
    assert list(material(tmp_path)) == [key]
