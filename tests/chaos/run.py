"""One run: a plan, the month under fire, and everything that must be true after it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.month import STARTS_AT
from tests.chaos import checks
from tests.chaos.killer import Killer
from tests.chaos.months import Month, dumped, lived, settle, witness
from tests.chaos.plan import SCALE, Named, draw
from tests.integration.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Outcome:
    """`by_place`, `by_name`: kills. `acknowledged`: acts that were answered, each of them asked for once more.

    `findings`: check → what is wrong.
    """

    seed: int
    by_place: Mapping[str, int]
    by_name: Mapping[Named, int]
    missed: int
    acknowledged: int
    rows: int
    seconds: float
    findings: checks.Findings

    @property
    def kills(self) -> int:
        return sum(self.by_place.values())

    def wrong(self) -> list[str]:
        return [f"{check}: {line}" for check, lines in self.findings.items() for line in lines]


def under_fire(folder: Path, undisturbed: Month, *, kills: int, seed: int) -> Outcome:
    """Lives the month on a cluster in an empty folder that the user postgres may reach.

    Raises NotHere, and what the driver raises when the month cannot be lived to its end.
    """
    started = time.monotonic()
    cluster = Cluster(folder, scale=SCALE, starts_at=STARTS_AT)
    killer = Killer(cluster, draw(undisturbed.acts, seed, kills), seed)
    with cluster, witness(cluster, killer.about_to) as driver:
        killer.start()
        try:
            came_of_it = lived(driver, folder)
            acts = list(driver.acts)
        finally:
            killer.stop()
        cluster.wait_ready()
        settle(driver)
        urls = {
            name.removeprefix("DAOHU_").removesuffix("_DATABASE_URL").lower(): url
            for name, url in cluster.database_urls().items()
        }
        not_kept = checks.not_kept(urls, driver.acknowledged)
        driver.repeat(all_of_them=True)
        settle(driver)
        lived_through = dumped(came_of_it, acts, folder / "rows", cluster.database_urls())
        findings: checks.Findings = {
            "the answer to what was acknowledged is kept": not_kept,
            "what was acknowledged is answered again as it was": driver.changed,
            **checks.of_databases(urls, driver.acknowledged),
            **checks.of_months(undisturbed, lived_through),
            "no process ended by itself": checks.ended_by_themselves(cluster.processes.values()),
        }
        return Outcome(
            seed=seed,
            by_place=killer.by_place(),
            by_name=killer.by_name(),
            missed=len(killer.missed),
            acknowledged=len(driver.acknowledged),
            rows=lived_through.rows.total(),
            seconds=round(time.monotonic() - started, 1),
            findings=findings,
        )
