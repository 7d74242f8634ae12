"""Checkpoints that somebody kept outside (见证): what they say is not in a restored ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.backup.manifest import Book
from services.funds.proofs.kept import MAX_CHECKPOINTS
from services.funds.proofs.notes import (
    BadNote,
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    read_unsigned,
    require_witness,
)

CHECKPOINTS = "checkpoints"
"""A folder of that name holds the checkpoints of a book, in the order of their sizes (services/funds/proofs/witness.py)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A book whose log was longer than what is restored: entries `has` + 1 to `witnessed` are missing."""

    book: str
    has: int
    witnessed: int

    def __str__(self) -> str:
        return (
            f"book {self.book}: the backup ends with entry {self.has}, a witnessed checkpoint has {self.witnessed}: "
            f"entries {self.has + 1} to {self.witnessed} are missing"
        )


def book_of(checkpoint: Checkpoint) -> str:
    return checkpoint.origin.rpartition("/")[2]


def read(
    paths: Iterable[Path], keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = ()
) -> list[tuple[Checkpoint, str]]:
    """The checkpoints in files, and in folders as `daohu witness` keeps them, each with its note.

    Without keys signatures are not checked; with `witnesses` each must carry the signature of one of them. Raises BadNote, naming
    the file, for anything that is no checkpoint; OSError.
    """
    found: list[tuple[Checkpoint, str]] = []
    for file in (file for path in paths for file in _files(path)):
        note = file.read_bytes().decode(errors="replace")
        try:
            found.append((open_checkpoint(note, keys) if keys else read_unsigned(note), note))
            if witnesses:
                require_witness(note, witnesses)
        except BadNote as error:
            raise BadNote(f"{file}: {error}") from None
    return found


def _files(path: Path) -> list[Path]:
    """Of a folder: the newest checkpoints of each book. Raises BadNote when it holds none."""
    if not path.is_dir():
        return [path]
    books = [folder for folder in sorted(path.rglob(CHECKPOINTS)) if folder.is_dir()]
    files = [file for book in books or [path] for file in sorted(book.glob("*.txt"))[-MAX_CHECKPOINTS:]]
    if not files:
        raise BadNote(f"{path}: there is no checkpoint in this folder")
    return files


def losses(witnessed: Iterable[Checkpoint], books: Mapping[str, Book]) -> list[Loss]:
    """The books that were longer, each by its longest checkpoint."""
    longest: dict[str, int] = {}
    for checkpoint in witnessed:
        book = book_of(checkpoint)
        longest[book] = max(longest.get(book, 0), checkpoint.size)
    has = {book: books[book].seq if book in books else 0 for book in longest}
    return [Loss(book, has[book], size) for book, size in sorted(longest.items()) if size > has[book]]
