"""Keycloak for tests: an OpenID provider of the version in deploy/keycloak/pom.xml, over TLS, in memory, without a container."""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers import NotHere, free_port, maven, send_signal, tls, until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "keycloak"
CACHE = ROOT / ".cache" / "keycloak"

START_S, STOP_S, BUILD_S = 240.0, 10.0, 600.0
"""It takes 18 s of a processor to begin; other tests want theirs."""
ASK_S = 90.0

JAVA_OPTS = "-Xms64m -Xmx320m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8"
"""Instead of those of kc.sh: a server that lives for a minute and has few callers."""

ADMIN = "daohu-tests"


class Keycloak:
    """A server of our own with no realm but its own. `authority`: the PEM file of whom its certificate is from. Raises NotHere."""

    def __init__(self, folder: Path) -> None:
        home, port = server_home(), free_port()
        self.url, self.log = f"https://127.0.0.1:{port}", folder / "keycloak.log"
        self.authority, certificate, key = tls.make(folder)
        self._secret = secrets.token_urlsafe()
        self._tls = ssl.create_default_context(cafile=self.authority)
        self.http = self.browser()
        given = {
            "cache": "local",  # else it looks for others of its kind, on all addresses
            "http-host": "127.0.0.1",
            "https-port": port,
            "hostname": self.url,
            "https-certificate-file": certificate,
            "https-certificate-key-file": key,
        }
        admin = {"KC_BOOTSTRAP_ADMIN_CLIENT_ID": ADMIN, "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": self._secret}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [home / "bin" / "kc.sh", "start", "--optimized", *(f"--{name}={value}" for name, value in given.items())],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "JAVA_OPTS": JAVA_OPTS, **admin},
            )  # fmt: skip
        try:
            until(self._answers, START_S, f"Keycloak (its log: {self.log})")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Also the Java process that kc.sh started."""
        self.http.close()
        send_signal(signal.SIGKILL, -self._process.pid)
        self._process.wait(STOP_S)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It stands still: connections are made and nothing comes."""
        send_signal(signal.SIGSTOP, -self._process.pid)
        try:
            yield
        finally:
            send_signal(signal.SIGCONT, -self._process.pid)

    def browser(self) -> httpx.Client:
        """Somebody with cookies of his own, who trusts the authority."""
        return httpx.Client(base_url=self.url, verify=self._tls, timeout=ASK_S, trust_env=False)

    def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """A call of the admin API, which must end well. `path` below /admin/realms."""
        said = self.http.request(
            method, f"/admin/realms{path}", json=body, headers={"authorization": f"Bearer {self._admin_token()}"}
        )
        assert said.is_success, f"{method} {path}: {said.status_code} {said.text}"
        return said

    def token(self, realm: str, **form: str) -> httpx.Response:
        """What the token address of a realm answers to this form."""
        return self.http.post(f"/realms/{realm}/protocol/openid-connect/token", data=form)

    def _admin_token(self) -> str:
        form = {"grant_type": "client_credentials", "client_id": ADMIN, "client_secret": self._secret}
        return str(self.token("master", **form).json()["access_token"])

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/realms/master/.well-known/openid-configuration").is_success
        except httpx.TransportError:
            return False


def version() -> str:
    [found] = re.findall(r"<artifactId>keycloak-quarkus-dist</artifactId>\s*<version>([\d.]+)</version>", _pom())
    return str(found)


def server_home() -> Path:
    """The unpacked server, fetched once through Maven and built for these tests. Raises NotHere."""
    maven.need_java("Keycloak")
    home = CACHE / version()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # several test runs may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            half = CACHE / f"{version()}.half"
            shutil.rmtree(half, ignore_errors=True)
            archive = _fetched(half)
            require_known(archive)
            with tarfile.open(archive) as packed:
                packed.extractall(half, filter="data")
            archive.unlink()
            _build(half / f"keycloak-{version()}")
            (half / f"keycloak-{version()}").rename(home)
            half.rmdir()
    return home


def _fetched(folder: Path) -> Path:
    maven.fetch(DEPLOY / "pom.xml", folder, f"Keycloak {version()}")
    [archive] = folder.iterdir()
    return archive


def require_known(archive: Path) -> None:
    """Holds the fetched archive against deploy/keycloak/archive.sha256. Raises NotHere when it is not what it was."""
    digest, name = (DEPLOY / "archive.sha256").read_text().split()
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if (archive.name, found) != (name, digest):
        raise NotHere(
            f"{archive.name} is not the archive of deploy/keycloak/archive.sha256: fetched anew it is still another? Then somebody "
            "changed it, or the pom did: look before you write the digest anew"
        )


def _build(home: Path) -> None:
    """Fixes at once what Keycloak otherwise works out at each start."""
    said = subprocess.run(
        [home / "bin" / "kc.sh", "build", "--db=dev-mem"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=BUILD_S,
    )  # fmt: skip
    if said.returncode:
        raise NotHere(f"Keycloak {version()} could not be built: {said.stdout[-300:]}{said.stderr[-300:]}")


def _pom() -> str:
    return (DEPLOY / "pom.xml").read_text()
