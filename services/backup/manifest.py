"""What a backup says of itself: which files, of which instant, under which release; how many rows; how long each book's log was."""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

_BLOCK = 1 << 20


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Said):
    """`size` in bytes; `sha256` in hex."""

    size: int
    sha256: str


class Store(_Said):
    """A database as it was at the instant: its migrations, and the rows of every table."""

    revisions: tuple[str, ...] = ()
    rows: dict[str, int] = {}


class Book(_Said):
    """A book of the ledger: its last entry and that one's link (hex), and the newest signed checkpoint of its log ("" before the first)."""

    seq: int
    link: str
    checkpoint: str


class Manifest(_Said):
    """`taken_at`: the machine's time; `clock`: the house's own. `canary`: sealed by the vault, to tell whether the right keys are there."""

    id: UUID
    taken_at: datetime
    clock: datetime
    mode: Literal["embedded", "cluster"]
    release: str
    postgres: str = ""
    canary: str
    files: dict[str, File]
    stores: dict[str, Store]
    books: dict[str, Book]

    @property
    def rows(self) -> int:
        return sum(sum(store.rows.values()) for store in self.stores.values())


def fingerprint(path: Path) -> File:
    """Size and hash of a file on the disk."""
    sum256 = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sum256.update(block)
    return File(size=path.stat().st_size, sha256=sum256.hexdigest())
