"""Servers that run on Java, fetched through Maven by a pom of deploy/: exact versions, strict checksums."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.servers import NotHere

MIN_JAVA = 17


def need_java(server: str, otherwise: str = "") -> None:
    """Raises NotHere; `otherwise` says what else would do."""
    if shutil.which("java") is None:
        raise NotHere(f"no Java on this machine for {server} (apt-get install default-jre-headless{otherwise})")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    [major] = re.findall(r'version "(\d+)', said)[:1] or ["0"]
    if int(major) < MIN_JAVA:
        raise NotHere(f"Java {major} is too old for {server}, {MIN_JAVA} is needed")


def fetch(pom: Path, folder: Path, server: str) -> None:
    """Puts what the pom names, and what that needs to run, into the folder. Raises NotHere."""
    if shutil.which("mvn") is None:
        raise NotHere(f"no Maven on this machine to fetch {server} (apt-get install maven)")
    line = ["mvn", "-q", "-B", "--strict-checksums", "-f", str(pom), "dependency:copy-dependencies"]
    fetched = subprocess.run(
        [*line, f"-DoutputDirectory={folder}", "-DincludeScope=runtime"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if fetched.returncode:
        raise NotHere(f"Maven could not fetch {server}: {fetched.stdout[-300:]}")
