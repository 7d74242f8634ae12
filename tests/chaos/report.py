"""What a run was, for people: bench/chaos.json, the table on the terminal, and the same in docs/reliability.md."""

import json
from pathlib import Path
from typing import Any

from bench.results import machine, product
from shared.clock import SystemClock
from tests.chaos.run import Outcome

ROOT = Path(__file__).resolve().parents[2]
FILE, DOCUMENT = ROOT / "bench" / "chaos.json", ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos: written by make chaos -->\n", "<!-- chaos: end -->\n"

SHOWN = 300
"""Characters of a finding in the table."""

Row = dict[str, Any]


def row(outcome: Outcome, kills: int, least: int) -> Row:
    """A run as bench/chaos.json keeps it. `least`: kills wanted at each named point."""
    return {
        "measured_at": SystemClock().now().isoformat(timespec="seconds"),
        "version": product(),
        "machine": machine(),
        "seed": outcome.seed,
        "seconds": outcome.seconds,
        "kills": {"wanted": kills, "at each named point": least, "done": outcome.kills, "missed": outcome.missed},
        "by_name": {str(named): times for named, times in outcome.by_name.items()},
        "by_place": dict(outcome.by_place),
        "acknowledged": outcome.acknowledged,
        "rows": outcome.rows,
        "findings": outcome.findings,
    }


def holds(run: Row) -> bool:
    """Whether enough was killed everywhere and nothing is wrong."""
    kills = run["kills"]
    enough = kills["done"] >= kills["wanted"] and min(run["by_name"].values()) >= kills["at each named point"]
    return enough and not any(run["findings"].values())


def text(run: Row) -> str:
    """The run as Markdown."""
    kills = run["kills"]
    lines = [
        f"{run['measured_at'][:10]}, version {run['version']}, seed {run['seed']}: **{kills['done']} kills** in {run['seconds']:.0f} s"
        f" on {run['machine']}. {run['acknowledged']} acknowledged acts, {run['rows']:,} rows compared.",
        "",
        "| named point | kills |",
        "| --- | ---: |",
        *(f"| {named} | {times} |" for named, times in run["by_name"].items()),
        "",
        "| place | kills |",
        "| --- | ---: |",
        *(f"| {place} | {times} |" for place, times in run["by_place"].items()),
        "",
        "| checked | |",
        "| --- | --- |",
        *(f"| {check} | {_found(wrong)} |" for check, wrong in run["findings"].items()),
        "",
    ]
    return "\n".join(lines)


def _found(wrong: list[str]) -> str:
    """The first thing a check found, short enough for a table; bench/chaos.json keeps all of them whole."""
    return f"**no**: {wrong[0].replace('|', '/')[:SHOWN]}" if wrong else "holds"


def last() -> Row:
    """The run that bench/chaos.json keeps."""
    run: Row = json.loads(FILE.read_text(encoding="utf-8"))
    return run


def documented() -> str:
    """What the document says of it."""
    return DOCUMENT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def write(run: Row) -> None:
    """Keeps the run, and puts it into the document in the place of the one before."""
    FILE.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + text(run) + END + rest.split(END)[1], encoding="utf-8")
