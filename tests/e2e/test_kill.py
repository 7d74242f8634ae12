"""Acceptance point 7: the month is lived while the process is killed with -9 at many moments; what comes of it is the same.

The driver stays outside: it repeats what was not answered, under the same Idempotency-Key. It never knows what was done.
"""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from conftest import Month, daohu
from supervisor import Killer, Moment

from demo.command import CLIENT, issuing
from demo.county import County, generate
from demo.driver import Driver
from demo.month import STARTS_AT, Stage, live

SEED = 1
"""As in the undisturbed month."""

PATIENCE_S = 120.0
SHOWN = 20
"""Differing rows that a failure prints."""

MOMENTS = (
    # 31 October, the files come in and are heard of
    Moment("registry", "before_commit", 2),
    Moment("registry", "relay_after_send", 1),
    Moment("registry", "before_commit", 3),
    Moment("assessment", "before_commit", 4),
    Moment("funds", "in_handler", 300),
    Moment("funds", "before_commit", 10),
    Moment("registry", "after_commit", 4),
    Moment("notify", "before_ack", 2),
    Moment("funds", "before_commit", 3),
    # the first Monday's prompts; 1 November, the second receipt; 3 November, the second allocation
    Moment("notify", "gateway_before_call", 5),
    Moment("funds", "ledger_before_commit", 2),
    Moment("funds", "ledger_after_commit", 3),
    # reports, the first Friday's reminders, visits, late reports
    Moment("assessment", "in_handler", 10),
    Moment("notify", "gateway_after_call", 2),
    Moment("assessment", "before_ack", 2),
    Moment("notify", "before_commit", 5),
    # 18 November, the payment: a hold and four refusals were put on record before it
    Moment("funds", "ledger_before_commit", 6),
    # until 2 December
    Moment("notify", "relay_after_send", 2),
    Moment("registry", "before_commit", 14),
    Moment("notify", "before_commit", 60),
    Moment("assessment", "before_commit", 30),
    Moment("funds", "before_commit", 14),
    Moment("notify", "before_commit", 60),
    Moment("assessment", "before_commit", 20),
)
"""In the order of the month; each counts from the start of the process that it ends."""

LEAST_KILLS = 20
LEAST_IN_TRANSACTION = 3
"""Of each service."""

IN_TRANSACTION = frozenset({"before_commit", "in_handler", "ledger_before_commit"})
"""Points at which a transaction is open that has written."""


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> County:
    """The county of seed 1, as `daohu demo` generates it."""
    return generate(SEED, tmp_path_factory.mktemp("county"))


def rows_of(home: Path) -> tuple[str, list[str]]:
    """What `daohu dump --canonical` prints and the rows it writes."""
    rows = home.with_name(f"{home.name}-rows.txt")
    run = daohu("dump", "--canonical", "--home", home, "--rows", rows)
    assert run.returncode == 0, run.stderr
    return run.stdout, rows.read_text(encoding="utf-8").splitlines()


def test_the_month_is_the_same_when_the_process_dies_all_the_time(
    month: Month, county: County, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "killed"
    killer = Killer(home, STARTS_AT, MOMENTS)
    killer.start()
    try:
        with Driver(killer.url, issuing(home), key_prefix=f"{CLIENT}-{SEED}", patience_s=PATIENCE_S) as driver:
            live(Stage(driver, county, tmp_path, lambda zh, en: None))
    finally:
        killer.stop()
        assert not killer.fell, killer.fell
    places = Counter(moment.place for moment in killer.killed)
    with capsys.disabled():
        print(
            f"\nkilled {places.total()} times: {', '.join(f'{place} {times}' for place, times in sorted(places.items()))}"
        )
    assert not killer.pending, f"never reached: {killer.pending}"
    assert places.total() >= LEAST_KILLS
    inside = Counter(moment.service for moment in killer.killed if moment.point in IN_TRANSACTION)
    assert all(inside[service] >= LEAST_IN_TRANSACTION for service in ("registry", "funds", "assessment", "notify")), (
        inside
    )
    undisturbed, killed = rows_of(month.home), rows_of(home)
    lost, made = Counter(undisturbed[1]), Counter(killed[1])
    difference = [f"- {row}" for row in islice((lost - made).elements(), SHOWN)]
    difference += [f"+ {row}" for row in islice((made - lost).elements(), SHOWN)]
    assert not difference, "\n".join(difference)
    assert undisturbed[0] == killed[0]
