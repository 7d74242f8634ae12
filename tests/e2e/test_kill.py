"""Acceptance point 7: the month is lived while the process is killed with -9 at many moments; what comes of it is the same.

The driver stays outside: it repeats what was not answered, under the same Idempotency-Key. It never knows what was done.
"""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import Month, daohu
from supervisor import Killer, Moment

from demo.command import CLIENT, issuing
from demo.county import County, generate
from demo.driver import Answer, Driver, Who
from demo.month import STARTS_AT, Stage, live

SEED = 1
"""As in the undisturbed month."""

PATIENCE_S = 120.0
SHOWN = 20
"""Differing rows that a failure prints."""


MOMENTS = (
    # the files come in and are heard of
    Moment("import:divisions", "registry", "before_commit"),
    Moment("import:households", "registry", "relay_after_send"),
    Moment("import:households", "registry", "before_commit", 3),
    Moment("import:measures", "registry", "after_commit"),
    Moment("import:measures", "assessment", "before_commit"),
    Moment("import:measures", "funds", "in_handler"),
    Moment("import:measures", "funds", "before_commit"),
    Moment("import:payees", "funds", "before_commit"),
    # the first week: prompts, receipts, an allocation, reports, reminders, visits
    Moment("brief:", "notify", "gateway_before_call", 5),
    Moment("receipt:", "funds", "ledger_before_commit", 2),
    Moment("allocate:", "funds", "ledger_after_commit"),
    Moment("sms:2016-W44", "assessment", "in_handler"),
    Moment("sms:2016-W44", "notify", "before_commit", 5),
    Moment("sms:2016-W44", "notify", "gateway_after_call", 2),
    Moment("visits:2016-W44", "assessment", "before_ack"),
    # the money is set aside, a household's exit is decided, reports and prompts go on
    Moment("tranche:hold", "funds", "ledger_before_commit"),
    Moment("exit:county_decision", "registry", "before_commit"),
    Moment("sms:2016-W45", "notify", "relay_after_send"),
    Moment("visits:2016-W45", "notify", "before_commit", 40),
    # the payment itself, then the rest of the month
    Moment("tranche:pay", "funds", "ledger_before_commit"),
    Moment("identification:announcement", "registry", "before_commit"),
    Moment("visits:2016-W46", "assessment", "before_commit", 3),
    Moment("sms:2016-W47", "notify", "before_commit", 40),
    Moment("visits:2016-W47", "funds", "before_commit", 2),
    Moment("sms:2016-W48", "assessment", "before_commit", 3),
)
"""In the order of the month's acts (demo/month); each counts in the life of the process that it ends."""

LEAST_KILLS = 20
LEAST_IN_TRANSACTION = 3
"""Of each service."""

IN_TRANSACTION = frozenset({"before_commit", "in_handler", "ledger_before_commit"})
"""Points at which a transaction is open that has written."""


class Watched(Driver):
    """A driver that says aloud what it is about to do, so that the killer knows where in the month it is."""

    killer: Killer

    def ask(self, who: Who, method: str, path: str, *, act: str = "", **rest: Any) -> Answer:
        if act:
            self.killer.about_to(act)
        return super().ask(who, method, path, act=act, **rest)


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
    month: Month, county: County, tmp_path: Path, say: Callable[[str], None]
) -> None:
    home = tmp_path / "killed"
    killer = Killer(home, STARTS_AT, MOMENTS)
    killer.start()
    try:
        with Watched(killer.url, issuing(home), key_prefix=f"{CLIENT}-{SEED}", patience_s=PATIENCE_S) as driver:
            driver.killer = killer
            live(Stage(driver, county, tmp_path, lambda zh, en: None))
    finally:
        killer.stop()
        assert not killer.fell, killer.fell
    places = Counter(moment.place for moment in killer.killed)
    say(f"killed {places.total()} times: {', '.join(f'{place} {times}' for place, times in sorted(places.items()))}")
    assert places.total() >= LEAST_KILLS, f"not reached: {killer.missed}"
    assert {moment.point for moment in killer.killed} == {moment.point for moment in MOMENTS}, killer.missed
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
