"""What a soak found: as JSON (bench/soak.json), as text, and as the section of docs/reliability.md."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.results import ROOT, machine, product
from shared.clock import SystemClock
from tests.soak.judge import FLAT_MIB_AN_HOUR, SERVERS, Check, an_hour, percentiles
from tests.soak.load import Asked
from tests.soak.trend import level, trend
from tests.soak.watch import EVERY_S, Series

FILE = ROOT / "bench" / "soak.json"
PAGE = ROOT / "docs" / "reliability.md"
SAMPLE_S = 15
"""The file keeps a sample of memory each so many seconds: a step of an allocator is no slope, and only the samples tell them apart."""

BEGIN, END = "<!-- soak: written by make soak -->", "<!-- soak: end -->"

Found = dict[str, Any]


def found(
    *,
    measured_s: float,
    days: int,
    checks: Sequence[Check],
    asked: Sequence[Asked],
    begin: float,
    memory: Mapping[str, Series],
    done: Mapping[str, int],
) -> Found:
    """As bench/soak.json holds it. Latencies in ms, memory in MiB, slopes in MiB an hour."""
    return {
        "measured_at": SystemClock().now().isoformat(timespec="seconds"),
        "version": product(),
        "machine": machine(),
        "seconds": round(measured_s),
        "county_days": days,
        "held": all(check.held is not False for check in checks),
        "acts": dict(done),
        "memory": {name: _memory(series) for name, series in sorted(memory.items())},
        "minutes": _minutes(asked, begin, max(1, int(measured_s // 60))),
        "checks": [{"name": check.name, "held": check.held, "found": check.found} for check in checks],
    }


def _memory(series: Series) -> dict[str, Any]:
    first, last = level(series.values)
    slope, margin = an_hour(trend(series.times, series.values))
    return {
        "first": round(first, 1),
        "last": round(last, 1),
        "slope": round(slope, 1),
        "margin": round(margin, 1),
        "samples": [round(mib, 1) for mib in series.values[:: round(SAMPLE_S / EVERY_S)]],
    }


def _minutes(asked: Sequence[Asked], begin: float, minutes: int) -> list[dict[str, Any]]:
    """The last one holds what came after it, too: an act in hand when the time was over."""
    by_minute: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in asked:
        by_minute[min(int((one.at - begin) // 60), minutes - 1)][one.actor].append(one.seconds)
    return [
        {
            "minute": minute + 1,
            "requests": sum(map(len, actors.values())),
            **{actor: [round(ms, 1) for ms in percentiles(seconds)] for actor, seconds in sorted(actors.items())},
        }
        for minute, actors in sorted(by_minute.items())
    ]


def text(found: Found) -> str:
    """The section, and every check that did not hold at its end."""
    failed = [f"NOT HELD {check['name']}: {check['found']}" for check in found["checks"] if check["held"] is False]
    unsure = sum(check["held"] is None for check in found["checks"])
    last = f"{len(found['checks']) - len(failed) - unsure} checks held, {len(failed)} did not, {unsure} not judged (too short)"
    return "\n".join([section(found), *failed, last])


def keep(found: Found) -> None:
    """Writes the file and brings the page up to date."""
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(with_section(PAGE.read_text(), section(found)))


def with_section(page: str, section: str) -> str:
    """The page with this section between its marks. Raises ValueError when it has no marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"no {BEGIN} … {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{section}\n{END}", page)


def section(found: Found) -> str:
    """The last soak in Markdown."""
    outcome = "everything held" if found["held"] else "**not everything held**"
    acts = ", ".join(f"{number:,} {actor}" for actor, number in found["acts"].items())
    lines = [
        f"{found['measured_at'][:10]}, {found['version']}, {found['machine']}: {found['seconds'] / 60:.1f} minutes measured, "
        f"{found['county_days']} days of the county's time; {outcome}. With the warm-up: {acts}.",
        "",
        f"Memory by least squares with 95 % confidence; for ours slope + margin may be {FLAT_MIB_AN_HOUR:g} MiB/h at most.",
        "",
        "| process | MiB, first third | last third | MiB/h |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name}{' (shown, not judged)' if name in SERVERS else ''} | {m['first']:.1f} | {m['last']:.1f} | {m['slope']:+.1f} ± {m['margin']:.1f} |"
            for name, m in found["memory"].items()
        ),
        "",
        *_latencies(found["minutes"]),
        "",
        "| check | held | found |",
        "| --- | --- | --- |",
        *_rows(found["checks"]),
    ]
    return "\n".join(lines)


def _rows(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row a check; those of one kind for many processes or services share one. Memory has a table of its own."""
    kinds: dict[str, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for check in checks:
        kind, _, whose = check["name"].partition(" of ")
        if kind != "memory":
            kinds[kind].append((whose, check))
    rows = []
    for kind, those in kinds.items():
        held = (
            False if any(c["held"] is False for _, c in those) else True if all(c["held"] for _, c in those) else None
        )
        said = ", ".join(f"{whose} {check['found']}".strip() for whose, check in those)
        rows.append(f"| {kind} | {_HELD[held]} | {said} |")
    return rows


_HELD = {True: "yes", False: "**no**", None: "not judged"}


def _latencies(minutes: Sequence[Mapping[str, Any]]) -> list[str]:
    actors = sorted({key for minute in minutes for key in minute} - {"minute", "requests"})
    head = ["Answers by minute, p50 / p99 in ms:", ""]
    table = [f"| minute | requests | {' | '.join(actors)} |", f"| ---: | ---: |{' ---: |' * len(actors)}"]
    for minute in minutes:
        cells = ["{:.0f} / {:.0f}".format(*minute[actor]) if actor in minute else "–" for actor in actors]
        table.append(f"| {minute['minute']} | {minute['requests']:,} | {' | '.join(cells)} |")
    return head + table
