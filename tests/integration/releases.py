"""The release before this one: its code, taken from this repository's history, to run beside ours."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.integration.composed import ROOT
from tests.servers import NotHere

BEFORE = "5919c50c1ba43a96c2056fba4b89db538bfc8742"
"""The last commit before issue 5: what stands in the counties. A release that is made moves it to the one it replaces."""


def code_before(folder: Path) -> Path:
    """Lays the code of the release before into an empty folder. Raises NotHere where there is no history, or none so long."""
    line = ["git", "archive", "--format=tar", BEFORE]
    archive = subprocess.run(line, cwd=ROOT, capture_output=True, check=False) if shutil.which("git") else None
    if archive is None or archive.returncode:
        raise NotHere(f"the release before this one ({BEFORE[:7]}) is not in the history of this checkout")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder.resolve()
