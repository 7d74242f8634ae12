"""The witness (见证): somebody outside who signs a checkpoint only when its log continues the one signed before, and keeps both.

Its folder holds, for each book, what the auditor brings to `daohu verify`: every checkpoint it signed (`checkpoints/`, never
written twice), the leaf hash of every entry (`leaves`, 32 bytes each), time stamps of others (`stamps/`), and what it refused to
sign (`refused/`). Source: c2sp.org/tlog-witness, c2sp.org/tlog-cosignature; the log is asked, it does not push.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from services.funds.proofs import merkle
from services.funds.proofs.kept import LEAF_BYTES, LEAVES
from services.funds.proofs.notes import (
    COSIGNATURE,
    BadNote,
    Checkpoint,
    Signer,
    VerifierKey,
    open_checkpoint,
    text_of,
)

LEAVES_AT_ONCE = 5_000


class NotContinued(Exception):
    """The log shows what does not continue the one that was witnessed: it is not signed, and what it showed is kept."""


class Log(Protocol):
    """What a witness asks of a log."""

    async def latest(self, book: str) -> str:
        """The newest checkpoint, a signed note."""
        ...

    async def consistency(self, book: str, old: int, new: int) -> Sequence[bytes]: ...

    async def leaves(self, book: str, after: int, upto: int) -> bytes:
        """The leaf hashes of the entries over `after` up to `upto`, 32 bytes each."""
        ...


class Signed(NamedTuple):
    """A checkpoint that was signed: of how many entries, the witness's line, and the file that keeps both."""

    size: int
    line: str
    path: Path


