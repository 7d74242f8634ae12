"""The watchdog, in processes of their own: what stands still ends with its exit code, what goes on does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.watchdog import EXIT_STUCK

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0

PROCESS = """
import asyncio, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests/shared"]
from consumer_desk import new_desk, until
from shared.observability import configure_logs
from shared.watchdog import Watchdog

async def hangs(work, event, envelope):
    await asyncio.Event().wait()

async def blocks(work, event, envelope):
    time.sleep(600)

async def works(work, event, envelope):
    time.sleep(0.2)

async def main():
    configure_logs()
    async with new_desk("sqlite:///{home}/x.db") as desk:
        desk.on_division = {handler}
        group = desk.new_group()
        await desk.send(*map(str, range(10)))
        task = asyncio.create_task(group.run())
        watchdog = Watchdog({{"consumer": lambda: group.progress}}, after_s=1.0)
        watchdog.start()
        await until(group.settled)
        watchdog.stop()
        await group.stop()
        await task
    print("settled")

asyncio.run(main())
"""


def run(handler: str, home: Path) -> subprocess.CompletedProcess[str]:
    code = PROCESS.format(root=str(ROOT), home=home, handler=handler)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=False, cwd=ROOT
    )


@pytest.mark.parametrize("handler", ["hangs", "blocks"])
def test_a_handler_that_never_returns_ends_the_process(handler: str, tmp_path: Path) -> None:
    answer = run(handler, tmp_path)
    assert answer.returncode == EXIT_STUCK
    assert '"event": "stuck"' in answer.stderr
    assert '"loop": "consumer"' in answer.stderr


def test_a_long_batch_that_goes_on_event_by_event_is_not_stuck(tmp_path: Path) -> None:
    """Ten events of 0.2 s in one batch take twice what a loop may stand still."""
    answer = run("works", tmp_path)
    assert (answer.returncode, answer.stdout) == (0, "settled\n")
