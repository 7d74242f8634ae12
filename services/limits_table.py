"""`python -m services.limits_table check` or `write`: the table of docs/limits.md, made from the settings and the constants themselves."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services import connections
from shared import auth, http, limits, outside, problems
from shared.imports import service as imports
from shared.settings import Settings
from shared.sheets import Limits
from shared.sheets.annotate import LONGEST
from shared.sheets.xlsx import MAX_MERGED

COMMITTED = Path(__file__).parent.parent / "docs" / "limits.md"
BEGIN, END = "<!-- limits: made by python -m services.limits_table write -->", "<!-- limits: end -->"

SETTINGS = {
    "max_body_bytes": "413",
    "max_import_bytes": "413",
    "max_import_rows": "413",
    "max_json_depth": "422",
    "max_json_items": "422",
    "max_target_bytes": "414",
    "max_headers": "431",
    "max_head_bytes": "431",
    "max_connections": "503, closed",
    "max_address_connections": "429, closed",
    "max_requests_at_once": "503",
    "max_imports_at_once": "503",
    "imports_read_at_once": "waits",
    "caller_requests_at_once": "429",
    "caller_imports_at_once": "429",
    "caller_requests_per_second": "429",
    "caller_burst": "429",
    "address_requests_per_second": "429",
    "address_burst": "429",
    "head_seconds": "cut",
    "body_stall_seconds": "408",
    "reader_stall_seconds": "cut",
    "request_seconds": "503",
    "stop_seconds": "503",
    "stuck_seconds": "exit 70",
}
"""Each setting that is a limit of what comes in, and what is answered beyond it."""

NO_LIMITS = frozenset({"topic_partitions", "topic_replicas", "pool_size"})
"""Numbers among the settings that bound nothing a caller sends."""

_SHEETS = Limits()
CONSTANTS: tuple[tuple[str, Any, str, str], ...] = (
    ("`services.connections.MAX_PIPELINED`", connections.MAX_PIPELINED, "requests sent ahead of their answers", "cut"),
    ("`shared.http.MAX_PAGE`", http.MAX_PAGE, "items of a page, and of a batch", "422"),
    ("`shared.http.MAX_KEY`", http.MAX_KEY, "characters of an Idempotency-Key", "422"),
    ("`shared.http.MAX_CURSOR`", http.MAX_CURSOR, "characters of a cursor", "422"),
    ("`shared.auth.MAX_TOKEN_BYTES`", auth.MAX_TOKEN_BYTES, "bytes of a token", "401"),
    ("`shared.auth.MAX_DIVISIONS`", auth.MAX_DIVISIONS, "divisions of a token", "401"),
    ("`shared.problems.MAX_ERRORS`", problems.MAX_ERRORS, "errors named in one answer", "the first"),
    ("`shared.limits.IMPORT_COSTS`", limits.IMPORT_COSTS, "requests that an import counts as", ""),
    ("`shared.limits.MAX_REMEMBERED`", limits.MAX_REMEMBERED, "callers whose rate is remembered", "the oldest goes"),
    ("`shared.imports.service.KEPT_ERRORS`", imports.KEPT_ERRORS, "row errors kept of a file", "the first"),
    ("`shared.sheets.Limits.columns`", _SHEETS.columns, "columns of a sheet", "413"),
    ("`shared.sheets.Limits.cell`", _SHEETS.cell, "characters of a cell", "an error of its row"),
    ("`shared.sheets.Limits.entries`", _SHEETS.entries, "parts of an XLSX", "413"),
    ("`shared.sheets.Limits.unzipped_bytes`", _SHEETS.unzipped_bytes, "bytes of an XLSX unzipped", "413"),
    ("`shared.sheets.Limits.ratio`", _SHEETS.ratio, "times its size that a part may unzip to", "413"),
    ("`shared.sheets.xlsx.MAX_MERGED`", MAX_MERGED, "cells under merged ones", "422"),
    ("`shared.sheets.annotate.LONGEST`", LONGEST, "characters of a cell sent back", "cut"),
    ("`shared.outside.MAX_NAME_BYTES`", outside.MAX_NAME_BYTES, "bytes of a file's name from outside", "refused"),
    ("`shared.outside.MAX_ANSWER_BYTES`", outside.MAX_ANSWER_BYTES, "bytes of an answer from outside", "refused"),
    ("`shared.outside.TOTAL_SECONDS`", outside.TOTAL_SECONDS, "seconds for an answer from outside", "given up"),
)


def rows() -> Iterator[str]:
    yield "| limit | default | what it bounds | beyond it |"
    yield "| --- | ---: | --- | --- |"
    for name, beyond in SETTINGS.items():
        field = Settings.model_fields[name]
        yield f"| `DAOHU_{name.upper()}` | {_shown(field.default)} | {field.description} | {beyond} |"
    for name, value, says, beyond in CONSTANTS:
        yield f"| {name} | {_shown(value)} | {says} | {beyond} |"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else str(value)


def written(said: str) -> str:
    """The page with its table made anew."""
    head, _, rest = said.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "\n".join([head + BEGIN, *rows(), END + tail])


def main() -> None:
    said = COMMITTED.read_text(encoding="utf-8")
    if sys.argv[1:] == ["write"]:
        COMMITTED.write_text(written(said), encoding="utf-8")
    elif said != written(said):
        sys.exit(f"{COMMITTED.name} is not what the settings say. Run: make contracts")


if __name__ == "__main__":
    main()
