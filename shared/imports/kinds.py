"""What a room offers to be imported: its sheets, a look at the rows against the database, and the writing of the good ones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.roles import Role
from shared.sheets import Checked, SheetSpec
from shared.work import Work


@dataclass(frozen=True, slots=True)
class Tally:
    """What an import did, in rows of its file: new, changed, and there already just so."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """The sheets after the look at the database (`Checked.without(errors)`), and how to write their good rows."""

    sheets: tuple[Checked, ...]
    write: Callable[[], Awaitable[Tally]]


Prepare = Callable[[Work, Sequence[Checked | None]], Awaitable[Prepared]]
"""Gets the checked sheets in the order of `specs`; a sheet but the first may be missing (None). Changes nothing yet."""


@dataclass(frozen=True, slots=True)
class ImportKind:
    """A kind of file (导入种类) and who may import it, see what became of it and fetch its report: they hold its personal data.

    `write` of what `prepare` gives runs only if no row is wrong or the good ones are asked for.
    """

    key: str
    specs: tuple[SheetSpec, ...]
    prepare: Prepare
    roles: tuple[Role, ...]


Kinds = Mapping[str, ImportKind]
"""The kinds of one service, by key."""

SLICE = 500
"""Rows after which the judging or writing of a large file lets other requests have the loop (`await asyncio.sleep(0)`)."""


def only(sheets: Sequence[Checked | None]) -> Checked:
    """The sheet of a kind that has one; the reader refuses a file without its first sheet."""
    (checked,) = sheets
    assert checked is not None, "the first sheet is there"
    return checked
