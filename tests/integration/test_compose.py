"""docker-compose.yml: valid, sealed, without a secret, and the same as what tests/integration/cluster.py really starts."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.integration import composed
from tests.integration.cluster import BASE, DAOHU, SECRETS, Cluster, Process
from tests.integration.composed import COMPOSE, ROOT, Part, Unset, parts
from tests.servers import kafka as kafka_server

SCHEMA = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
RAW = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
OURS = [part.name for part in parts(COMPOSE, SECRETS).values() if part.is_ours]


def test_the_file_follows_the_compose_specification() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(RAW)


def test_the_schema_refuses_what_compose_would_refuse() -> None:
    """The check can fail: a misspelt key of a service is refused."""
    broken = {**RAW, "services": {"postgres": {**RAW["services"]["postgres"], "health_check": {}}}}
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(broken)


def test_each_service_has_an_api_and_a_worker() -> None:
    assert set(OURS) == {"migrate"} | {
        f"{service}-{role}" for service in ("registry", "funds", "assessment", "notify") for role in ("api", "worker")
    }


@pytest.mark.parametrize("name", [*OURS, "origin"])
def test_a_process_is_sealed(name: str) -> None:
    """Read-only, without rights, on a small scratch folder in memory."""
    what = RAW["services"][name]
    assert what["read_only"] is True
    assert what["cap_drop"] == ["ALL"]
    assert what["security_opt"] == ["no-new-privileges:true"]
    assert [mount.split(":")[0] for mount in what["tmpfs"]] == ["/tmp"]


@pytest.mark.parametrize("name", sorted(RAW["services"]))
def test_no_process_has_rights_it_needs_not_and_no_log_grows_without_end(name: str) -> None:
    """PostgreSQL's first process gives its folder away and becomes another user: these rights, and no more."""
    what = RAW["services"][name]
    assert what["cap_drop"] == ["ALL"]
    assert set(what.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert bool(what.get("cap_add")) == (name == "postgres")
    assert {"max-size", "max-file"} <= set(what["logging"]["options"])


def test_the_image_runs_as_a_user_without_a_name_and_a_right() -> None:
    users = re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users == ["10001:10001"]


@pytest.mark.parametrize("name", [name for name, what in RAW["services"].items() if not what.get("profiles")])
def test_a_second_replica_finds_nothing_in_its_way(name: str) -> None:
    """No name and no port of this machine is taken by a service, but the origin's one port."""
    assert "container_name" not in RAW["services"][name]
    assert ("ports" in RAW["services"][name]) == (name == "origin")


def test_what_people_watch_with_is_shown_on_this_machine_only() -> None:
    watching = {name: what.get("ports", []) for name, what in RAW["services"].items() if what.get("profiles")}
    assert set(watching) == {"collector", "jaeger", "prometheus"}
    assert all(port.startswith("127.0.0.1:") for ports in watching.values() for port in ports)


def test_only_migrate_writes_the_keys() -> None:
    writers = [name for name in OURS if "home:/var/lib/daohu" in RAW["services"][name]["volumes"]]
    assert writers == ["migrate"]


def test_a_private_key_is_seen_only_by_who_uses_it() -> None:
    """`/dev/null` lies over it elsewhere."""

    def see(key: str) -> set[str]:
        hidden = f"/dev/null:/var/lib/daohu/keys/{key}:ro"
        return {name for name in OURS if hidden not in RAW["services"][name]["volumes"]}

    assert (see("issuer.pem"), see("funds-log.key")) == ({"migrate"}, {"migrate", "funds-worker"})


def test_no_secret_stands_in_the_file() -> None:
    """Every password is asked for, by name, and .env.example names each."""
    for missing in SECRETS:
        with pytest.raises(Unset, match=missing):
            parts(COMPOSE, {name: value for name, value in SECRETS.items() if name != missing})
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {f"{name}=" for name in SECRETS}


def test_the_file_asks_for_no_variable_that_the_example_does_not_explain() -> None:
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    assert asked == set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_the_broker_is_of_the_version_that_the_tests_start() -> None:
    assert RAW["services"]["kafka"]["image"] == f"apache/kafka:{kafka_server.version()}"


def test_the_broker_is_set_up_as_the_one_that_the_tests_start(cluster: Cluster) -> None:
    """Its variables are the properties of the test's own broker; only places differ."""
    lines = (cluster.folder / "kafka" / "1" / "server.properties").read_text().splitlines()
    ours = dict(line.split("=", 1) for line in lines)
    theirs = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in parts(COMPOSE, SECRETS)["kafka"].environment.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    places = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}
    named_by_default = {"inter.broker.listener.name": "PLAINTEXT"}
    assert {key: value for key, value in theirs.items() if key not in places} == {
        **{key: value for key, value in ours.items() if key not in places},
        **named_by_default,
    }


