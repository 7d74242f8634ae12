"""results.json and the table: what was measured, merged into what was measured before."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.harness import Result
from shared.clock import SystemClock

ROOT = Path(__file__).parent.parent
FILE = ROOT / "bench" / "results.json"

Row = dict[str, Any]


def row(module: str, result: Result) -> Row:
    """A result as results.json keeps it. `value` and `floor` in `unit`; `target` is a ratio where there is a floor."""
    case = result.case
    return {
        "name": case.name,
        "unit": case.unit,
        "value": _figure(result.value),
        "floor": _figure(result.floor),
        "ratio": _figure(result.ratio),
        "sense": case.sense,
        "target": case.target,
        "met": result.met,
        "against": case.against,
        "spread": _figure(result.spread),
        "rounds": len(result.rounds),
        "noisy": result.noisy,
        "module": module,
        "version": product(),
        "machine": machine(),
        "measured_at": SystemClock().now().isoformat(timespec="seconds"),
    }


def read() -> list[Row]:
    rows: list[Row] = json.loads(FILE.read_text()) if FILE.exists() else []
    return rows


def merge(module: str, new: Iterable[Row], *, whole: bool = True) -> None:
    """Puts a module's rows in the place of its earlier ones; not `whole`: of those with the same names alone.

    Rows stand by module, then as the module gave them.
    """
    new = list(new)
    names = {row["name"] for row in new}
    rows = [old for old in read() if old["module"] != module or not (whole or old["name"] in names)] + new
    rows.sort(key=lambda row: row["module"])
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    head = "| measured | figure | floor | ratio | target | met | spread |\n| --- | ---: | ---: | ---: | ---: | --- | ---: |"
    return "\n".join([head, *map(line, rows)])


def line(row: Row) -> str:
    """One row of the table."""
    target = f"{'≥' if row['sense'] == 'at least' else '≤'} {row['target']:g}"
    if row["floor"] is None:
        target += f" {row['unit']}"
    met = ("yes" if row["met"] else f"**no**, {_missed(row)}") + (", noisy" if row["noisy"] else "")
    figures = f"{_text(row['value'])} {row['unit']} | {_text(row['floor'])} | {_text(row['ratio'])}"
    return f"| {row['name']} | {figures} | {target} | {met} | {row['spread']:.0%} |"


def _missed(row: Row) -> str:
    """By how much, of the target."""
    reached = (row["value"] if row["ratio"] is None else row["ratio"]) / row["target"]
    return f"{1 - reached:.0%} under" if row["sense"] == "at least" else f"{reached - 1:.0%} over"


def _figure(value: float | None) -> float | None:
    """Four significant digits: what a measurement can say."""
    return None if value is None else float(f"{value:.4g}")


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def product() -> str:
    """Version and commit of what was measured."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"{version('daohu')}+{done.stdout.strip()}" if done.returncode == 0 else version("daohu")


def machine() -> str:
    """What it was measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) >> 20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return f"{os.cpu_count()} × {model}, {memory} GiB, {platform.system()} {platform.release()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
