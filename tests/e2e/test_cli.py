"""The command line as a person uses it: its answers, its refusals, its exit codes."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from shared.events.base import REGISTRY

ROOT = Path(__file__).parent.parent.parent
DAOHU = Path(sys.executable).parent / "daohu"


def daohu(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DAOHU, *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", **env},
    )


@pytest.mark.parametrize("command", ["up", "demo", "import", "token", "migrate", "verify", "dump"])
def test_each_command_explains_itself(command):
    answer = daohu(command, "--help")
    assert answer.returncode == 0
    assert "Usage" in answer.stdout
    assert any("一" <= character <= "鿿" for character in answer.stdout) or command == "dump"


def test_it_says_which_release_it_is():
    answer = daohu("--version")
    assert (answer.returncode, answer.stdout) == (0, f"daohu {version('daohu')}\n")


def test_a_backup_of_no_home_makes_none(tmp_path):
    answer = daohu("backup", str(tmp_path), "--home", str(tmp_path / "typo"))
    assert (answer.returncode, (tmp_path / "typo").exists()) == (1, False)
    assert "There is no home at" in answer.stderr


def test_a_token_is_all_that_goes_to_standard_output(tmp_path):
    answer = daohu("token", "--role", "auditor", "--division", "610926000000", "--home", str(tmp_path))
    assert (answer.returncode, answer.stdout.count("."), answer.stdout.count("\n")) == (0, 2, 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--role", "king", "--division", "610926000000"), "Unknown role king"),
        (("--role", "auditor", "--division", "6109"), "6109 is not a 12-digit division code"),
    ],
)
def test_a_wrong_token_request_is_refused_with_the_reason(tmp_path, args, says):
    answer = daohu("token", *args, "--home", str(tmp_path))
    assert (answer.returncode, answer.stdout) == (2, "")
    assert says in answer.stderr


def test_a_pack_is_shown_by_basis():
    values = json.loads(daohu("policies", "show", "pingli", "--json").stdout)
    ours = json.loads(daohu("policies", "show", "pingli", "--basis", "ours", "--json").stdout)
    assert {value["basis"] for value in values} <= {"seed", "standard", "ours"}
    assert 0 < len(ours) < len(values)
    assert all(value["source"] for value in values)


def test_a_wrong_pack_is_refused_with_line_and_reason(tmp_path):
    pack = (ROOT / "policies" / "pingli.yaml").read_text()
    line = next(n for n, text in enumerate(pack.splitlines(), 1) if "basis: " in text)
    lines = pack.splitlines()
    lines[line - 1] = lines[line - 1].replace("basis: ", "basis: hearsay_")
    (tmp_path / "pingli.yaml").write_text("\n".join(lines))
    answer = daohu("policies", "show", "pingli", "--folder", str(tmp_path))
    assert answer.returncode == 1
    assert f"pingli.yaml:{line}:" in answer.stderr


def test_an_unknown_pack_or_event_is_a_wrong_call():
    assert daohu("policies", "show", "atlantis").returncode == 2
    assert daohu("events", "show", "registry.nothing_happened.v1").returncode == 2


def test_the_contracts_are_listed_and_shown():
    listed = daohu("events", "list")
    assert all(name in listed.stdout for name in REGISTRY)
    shown = daohu("events", "show", "registry.household_exited.v1")
    assert json.loads(shown.stdout)["$id"] == "/schemas/registry.household_exited.v1.json"


def test_migrate_makes_the_tables_and_dump_counts_them(tmp_path):
    assert daohu("migrate", "--home", str(tmp_path)).returncode == 0
    answer = daohu("dump", "--canonical", "--home", str(tmp_path))
    assert answer.returncode == 0
    assert "registry.household 0 " in answer.stdout
    assert answer.stdout.splitlines()[-1].endswith("rows 0")


def test_no_dead_letters_is_an_empty_list(tmp_path):
    assert daohu("migrate", "--home", str(tmp_path)).returncode == 0
    assert daohu("events", "dlq", "list", "--home", str(tmp_path)).returncode == 0


def test_importing_without_a_server_says_what_to_start(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text("a,b\n")
    answer = daohu("import", "registry/divisions", str(file), "--server", "http://127.0.0.1:9")
    assert answer.returncode == 1
    assert "daohu up" in answer.stderr


def test_a_home_runs_once(tmp_path):
    from services.embedded import HomeInUse, lock

    with lock(tmp_path), pytest.raises(HomeInUse, match="another daohu runs here"):
        lock(tmp_path)
    lock(tmp_path).close()
    shutil.rmtree(tmp_path)