def test_the_cluster_starts_what_the_file_says(cluster: Cluster) -> None:
    """Command, environment, port and health of every process, as the kernel has them."""
    assert differences(COMPOSE, cluster) == []


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        ("run, funds, --role, worker,", "run, funds, --role, all,", "funds-worker-1: runs"),
        ("DAOHU_HOME: /var/lib/daohu", "DAOHU_HOME: /srv", "funds-api-2: DAOHU_HOME"),
        ("  DAOHU_HOME: /var", "  DAOHU_NEW: x\n  DAOHU_HOME: /var", "notify-api-1: DAOHU_NEW"),
        ('run, notify, --role, api, --host, 0.0.0.0, --port, "8000"', 'run, notify, --role, api, --host, 0.0.0.0, --port, "8001"', "notify-api-1: runs"),
        ("8000/notify/readyz", "8000/notify/livez", "notify-worker-1: health"),
        ("  notify-worker:\n", "  notify-helper:\n", "notify-helper: not running"),
        ("  notify-worker:\n", "  notify-helper:\n", "notify-worker: not in the file"),
        ("max_connections=200", "max_connections=100", "postgres: max_connections"),
    ],
)  # fmt: skip
def test_a_file_that_says_otherwise_is_noticed(
    cluster: Cluster, tmp_path: Path, old: str, new: str, noticed: str
) -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / "docker-compose.yml"
    changed.write_text(text.replace(old, new), encoding="utf-8")
    assert any(line.startswith(noticed) for line in differences(changed, cluster))


def test_the_health_check_of_the_file_tells_well_from_ill(cluster: Cluster) -> None:
    """The very command of the file, against a process of the cluster and against nobody."""
    [process] = cluster.of("registry-api")
    words = process.part.health
    well = subprocess.run([*words[:-1], process.health], env=BASE | VENV, cwd=ROOT, check=False)
    nobody = subprocess.run(words, env=BASE | VENV, cwd=ROOT, capture_output=True, check=False)
    assert (well.returncode, nobody.returncode) == (0, 1)


VENV = {"PATH": f"{Path(composed.__file__).parents[2] / '.venv' / 'bin'}:{BASE['PATH']}"}


def differences(file: Path, cluster: Cluster) -> list[str]:
    """What runs otherwise than `file` says, one line each."""
    said = parts(file, SECRETS)
    running = {process.part.name for process in cluster.processes.values()}
    services = {part.name for part in said.values() if part.service or part.name == "origin"}
    found = [f"{name}: not running" for name in services - running]
    found += [f"{name}: not in the file" for name in running - services]
    for name, process in cluster.processes.items():
        if process.part.name in said and process.part.service:
            found += [f"{name}: {line}" for line in _unlike(said[process.part.name], process, cluster)]
    return found + [f"postgres: {line}" for line in _unlike_database(said["postgres"], cluster)]


def _unlike(part: Part, process: Process, cluster: Cluster) -> Iterable[str]:
    proc = Path(f"/proc/{process.pid}")
    words = proc.joinpath("cmdline").read_text().rstrip("\0").split("\0")
    command = tuple(_inside(word, process, cluster) for word in words[words.index(DAOHU) + 1 :])
    if command != part.command:
        yield f"runs {command}, the file says {part.command}"
    variables = proc.joinpath("environ").read_text().rstrip("\0").split("\0")
    seen = dict(variable.split("=", 1) for variable in variables)
    environment = {
        name: _inside(value, process, cluster)
        for name, value in seen.items()
        if name not in BASE and name != "DAOHU_CLOCK"
    }
    for name in environment.keys() | part.environment.keys():
        if environment.get(name) != part.environment.get(name):
            yield f"{name} is {environment.get(name)}, the file says {part.environment.get(name)}"
    if _listens(process.pid) != {process.port}:
        yield f"listens on {_listens(process.pid)}, its port is {process.port}"
    if (health := process.health.replace(f":{process.port}/", ":8000/")) != part.health_url:
        yield f"health is asked at {health}, the file says {part.health_url}"


def _inside(word: str, process: Process, cluster: Cluster) -> str:
    """What a word of this machine stands for in the file."""
    for here, there in (
        (f"127.0.0.1:{cluster.postgres.port}", "postgres:5432"),
        (cluster.kafka.bootstrap_servers, "kafka:9092"),
        (str(cluster.home), "/var/lib/daohu"),
    ):
        word = word.replace(here, there)
    return {"127.0.0.1": "0.0.0.0", str(process.port): "8000"}.get(word, word)


def _listens(pid: int) -> set[int]:
    """The TCP ports a process listens on, by the kernel's tables."""
    sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in table]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def _unlike_database(part: Part, cluster: Cluster) -> Iterable[str]:
    """The settings behind -c, as the server itself has them."""
    import psycopg

    with psycopg.connect(cluster.postgres.admin_url) as connection:
        for word in part.command:
            name, _, value = word.partition("=")
            if value:
                [has] = connection.execute("select current_setting(%s)", (name,)).fetchone() or [None]
                if has != value:
                    yield f"{name} is {has}, the file says {value}"
