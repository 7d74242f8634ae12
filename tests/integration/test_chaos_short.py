"""The month on the cluster under ten kills: one at each named point, PostgreSQL and Kafka among them. `make chaos` is the long form."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.__main__ import SHORT
from tests.chaos.run import under_fire
from tests.integration.conftest import Lived
from tests.servers import NotHere

SEED = 1


def test_ten_kills_change_nothing(undisturbed: Lived, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="daohu-chaos-") as folder:
        try:
            outcome = under_fire(Path(folder), undisturbed.month, kills=SHORT, seed=SEED)
        except NotHere as missing:
            (pytest.fail if os.environ.get("DAOHU_REQUIRE_SERVERS") == "1" else pytest.skip)(str(missing))
    run = report.row(outcome, SHORT, 1)
    say(f"{report.text(run)}")
    assert not outcome.wrong()
    assert report.holds(run)
