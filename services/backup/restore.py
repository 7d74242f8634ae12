"""A house again from a backup (恢复): only into an empty place, only a whole archive, and served only when all of it was checked."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.backup import archive, target, witnessed
from services.backup.manifest import Book, Manifest
from services.backup.take import CANARY_COLUMN, CLOCK, PUBLIC, urls_of
from services.backup.witnessed import Loss
from services.embedded import RESTORING, lock
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import Checkpoint, VerifierKey
from shared import keyfiles, keys
from shared.db import Database
from shared.keyfiles import KeyFileBroken
from shared.pii import SealBroken
from shared.settings import Settings
from shared.tables import audit

RESTORED_WITH_LOSS = "restored_with_loss"
"""In the audit of funds: somebody put a backup into service although a witnessed checkpoint is longer."""


OVER = f".{RESTORING}.over"
"""What is left of a restore that has ended, while it is deleted."""


class RestoreRefused(Exception):
    """It is not done, and nothing of the house was changed. The text says what to do."""


class Wrong(RestoreRefused):
    """What was restored is not what was backed up. It was taken away again."""


class OlderThanWitnessed(RestoreRefused):
    """Entries that somebody has witnessed are not in the backup."""

    def __init__(self, losses: Sequence[Loss]) -> None:
        super().__init__("; ".join(map(str, losses)))
        self.losses = losses


@dataclass(slots=True)
class Restored:
    """`entries`: of each book, checked against chain, tree and balances. `resent`: facts sent to a new Kafka, by who recorded them."""

    manifest: Manifest
    entries: dict[str, int] = field(default_factory=dict)
    resent: Counter[str] = field(default_factory=Counter)
    losses: Sequence[Loss] = ()
    witnessed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """How a restore is wanted. `accept_loss`: the reason for which entries that were witnessed may be missing; `actor`: who says so."""

    witness: Sequence[Path] = ()
    log_keys: Sequence[VerifierKey] = ()
    witness_keys: Sequence[VerifierKey] = ()
    accept_loss: str = ""
    actor: str = ""
    without_keys: bool = False


async def restore(home: Path, source: Path, key: bytes, asked: Asked) -> Restored:
    """Raises RestoreRefused, ArchiveRefused, HomeInUse, BadNote, BusError, RestoreFailed, and OSError or the drivers' errors.

    Whatever it raises, no service runs on half of it: what stands unfinished refuses them, and the same command begins anew.
    """
    began = time.monotonic()
    urls = urls_of(home)
    kept_outside = witnessed.read(asked.witness, asked.log_keys, asked.witness_keys)
    with lock(home, whole=False):
        place = target.of(home, urls)
        await place.require_empty(str(archive.head_of(source)["id"]))
        with _unpacked(home, source, key) as (staging, manifest):
            done = Restored(manifest, witnessed=len(kept_outside))
            if manifest.mode != place.mode:
                raise RestoreRefused(f"This is a backup of the {manifest.mode} mode, and here is the {place.mode} one.")
            done.losses = witnessed.losses([checkpoint for checkpoint, _ in kept_outside], manifest.books)
            if done.losses and not (asked.accept_loss and asked.actor):
                raise OlderThanWitnessed(done.losses)
            before = set(_own(home))
            _put_own(home, staging)
            try:
                if not asked.without_keys:
                    _require_keys(home, manifest)
                await place.put(staging, manifest)
                await _check(place, manifest, kept_outside, asked, done)
            except BaseException:
                await place.undo()
                for path in set(_own(home)) - before:
                    path.unlink()
                raise
            if done.losses:
                await _answer_for(place, manifest, asked, done.losses)
            done.resent = await place.tell(manifest)
            await place.finish(staging)
    done.seconds = time.monotonic() - began
    return done


@contextmanager
def _unpacked(home: Path, source: Path, key: bytes) -> Iterator[tuple[Path, Manifest]]:
    """The archive's files in a folder of the home; while it stands there, no house runs on it. It stays when a restore dies half way."""
    staging, over = home / RESTORING, home / OVER
    for left in (staging, over):
        shutil.rmtree(left, ignore_errors=True)
    staging.mkdir(mode=0o700)
    try:
        yield staging, archive.unpack(source, key, staging)
    finally:
        staging.rename(over)  # at once: a folder that is half deleted would keep a whole house from running
        shutil.rmtree(over)


