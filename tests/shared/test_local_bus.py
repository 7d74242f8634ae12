"""What LocalBus promises beyond the contract: kill -9 takes nothing that was acknowledged, and its file does not grow for ever."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from shared import local_bus
from shared.bus import Message
from shared.local_bus import LocalBus

TOPIC = "daohu.tests.thing"

SENDER = """
import asyncio, sys
from pathlib import Path
from shared.bus import Message
from shared.local_bus import LocalBus

async def main():
    bus = LocalBus(Path(sys.argv[1]))
    await bus.start()
    await bus.create_topics(["daohu.tests.thing"])
    for n in range(1_000_000):
        await bus.producer().send([Message("daohu.tests.thing", "one", str(n).encode())])
        print(n, flush=True)

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "bus.db"
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDER, str(path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert sender.stdout is not None
    for _ in range(50):
        await asyncio.wait_for(sender.stdout.readline(), 30)
    sender.send_signal(signal.SIGKILL)
    printed, _ = await sender.communicate()
    acknowledged = 50 + len(printed.split())
    reopened = LocalBus(path)
    await reopened.start()
    records = await reopened.consumer("g", [TOPIC]).poll(1_000_000, 0)
    await reopened.stop()
    assert len(records) in (acknowledged, acknowledged + 1)  # the last one may have been sent and not yet printed
    assert [int(r.value) for r in records] == list(range(len(records)))


@pytest.mark.parametrize("committed", [0, 5, 25, 30])
async def test_a_partition_keeps_its_newest_records_and_all_that_a_group_still_needs(
    committed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_bus, "RETAINED_RECORDS", 10)
    monkeypatch.setattr(local_bus, "TRIM_EVERY", 1)
    local = LocalBus(":memory:")
    await local.start()
    await local.create_topics([TOPIC], partitions=1)
    first = local.consumer("g", [TOPIC])
    for n in range(30):
        await local.producer().send([Message(TOPIC, "one", b"%d" % n)])
    await first.poll(100, 0)
    await first.commit({(TOPIC, 0): committed})
    await local.producer().send([Message(TOPIC, "one", b"30")])
    left = await local.consumer("new", [TOPIC]).poll(100, 0)
    assert left[0].offset == min(committed, 31 - 10)
    assert left[-1].offset == 30
    await local.stop()


async def test_a_group_that_has_not_committed_in_a_partition_loses_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slow group waits at its first record while the quick one is far ahead."""
    monkeypatch.setattr(local_bus, "RETAINED_RECORDS", 10)
    monkeypatch.setattr(local_bus, "TRIM_EVERY", 1)
    local = LocalBus(":memory:")
    await local.start()
    await local.create_topics([TOPIC], partitions=1)
    slow, quick = local.consumer("slow", [TOPIC]), local.consumer("quick", [TOPIC])
    for n in range(30):
        await local.producer().send([Message(TOPIC, "one", b"%d" % n)])
        taken = await quick.poll(100, 0)
        await quick.commit({(TOPIC, 0): taken[-1].offset + 1})
    assert [record.offset for record in await slow.poll(100, 0)] == list(range(30))
    await local.stop()


async def test_a_topic_nobody_listens_to_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_bus, "RETAINED_RECORDS", 10)
    monkeypatch.setattr(local_bus, "TRIM_EVERY", 1)
    local = LocalBus(":memory:")
    await local.start()
    await local.create_topics([TOPIC], partitions=1)
    for n in range(30):
        await local.producer().send([Message(TOPIC, "one", b"%d" % n)])
    assert [record.offset for record in await local.consumer("new", [TOPIC]).poll(100, 0)] == list(range(20, 30))
    await local.stop()
