"""What a room offers to be imported: its sheets, a look at the rows against the database, and the writing of the good ones."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.roles import Role
from shared.sheets import Checked, SheetSpec
from shared.work import Work

IMPORTERS = (Role.COUNTY_ADMIN, Role.STATISTICS, Role.POVERTY_OFFICE, Role.TOWN_OFFICE)
REGISTRARS = (Role.COUNTY_ADMIN, Role.STATISTICS, Role.TOWN_OFFICE)
"""Registration is the statistics bureau's and the towns' (REG-006, REG-005), not the poverty office's."""


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
    """A kind of file (导入种类). `write` of what `prepare` gives runs only if no row is wrong or the good ones are asked for."""

    key: str
    title: str
    specs: tuple[SheetSpec, ...]
    prepare: Prepare
    roles: tuple[Role, ...] = IMPORTERS


SLICE = 2_000
"""Rows after which the writing of a large file lets other requests have the loop (`await asyncio.sleep(0)`)."""