def _own(folder: Path) -> list[Path]:
    """What a home has of its own beside the databases: its clock and its keys."""
    return sorted([*folder.glob(CLOCK), *folder.glob("keys/*")])


def _put_own(home: Path, staging: Path) -> None:
    """Puts the clock and the keys of the archive where they belong, unless there are such."""
    for file in _own(staging):
        there = home / file.relative_to(staging)
        if not there.exists():
            everybody = there.suffix in PUBLIC or there.name == CLOCK
            (keyfiles.public if everybody else keyfiles.replace)(there, file.read_bytes())


def _require_keys(home: Path, manifest: Manifest) -> None:
    """Raises RestoreRefused unless the keys here open what the backup holds."""
    settings = Settings(home=home)
    try:
        if missing := keys.missing(settings):
            raise RestoreRefused(
                f"There is no {', '.join(missing)}. Put the keys of the deployment there first (docs/backup.md), or give "
                "--without-keys: then ID numbers, phones and cards cannot be read, and new keys are made."
            )
        opened = keys.vault(settings).open(manifest.canary, column=CANARY_COLUMN, row=manifest.id)
    except (SealBroken, KeyFileBroken, ValueError):
        opened = ""
    if opened != str(manifest.id):
        raise RestoreRefused(
            f"The keys under {home / 'keys'} are not those of this backup: its sealed values cannot be opened. Bring the keys "
            "of the deployment, or give --without-keys."
        )


async def _check(
    place: target.Place, manifest: Manifest, kept: Sequence[tuple[Checkpoint, str]], asked: Asked, done: Restored
) -> None:
    """Rows, books, and every entry against the backup's checkpoints and those that were witnessed. Raises Wrong."""
    stores, books = await place.look()
    for name, store in manifest.stores.items():
        if stores.get(name) != store:
            raise Wrong(f"{name}: the rows are not those of the backup.")
    if books != manifest.books:
        raise Wrong("The books are not those of the backup.")
    notes: dict[str, list[str]] = {}
    for code, book in manifest.books.items():
        inside = [note for checkpoint, note in kept if _is_inside(checkpoint, code, book)]
        notes[code] = [*inside, *([book.checkpoint] if book.checkpoint else [])]
    for code, said in notes.items():
        if not said:
            continue  # nothing of it was ever signed
        report = await verify_database(place.ledger, said, asked.log_keys)
        if report.exit_code:
            first = report.problems[0] if report.problems else f"it ends with entry {report.truncated_at}"
            raise Wrong(f"book {code} does not agree with a checkpoint of its log: {first}")
        done.entries[code] = len(report.entries)


def _is_inside(checkpoint: Checkpoint, code: str, book: Book) -> bool:
    return witnessed.book_of(checkpoint) == code and checkpoint.size <= book.seq


async def _answer_for(place: target.Place, manifest: Manifest, asked: Asked, losses: Sequence[Loss]) -> None:
    database = Database(place.ledger, service="funds", pools=(1, 1), application="daohu-restore")
    facts = {loss.book: {"restored": loss.has, "witnessed": loss.witnessed} for loss in losses}
    row = {"at": manifest.clock, "actor": asked.actor, "action": RESTORED_WITH_LOSS, "subject": str(manifest.id)}
    try:
        async with database.write() as tx:
            await tx.execute(audit.insert().values(**row, reason=asked.accept_loss, facts=facts))
    finally:
        await database.close()
