"""Checkpoints that somebody kept outside (见证): what they say is not in a restored ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.backup.manifest import Book
from services.funds.proofs.notes import BadNote, Checkpoint, VerifierKey, open_checkpoint, read_unsigned


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


def read(paths: Iterable[Path], keys: Sequence[VerifierKey]) -> list[tuple[Checkpoint, str]]:
    """Every checkpoint in the files, and in the files of the folders, with its note. Without keys signatures are not checked.

    Raises BadNote, naming the file, for anything that is no checkpoint; OSError.
    """
    found: list[tuple[Checkpoint, str]] = []
    for path in paths:
        for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
            note = file.read_bytes().decode(errors="replace")
            try:
                found.append((open_checkpoint(note, keys) if keys else read_unsigned(note), note))
            except BadNote as error:
                raise BadNote(f"{file}: {error}") from None
    return found


def losses(witnessed: Iterable[Checkpoint], books: Mapping[str, Book]) -> list[Loss]:
    """The books that were longer, each by its longest checkpoint."""
    longest: dict[str, int] = {}
    for checkpoint in witnessed:
        book = book_of(checkpoint)
        longest[book] = max(longest.get(book, 0), checkpoint.size)
    has = {book: books[book].seq if book in books else 0 for book in longest}
    return [Loss(book, has[book], size) for book, size in sorted(longest.items()) if size > has[book]]
