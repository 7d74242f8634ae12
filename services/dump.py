"""`daohu dump`: every table's rows as JSON lines. `--canonical` leaves out what two equal histories may differ in.

Canonical rows carry no ids, times, hashes, sealed values or attempt counts; inside JSON, values of those kinds are left out too.
Two runs that did the same give the same text, whatever was killed in between.
"""

import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Column, Table, Uuid, select

from services.catalogue import NAMES, part
from shared import tables
from shared.db import Database, Instant

VOLATILE = "volatile"
"""`info={VOLATILE: True}` on a column: its value depends on the run (an attempt count, a position), not on what happened.
On a table: its rows do (checkpoints: how many there are depends on when the sequencer ran)."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)
_HASH = re.compile(r"(?:[0-9a-f]{64}|[A-Za-z0-9+/]{43}=)")


async def table_rows(database: Database, table: Table, *, canonical: bool) -> AsyncIterator[bytes]:
    """One JSON line a row; canonical rows without volatile columns, in no particular order."""
    columns = [c for c in table.columns if not (canonical and _volatile(c))]
    if not columns:
        columns = list(table.columns)[:1]
    async with database.read() as tx:
        for row in (await tx.execute(select(*columns))).mappings():
            values = {str(name): _plain(value) for name, value in row.items()}  # a reserved word's name is no plain str
            yield orjson.dumps(_without_volatile(values) if canonical else values, option=orjson.OPT_SORT_KEYS)


def digest(rows: Counter[bytes]) -> str:
    """One hash of a table's canonical rows, for a first look at two dumps."""
    whole = hashlib.sha256()
    for row, times in sorted(rows.items()):
        whole.update(b"%d %s\n" % (times, row))
    return whole.hexdigest()[:16]


def _volatile(column: Column[Any]) -> bool:
    if column.info.get(VOLATILE) or isinstance(column.type, Uuid | Instant):
        return True
    return column.name == "id" and bool(column.primary_key)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return _json_in(bytes(value)) or bytes(value).hex()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def _json_in(data: bytes) -> dict[str, Any] | list[Any] | None:
    """What bytes say that are JSON: bodies of events, of kept answers, of ledger entries."""
    if data[:1] not in (b"{", b"["):
        return None
    try:
        found: dict[str, Any] | list[Any] = orjson.loads(data)
    except ValueError:
        return None
    return found


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_volatile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_volatile(inner) for inner in value]
    if isinstance(value, str):
        for pattern, name in ((_ID, "<id>"), (_TIME, "<time>"), (_HASH, "<hash>")):
            value = pattern.sub(name, value)
    return value


async def of_home(home: Path, *, canonical: bool) -> tuple[list[tuple[str, str, int, str]], list[bytes]]:
    """(service, table, rows, digest) of every table of a home, and all rows as lines."""
    counts: list[tuple[str, str, int, str]] = []
    lines: list[bytes] = []
    for name in NAMES:
        made = part(name)
        database = Database(made.settings.of(home=home).url, service=name, application="daohu-dump")
        for table in [*tables.metadata.sorted_tables, *made.tables.sorted_tables]:
            if canonical and table.info.get(VOLATILE):
                continue
            rows = Counter([row async for row in table_rows(database, table, canonical=canonical)])
            counts.append((name, table.name, rows.total(), digest(rows)))
            lines += [b"%s.%s %s\n" % (name.encode(), table.name.encode(), row) for row in sorted(rows.elements())]
        await database.close()
    return counts, lines
