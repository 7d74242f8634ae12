"""Marks of personal data (个人信息) on columns: what it is, what for, how it is protected, how long it is kept, who may see it

`info=sealed(…)` and its like beside a column's definition. From these marks keys are rotated (shared/rotation.py) and the inventory is
written (docs/personal-data.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, MetaData, Select

MARK = "personal"

ON_FILE = "as long as the file; erased with its person"
"""Periods of keeping, in words. All are ours: no document of the seeds names one. Those in days: shared/retention.py."""
WITHOUT_NAME = "as long as the file; stays, of nobody by name, when its person is erased"
AS_HISTORY = "as the record does, for good"
AS_EVIDENCE = "for good, as evidence; never the number itself"


ERASED = ""
"""What stands in a sealed column and in an index whose value was erased."""


class Form(StrEnum):
    SEALED = "sealed"
    INDEX = "blind index"
    MASKED = "masked"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Personal:
    """What a column holds of a person. `shown`: who may see it; `kept`: for how long, the period being ours."""

    form: Form
    what: str
    why: str
    kept: str
    shown: str
    place: str = ""
    """Of a sealed value: the column that it is bound to."""
    row: str = "id"
    """Of a sealed value: the column whose value names the row that it is bound to; it is unique in the table."""
    kind: str = ""
    """Of a blind index: its kind."""
    source: Callable[[], Select[Any]] | None = field(default=None, compare=False)
    """Of a blind index: where it follows from, as `key` (this table's), `row` and `sealed` of the sealed number."""
    follows: Callable[[], Column[Any]] | None = field(default=None, compare=False)
    """Of a blind index without a number beside it: the index whose number it repeats."""
    erased: "Erased | None" = None
    """When it is erased by itself."""


@dataclass(frozen=True, slots=True)
class Erased:
    """So many days after the instant in a column of the same row."""

    days: int
    since: str

    def __str__(self) -> str:
        return f"{self.days} days from `{self.since}`"


def sealed(place: str, what: str, *, why: str, kept: "str | Erased", shown: str, row: str = "id") -> dict[str, Any]:
    """`place`: the column of the seal's associated data. Sealing again gives other bytes: no part of a canonical dump."""
    mark = Personal(Form.SEALED, what, why, str(kept), shown, place=place, row=row, erased=_erased(kept))
    return {"volatile": True, MARK: mark}


def index(
    kind: str,
    what: str,
    *,
    why: str,
    kept: "str | Erased",
    place: str = "",
    source: Callable[[], Select[Any]] | None = None,
    follows: Callable[[], Column[Any]] | None = None,
) -> dict[str, Any]:
    """`place`: the column that the source's number is sealed for. Another key gives other digits: no part of a canonical dump."""
    mark = Personal(
        Form.INDEX, what, why, str(kept), "nobody",
        place=place, kind=kind, source=source, follows=follows, erased=_erased(kept),
    )  # fmt: skip
    return {"volatile": True, MARK: mark}


def _erased(kept: "str | Erased") -> "Erased | None":
    return kept if isinstance(kept, Erased) else None


def masked(what: str, *, why: str, kept: str, shown: str = "whoever may read the row") -> dict[str, Any]:
    return {MARK: Personal(Form.MASKED, what, why, kept, shown)}


def plain(what: str, *, why: str, kept: str, shown: str = "whoever may read the row") -> dict[str, Any]:
    """Not sealed: what the work is done with every day, or what people write."""
    return {MARK: Personal(Form.OPEN, what, why, kept, shown)}


def marked(*tables: MetaData, form: Form | None = None) -> Iterator[tuple[Column[Any], Personal]]:
    """The marked columns in the order of their tables; of one form, if it is given."""
    for metadata in tables:
        for table in metadata.sorted_tables:
            for column in table.columns:
                mark = column.info.get(MARK)
                if mark is not None and form in (None, mark.form):
                    yield column, mark
