"""The figures of docs/scale.md: growth as it was measured, and what follows from it for more counties. Pure arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.county_file import HOUSEHOLDS_A_COUNTY
from bench.results import Row
from shared import retention

STEPS = (1, 10, 100, 1_000, 2_844)
ENTRIES_A_HOUSEHOLD, EVENTS_A_HOUSEHOLD = 6, 12
"""A year. Assumed high: one entry a payment, though a tranche pays many households with one."""

REPLICAS = 3
SERVER_GB = 1_000
"""What one PostgreSQL server should hold at most, so that it can be restored and given a new index within a night."""

PEAK_DAYS, HOURS = 5, 8
"""A month's payments go out within so many working days."""

AT_THREE, AT_TEN = ", at 3 counties ÷ at 1", ", at 10 counties ÷ at 1"

Figures = dict[str, dict[int, float]]


def figures(rows: Sequence[Row]) -> Figures:
    """What growth measured: by figure, by counties."""
    found: Figures = {}
    for row in rows:
        for counties, ending in ((3, AT_THREE), (10, AT_TEN)):
            if row["module"] == "growth" and row["name"].endswith(ending):
                found.setdefault(row["name"].removesuffix(ending), {}).update({counties: row["value"]})
                found[row["name"].removesuffix(ending)][1] = row["floor"]
    return found


def tables(rows: Sequence[Row]) -> str:
    """Growth, arithmetic and plan, as Markdown."""
    found = figures(rows)
    units = {row["name"].removesuffix(AT_TEN): row["unit"] for row in rows}
    if not found:
        return "Growth has not been measured."
    growth = [
        "| measured | 1 county | 3 counties | 10 counties | 10 ÷ 1 |\n| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name}, {units[name]} | {_short(at[1])} | {_short(at[3])} | {_short(at[10])} | {at[10] / at[1]:.2f} |"
            for name, at in found.items()
        ),
    ]
    county = County.of({name: at[10] for name, at in found.items()})
    return "\n".join([*growth, "", *county.arithmetic(), "", *county.plan()])


@dataclass(frozen=True, slots=True)
class County:
    """One county with HOUSEHOLDS_A_COUNTY households, in MB, and the rates of one process of each kind."""

    registry: float
    outbox: float
    inbox: float
    kafka: float
    ledger: float
    import_s: float
    postings_s: float
    events_s: float

    @classmethod
    def of(cls, ten: dict[str, float]) -> "County":
        outbox, log = (
            ten["storage a county, the outbox among them"],
            ten["storage a county, Kafka's log of its households"],
        )
        return cls(
            registry=ten["storage a county, registry's tables"] - outbox,
            outbox=outbox * EVENTS_A_HOUSEHOLD * retention.PUBLISHED.days / 365,
            inbox=ten["storage a county, inbox and projection of funds"]
            * max(1, EVENTS_A_HOUSEHOLD * retention.SEEN.days / 365),
            kafka=log * EVENTS_A_HOUSEHOLD * retention.IN_TOPICS.days / 365 * REPLICAS,
            ledger=ten["storage an entry, with its postings and its log"] * HOUSEHOLDS_A_COUNTY * ENTRIES_A_HOUSEHOLD / 1e6,
            import_s=ten["cost per household imported"] * HOUSEHOLDS_A_COUNTY / 1e6,
            postings_s=1e6 / ten["cost per posting"],
            events_s=1e6 / ten["cost per event, relayed and taken"],
        )  # fmt: skip

    def arithmetic(self) -> list[str]:
        """How a county's megabytes follow from the table and the assumptions."""
        homes, year = f"{HOUSEHOLDS_A_COUNTY:,} households", f"{EVENTS_A_HOUSEHOLD} events a household and year"
        return [
            f"A county of {homes}, from the column of 10 counties:",
            "",
            f"- registry (households, people, history): tables − outbox = {self.registry:.0f} MB for each yearly file",
            f"- outbox: one event a household measured × {year} × {retention.PUBLISHED.days} ÷ 365 days kept = {self.outbox:.0f} MB",
            f"- inbox and projection of a hearing service: measured × {EVENTS_A_HOUSEHOLD} × {retention.SEEN.days} ÷ 365 = {self.inbox:.0f} MB",
            f"- Kafka: measured × {EVENTS_A_HOUSEHOLD} × {retention.IN_TOPICS.days} ÷ 365 × {REPLICAS} replicas = {self.kafka:.0f} MB",
            f"- ledger: {HOUSEHOLDS_A_COUNTY:,} × {ENTRIES_A_HOUSEHOLD} entries × measured bytes = {self.ledger:.0f} MB a year",
            f"- its file: {HOUSEHOLDS_A_COUNTY:,} × measured = {self.import_s:.1f} s",
            f"- one ledger writer: {_short(self.postings_s)} postings/s; one relay and consumer: {_short(self.events_s)} events/s",
        ]

    def plan(self) -> list[str]:
        head = "| counties | registry, 5 years | ledger, 5 years | outbox, inbox | Kafka | PostgreSQL servers (and as many standbys) | all files, one process | postings/s at the peak, of one writer | events/s, of one consumer |"  # fmt: skip
        return [head, "| ---: " * 9 + "|", *(self._step(counties) for counties in STEPS)]

    def _step(self, counties: int) -> str:
        registry, ledger, passing, kafka = (
            counties * each / 1e3 for each in (5 * self.registry, 5 * self.ledger, self.outbox + self.inbox, self.kafka)
        )
        servers = math.ceil((registry + ledger + passing) / SERVER_GB)
        peak = counties * HOUSEHOLDS_A_COUNTY / 12 / (PEAK_DAYS * HOURS * 3600)
        postings, events = peak * ENTRIES_A_HOUSEHOLD, peak * EVENTS_A_HOUSEHOLD
        return (
            f"| {counties:,} | {_gb(registry)} | {_gb(ledger)} | {_gb(passing)} | {_gb(kafka)} | {servers} | "
            f"{counties * self.import_s / 3600:.1f} h | {_short(postings)}, {postings / self.postings_s:.1%} | "
            f"{_short(events)}, {events / self.events_s:.1%} |"
        )


def _gb(number: float) -> str:
    return f"{number / 1e3:.1f} TB" if number >= 1e3 else f"{_short(number)} GB"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
