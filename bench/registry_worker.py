"""A registry in a process of its own: takes over files through its API and prints what each cost, as JSON lines.

`python -m bench.registry_worker <database url> <home> <divisions.xlsx …> -- <households.xlsx …>`
"""

import json
import sys
import time
from pathlib import Path

import uvloop

from bench.memory import peak_mb
from services.registry.api import ROUTERS
from services.registry.settings import Settings
from services.registry.tables import metadata
from services.serving import settle_memory
from shared.observability import configure_logs
from shared.roles import Role
from shared.testing import Client, running, settings_for

PROVINCE = "610000000000"


async def main(url: str, home: Path, divisions: list[Path], files: list[Path]) -> None:
    settings = settings_for(Settings, home, url, request_seconds=600, max_import_bytes=64 << 20)
    async with running(settings, metadata, ROUTERS) as live:
        office = live.as_(Role.COUNTY_ADMIN, division=PROVINCE)
        settle_memory()
        for data in map(Path.read_bytes, divisions):
            await _post(office, "divisions", data)
        for data in map(Path.read_bytes, files):
            started, spent = time.perf_counter(), time.process_time()
            await _post(office, "households", data)
            print(
                json.dumps({
                    "seconds": time.perf_counter() - started,
                    "cpu_seconds": time.process_time() - spent,
                    "peak_mb": peak_mb(),
                })
            , flush=True)  # fmt: skip


async def _post(office: Client, kind: str, data: bytes) -> None:
    answer = await office.post(f"/registry/v1/imports/{kind}", content=data, timeout=None)
    assert answer.status_code == 201, answer.text[:500]
    assert answer.json()["state"] == "applied", answer.text[:500]


if __name__ == "__main__":
    at = sys.argv.index("--")
    configure_logs("ERROR")
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]), [*map(Path, sys.argv[3:at])], [*map(Path, sys.argv[at + 1 :])]))
