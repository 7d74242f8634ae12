"""The pages that cite measurements: their tables stand between marks and are made from results.json, so that they cannot drift."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import results, scale
from bench.results import Row

BEGIN, END = "<!-- bench: written by make bench -->", "<!-- bench: end -->"


def measured(rows: Sequence[Row]) -> str:
    """The table of everything, and when and on what it was measured."""
    if not rows:
        return "Nothing has been measured."
    times = sorted(row["measured_at"] for row in rows)
    versions = ", ".join(sorted({row["version"] for row in rows}))
    machines = "; ".join(sorted({row["machine"] for row in rows}))
    met = sum(row["met"] for row in rows)
    head = (
        f"{met} of {len(rows)} figures meet their target. {times[0]} to {times[-1]}, version {versions}, on {machines}."
    )
    return f"{head}\n\n{results.table(rows)}"


PAGES: dict[Path, Callable[[Sequence[Row]], str]] = {
    results.ROOT / "bench" / "README.md": measured,
    results.ROOT / "docs" / "scale.md": scale.tables,
}


def write(rows: Sequence[Row]) -> None:
    """Renews the tables of all pages."""
    for path, block in PAGES.items():
        path.write_text(renewed(path.read_text(), block(rows)))


def renewed(page: str, block: str) -> str:
    """The page with this block between its marks. Raises ValueError when they are not there."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError("the page has no place for a table")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"
