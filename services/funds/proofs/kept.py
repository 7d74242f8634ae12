"""Checkpoints kept outside (外部留存): what the auditor brings, opened, and held against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.funds.proofs.notes import (
    BadNote,
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    read_unsigned,
    require_witness,
)

LEAVES = "leaves"
LEAF_BYTES = 32
MAX_CHECKPOINTS = 10_000
"""Of a witness's folder, the newest are held against a database; older ones lie under them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest of the checkpoints of one log, and the root at each size of which one was kept."""

    newest: Checkpoint
    roots: dict[int, bytes]

    @classmethod
    def open(cls, notes: Sequence[str], keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey] = ()) -> "Kept":
        """Opens notes of one log; without keys their signatures are believed.

        Raises BadNote: for a note that is no checkpoint, two logs, two roots of one size (the log's key signed a fork), or a newest
        checkpoint that none of the witnesses has signed.
        """
        opened = [(open_checkpoint(note, keys) if keys else read_unsigned(note), note) for note in notes]
        if not opened:
            raise BadNote("there is no checkpoint")
        newest, note = max(opened, key=lambda one: one[0].size)
        if witnesses:
            require_witness(note, witnesses)
        roots: dict[int, bytes] = {}
        for checkpoint, _ in opened:
            if checkpoint.origin != newest.origin:
                raise BadNote(f"the checkpoints are of two logs: {newest.origin} and {checkpoint.origin}")
            if roots.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                raise BadNote(
                    f"there are two checkpoints of {checkpoint.size} entries with two roots: the log was forked"
                )
        return cls(newest, roots)


def read(paths: Sequence[Path]) -> tuple[list[str], bytes]:
    """The notes of checkpoint files, and of the folder a witness keeps of a book, with the leaves in it. Raises OSError."""
    notes: list[str] = []
    leaves = b""
    for path in paths:
        if not path.is_dir():
            notes.append(path.read_bytes().decode())
            continue
        for file in sorted((path / "checkpoints").glob("*.txt"))[-MAX_CHECKPOINTS:]:
            notes.append(file.read_bytes().decode())
        leaves = (path / LEAVES).read_bytes()
    return notes, leaves
