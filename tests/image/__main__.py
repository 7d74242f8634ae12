"""`make image-try`: the image built, the county of docker-compose.yml started, looked at from inside, backed up, lost and restored.

Needs Docker Engine 25 or newer with Compose and Buildx, and the images by their names (where no registry is reached:
tests/image/engine.sh). It starts a project of its own, takes it away at the end, and ends with 1 at the first thing that is not so.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.integration.composed import COMPOSE, ROOT

PROJECT, LISTEN = "daohu-try", "127.0.0.1:8659"
BACKUPS = f"{PROJECT}_backups"
COUNTY = "610926000000"
DIVISIONS = "data/divisions/divisions-610926-pingli.csv"
PASSWORDS = ("POSTGRES", "DAOHU_REGISTRY_DB", "DAOHU_FUNDS_DB", "DAOHU_ASSESSMENT_DB", "DAOHU_NOTIFY_DB")
OURS = tuple(f"{name}-{role}" for name in ("registry", "funds", "assessment", "notify") for role in ("api", "worker"))
KEYS = "/var/lib/daohu/keys"
HOLDERS = {"issuer.pem": set[str](), "funds-log.key": {"funds-worker"}}
"""Private key → the long-running processes that may read it."""

HEALTHY_S = 90.0

INSIDE = """
import json, os, pathlib
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
def refused(path):
    try:
        pathlib.Path(path).touch()
    except OSError:
        return True
    return False
def holds(name):
    try:
        return bool(pathlib.Path("/var/lib/daohu/keys", name).read_bytes())
    except OSError:
        return False
pathlib.Path("/tmp/x").touch()
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(), "rights": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "no new ones": status["NoNewPrivs"].strip(), "written": [p for p in ("/app/x", "/x", "/var/lib/daohu/x") if not refused(p)],
    "keys": [name for name in ("issuer.pem", "funds-log.key") if holds(name)],
}))
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 5432), 3)"
UNWANTED = (
    "find / -xdev ( -name .git -o -name .env -o -name tests -path /app/* -o -name *.pem -not -path *ssl/* -not -path */certifi/* "
    "-o -path *site-packages/pip -o -name *.key -o -perm -0002 -type f ) -not -path /proc/*"
)


class NotSo(Exception):
    """What the files promise is not what the engine does."""