@dataclass(slots=True)
class BookKept:
    """What a witness keeps of one book: a folder that only grows."""

    folder: Path
    newest: Checkpoint | None = None
    _edge: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("checkpoints", "stamps", "refused"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if notes := sorted((self.folder / "checkpoints").glob("*.txt")):
            self.newest = Checkpoint.read(text_of(notes[-1].read_text(encoding="utf-8")))
            leaves = (self.folder / LEAVES).read_bytes()[: self.newest.size * LEAF_BYTES]
            if self._grown([], 0, leaves)[1] != self.newest.root:
                raise NotContinued(f"{self.folder / LEAVES} is not what was witnessed: put the witness's own copy back")
            self._edge = self._grown([], 0, leaves)[0]

    def root_with(self, leaves: bytes) -> bytes:
        """The root of the tree with these leaves added."""
        return self._grown(self._edge, self.newest.size if self.newest else 0, leaves)[1]

    @staticmethod
    def _grown(edge: Sequence[bytes], size: int, leaves: bytes) -> tuple[list[bytes], bytes]:
        grown = list(edge)
        merkle.grow(grown, size, [leaves[at : at + LEAF_BYTES] for at in range(0, len(leaves), LEAF_BYTES)])
        return grown, merkle.fold(grown)

    def path_of(self, checkpoint: Checkpoint) -> Path:
        return self.folder / "checkpoints" / f"{checkpoint.size:012d}.txt"

    def keep(self, checkpoint: Checkpoint, note: str, leaves: bytes) -> Path:
        """Writes to the disk, for good, before the signature goes anywhere. The leaves first: what follows a crash cuts them again."""
        size = self.newest.size if self.newest else 0
        with (self.folder / LEAVES).open("ab") as file:
            file.truncate(size * LEAF_BYTES)
            file.write(leaves)
            file.flush()
            os.fsync(file.fileno())
        path = self.path_of(checkpoint)
        write_once(path, note.encode())
        self._edge = self._grown(self._edge, size, leaves)[0]
        self.newest = checkpoint
        return path

    def refuse(self, note: str, why: str) -> NotContinued:
        """Keeps what the log showed, as evidence, and gives back what to raise."""
        shown = f"{note}\n{why}\n".encode(errors="replace")
        path = self.folder / "refused" / f"{hashlib.sha256(shown).hexdigest()[:16]}.txt"
        if not path.exists():
            write_once(path, shown)
        return NotContinued(f"{why} What it showed is in {path}.")


def write_once(path: Path, content: bytes) -> None:
    """A file that was not there, whole and on the disk. Raises FileExistsError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Witness:
    """A witness with its key and its folder. `keys`: the verifier keys of the logs it watches, got from them once, by hand."""

    def __init__(self, folder: Path, signer: Signer, name: str, keys: Sequence[VerifierKey]) -> None:
        self._folder, self._signer, self._name, self._keys = folder, signer, name, keys
        self._kept: dict[str, BookKept] = {}
        self._taken: dict[str, int] = {}

    @property
    def verifier(self) -> VerifierKey:
        return self._signer.verifier(self._name, COSIGNATURE)

    @property
    def books(self) -> dict[str, str]:
        """Book → the origin of its log."""
        return {key.name.rpartition("/")[2]: key.name for key in self._keys}

    def to_stamp(self, every: float, now: float) -> Iterator[tuple[bytes, Path]]:
        """The newest checkpoint of each book without a stamp whose last one is older than `every` seconds; the file for the stamp."""
        for book in self.books:
            newest = max((self._folder / book / "checkpoints").glob("*.txt"), default=None)
            stamps = self._folder / book / "stamps"
            last = max((file.stat().st_mtime for file in stamps.glob("*.tsr")), default=0.0)
            if newest is not None and now - last >= every and not (to := stamps / f"{newest.stem}.tsr").exists():
                yield newest.read_bytes(), to

    def to_hand_in(self, book: str) -> Signed | None:
        """The newest signed checkpoint of a book, unless the log has taken the signature from this process."""
        kept = self._kept[book]
        if kept.newest is None or self._taken.get(book) == kept.newest.size:
            return None
        path = kept.path_of(kept.newest)
        return Signed(kept.newest.size, path.read_text(encoding="utf-8").splitlines(keepends=True)[-1], path)

    def was_taken(self, book: str, signed: Signed) -> None:
        """The log has taken this signature."""
        self._taken[book] = signed.size

    async def look(self, log: Log, book: str, at: int) -> Signed | None:
        """Signs the newest checkpoint of a book at a time (seconds since 1970); None when it is known already.

        Raises NotContinued for a fork, a shrunk log, a wrong signature or a wrong proof, and nothing is signed.
        """
        if book not in self._kept:
            self._kept[book] = BookKept(self._folder / book)
        kept = self._kept[book]
        note = await log.latest(book)
        try:
            new = open_checkpoint(note, self._keys)
        except BadNote as error:
            raise kept.refuse(
                note, f"The log of book {book} shows a checkpoint that none of its known keys signed: {error}."
            ) from None
        if new.origin != self.books[book]:
            raise kept.refuse(note, f"The log of book {book} shows the checkpoint of {new.origin}.")
        if (old := kept.newest) is not None:
            if new == old:
                return None
            if new.size < old.size:
                raise kept.refuse(note, f"The log of book {book} shrank from {old.size} entries to {new.size}.")
            if new.size == old.size or not merkle.verify_consistency(
                old.size, new.size, await log.consistency(book, old.size, new.size), old.root, new.root
            ):
                raise kept.refuse(
                    note,
                    f"The log of book {book} of {new.size} entries does not continue the one of {old.size}: a fork.",
                )
        leaves = await self._leaves(log, book, old.size if old else 0, new.size)
        if kept.root_with(leaves) != new.root:
            raise kept.refuse(note, f"The leaves of the log of book {book} do not make the root of {new.size} entries.")
        line = self._signer.cosign(new.text(), self._name, at)
        return Signed(new.size, line, kept.keep(new, note + line, leaves))

    async def _leaves(self, log: Log, book: str, after: int, upto: int) -> bytes:
        parts = [
            await log.leaves(book, start, min(start + LEAVES_AT_ONCE, upto)) for start in range(after, upto, LEAVES_AT_ONCE)
        ]  # fmt: skip
        return b"".join(parts)