def run(*words: str, given: str = "", env: dict[str, str] | None = None) -> str:
    """Standard output of a command. Raises NotSo with what it said of its failure."""
    done = subprocess.run(
        words, input=given, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise NotSo(f"{' '.join(words)} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


class County:
    """docker-compose.yml as a project of its own, with passwords of its own."""

    def __init__(self, folder: Path) -> None:
        self._env = folder / "env"
        lines = [f"{name}_PASSWORD={secrets.token_hex(24)}" for name in PASSWORDS]
        self._env.write_text("\n".join([*lines, f"DAOHU_LISTEN={LISTEN}", "DAOHU_VERSION=try", ""]), encoding="utf-8")

    def compose(self, *words: str, given: str = "") -> str:
        file = ("--project-name", PROJECT, "--env-file", str(self._env), "--file", str(COMPOSE))
        return run("docker", "compose", *file, *words, given=given)

    def daohu(self, *words: str, options: tuple[str, ...] = (), given: str = "") -> str:
        """A command of ours where all databases are known and the home may be written."""
        return self.compose("run", "--rm", "-T", *options, "migrate", *words, given=given)

    def secret(self, name: str) -> str:
        return self.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "migrate", f"{KEYS}/{name}")

    def put(self, name: str, content: str) -> None:
        install = ("--entrypoint", "install", "migrate", "-D", "-m", "600", "/dev/stdin", f"{KEYS}/{name}")
        self.compose("run", "--rm", "-T", "--no-deps", *install, given=content)

    def inside(self, service: str) -> dict[str, Any]:
        return dict(json.loads(self.compose("exec", "-T", service, "python", "-c", INSIDE)))

    def ask(self, path: str, *words: str) -> str:
        """What the origin answers on the port that is published on this machine."""
        curl = ("--entrypoint", "curl", "nginxinc/nginx-unprivileged:1.28", "-fsS", *words)
        return run("docker", "run", "--rm", "--network", "host", *curl, f"http://{LISTEN}{path}")

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def end(self) -> None:
        self.compose("--profile", "observability", "down", "--volumes", "--timeout", "20")


def it_is_built(county: County) -> str:
    county.compose("build")
    return "daohu:try"


def it_starts(county: County) -> str:
    county.compose("up", "-d", "--wait")
    return f"{len(county.compose('ps', '-q').split())} containers"


def the_image_holds_what_it_should(_: County) -> str:
    [image] = json.loads(run("docker", "image", "inspect", "daohu:try"))
    found = run(
        "docker", "run", "--rm", "--user", "0", "--entrypoint", UNWANTED.split()[0], "daohu:try", *UNWANTED.split()[1:]
    )
    same("found in the image", found.split(), [])
    same("its user", image["Config"]["User"], "10001:10001")
    same("its release", run("docker", "run", "--rm", "daohu:try", "--version").strip(), f"daohu {version('daohu')}")
    for program in ("pg_dump", "pg_restore"):
        said = run("docker", "run", "--rm", "--entrypoint", program, "daohu:try", "--version")
        same(program, said.split()[2].partition(".")[0], "15")
    return f"{image['Size'] / 1e6:.0f} MB"


def a_process_is_sealed(county: County) -> str:
    for service in OURS:
        seen = county.inside(service)
        holds = [name for name, holders in HOLDERS.items() if service in holders]
        expected = {"user": 10001, "group": 10001, "rights": 0, "no new ones": "1", "written": [], "keys": holds}
        same(service, seen, expected)
    return f"{len(OURS)} processes"


def the_origins_network_reaches_no_database(county: County) -> str:
    [database] = county.containers("postgres")
    address = '{{(index .NetworkSettings.Networks "' + PROJECT + '_back").IPAddress}}'
    there = run("docker", "inspect", "-f", address, database).strip()
    for network, expected in (("back", True), ("front", False)):
        for host in ("postgres", there):
            try:
                run(
                    "docker",
                    "run",
                    "--rm",
                    "--network",
                    f"{PROJECT}_{network}",
                    "--entrypoint",
                    "python",
                    "daohu:try",
                    "-c",
                    CONNECT,
                    host,
                )
                reached = True
            except NotSo:
                reached = False
            same(f"{host} is reached from {network}", reached, expected)
    return "by name and by address"


def work_is_done_through_the_origin(county: County) -> str:
    token = county.daohu("token", "--role", "county_admin", "--division", COUNTY).strip()
    words = ("import", "registry/divisions", DIVISIONS, "--server", f"http://{LISTEN}", "--token", token)
    said = run("docker", "run", "--rm", "--network", "host", "daohu:try", *words)
    same("readyz", json.loads(county.ask("/readyz")), {"status": "ok"})
    until(lambda: known(county) > 0, "funds knows the divisions by their events")
    return said.strip().splitlines()[-1]


def known(county: County) -> int:
    """Divisions that the funds service has heard of: they came through outbox, Kafka and inbox."""
    return int(rows(county)["funds.division"].split()[0])


def rows(county: County) -> dict[str, str]:
    """Table → rows and digest, without those of messages on their way."""
    lines = [line.split(maxsplit=1) for line in county.daohu("dump", "--canonical").splitlines()]
    return {table: what for table, what in lines if not table.endswith((".inbox", ".outbox"))}


def a_rotation_shows_no_private_key(county: County) -> str:
    county.daohu("keys", "rotate", "issuer")
    county.daohu("keys", "rotate", "log")
    return f"{a_process_is_sealed(county)} after `keys rotate issuer` and `log`"


def replicas_come_and_go(county: County) -> str:
    county.compose("up", "-d", "--no-recreate", "--wait", "--scale", "funds-api=2", "--scale", "funds-worker=2")
    for container in county.containers("funds-api"):
        run("docker", "restart", container)
        until(lambda each=container: health(each) == "healthy", container)  # type: ignore[misc]
    county.ask("/readyz")
    return "two of funds, restarted one by one"


def health(container: str) -> str:
    return run("docker", "inspect", "-f", "{{.State.Health.Status}}", container).strip()


def the_doctor_finds_nothing_to_act_on(county: County) -> str:
    findings = county.daohu("doctor")
    return findings.strip().splitlines()[-1]


def a_backup_is_made(county: County) -> str:
    own = ("--volume", f"{BACKUPS}:/backups")
    run("docker", "run", "--rm", "--user", "0", *own, "--entrypoint", "chown", "daohu:try", "10001", "/backups")
    said = county.daohu("backup", "/backups/county.backup", "--with-keys", options=own)
    return said.strip().splitlines()[0]


def it_comes_back_when_all_volumes_are_lost(county: County) -> str:
    before, kept = rows(county), {name: county.secret(name) for name in ("backup.key", "master.key")}
    county.end()
    county.compose("up", "-d", "--wait", "postgres", "kafka")
    for name, content in kept.items():
        county.put(name, content)
    said = county.daohu("restore", "/backups/county.backup", options=("--volume", f"{BACKUPS}:/backups"))
    county.compose("up", "-d", "--wait")
    county.ask("/readyz")
    same(
        "tables that are not as before", {name for name, row in rows(county).items() if row != before.get(name)}, set()
    )
    return said.strip().splitlines()[0]


STEPS: tuple[Callable[[County], str], ...] = (
    it_is_built,
    it_starts,
    the_image_holds_what_it_should,
    a_process_is_sealed,
    the_origins_network_reaches_no_database,
    work_is_done_through_the_origin,
    replicas_come_and_go,
    a_rotation_shows_no_private_key,
    a_backup_is_made,
    the_doctor_finds_nothing_to_act_on,
    it_comes_back_when_all_volumes_are_lost,
    a_process_is_sealed,
)


def same(what: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise NotSo(f"{what}: {seen}, not {expected}")


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + HEALTHY_S
    while not true():
        if time.monotonic() > deadline:
            raise NotSo(f"not within {HEALTHY_S:.0f} s: {what}")
        time.sleep(1)


def main() -> int:
    """Builds, starts, looks, ends; a line a step."""
    engine = run("docker", "version", "-f", "engine {{.Server.Version}}") + run("docker", "compose", "version")
    sys.stdout.write(engine)
    with tempfile.TemporaryDirectory(prefix="daohu-image-") as folder:
        county = County(Path(folder))
        try:
            for step in STEPS:
                began = time.monotonic()
                said = step(county)
                sys.stdout.write(f"{step.__name__.replace('_', ' ')}: {said} · {time.monotonic() - began:.0f} s\n")
                sys.stdout.flush()
        except NotSo as error:
            sys.stdout.write(f"NOT SO  {error}\n")
            return 1
        finally:
            county.end()
            run("docker", "volume", "rm", "--force", BACKUPS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
