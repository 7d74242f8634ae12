"""`daohu backup` and `daohu restore` (备份、恢复): the whole house in one encrypted file, and the whole house again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.terminal import HOME, Home, databases_in_hand, err, fail, out

if TYPE_CHECKING:
    from services.backup.manifest import Manifest

Key = Annotated[
    Path | None,
    typer.Option(
        envvar="DAOHU_BACKUP_KEY_FILE", help="file of the backup key; else HOME/keys/backup.key, or DAOHU_BACKUP_KEY"
    ),
]


def backup(
    to: Annotated[Path, typer.Argument(help="a folder, or the file to write; never one that is there")],
    key: Key = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="put the deployment's keys in too, but never master.key and backup.key")
    ] = False,
    home: Home = HOME,
) -> None:
    """Back up all four services, at one instant, while they run (备份). Embedded: also the bus. PostgreSQL: with pg_dump.

    The file is encrypted under the backup key, which is made on first use: keep a copy of it, and of the other keys, elsewhere.
    Example: `daohu backup /mnt/backups`
    """
    from services.backup import archive, take

    if not home.is_dir():
        raise fail(f"There is no home at {home}. Give --home or DAOHU_HOME. 没有该目录。")
    path = key or home / "keys" / "backup.key"
    with _refusals():
        fresh = not path.exists()
        secret = archive.key_at(path, make=True)
        if fresh and path.exists():
            err.print(
                f"daohu: made the backup key {path}. Without it no backup can be opened: keep a copy on another machine. 备份密钥须另存。",
                highlight=False,
            )
        made = asyncio.run(take.take(home, to, secret, with_keys=with_keys))
    out.print(f"backup  {made.path} · {made.size} bytes · {made.seconds:.1f} s", highlight=False)
    _tell(made.manifest)


def restore(
    source: Annotated[Path, typer.Argument(help="a file that `daohu backup` wrote")],
    key: Key = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="a checkpoint that was kept outside, or a folder of them; may be given several times"),
    ] = None,
    log_key: Annotated[
        Path | None,
        typer.Option(help="the log's verifier keys, one a line: checkpoints are then held against their signatures"),
    ] = None,
    witness_key: Annotated[
        Path | None,
        typer.Option(help="the witness's verifier key: each --witness checkpoint must carry its signature too"),
    ] = None,
    accept_loss: Annotated[
        str, typer.Option(help="why entries that were witnessed may be missing; it is kept in the audit, with --actor")
    ] = "",
    actor: Annotated[str, typer.Option(help="who does this; kept with --accept-loss")] = "",
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="the keys are lost: restore what can be read without them")
    ] = False,
    home: Home = HOME,
) -> None:
    """Restore a backup into an empty place (恢复): a home without databases, or four empty databases and a new Kafka.

    A cut, changed or foreign file is refused before anything is written; what was restored is checked row by row and against the
    log's root before it may be served. Ends with 1 when it is refused, 2 when a witnessed checkpoint has more entries.
    Example: `daohu restore daohu-20261123T020000Z.backup --home /var/lib/daohu --witness witnessed.txt`
    """
    from services.backup import archive
    from services.backup import restore as restoring
    from services.funds.proofs.notes import BadNote, read_keys

    if accept_loss and not actor:
        raise fail("--accept-loss needs --actor: somebody answers for it.", 2)
    with _refusals():
        secret = archive.key_at(key or home / "keys" / "backup.key", make=False)
        try:
            of_log, of_witness = (
                read_keys(path.read_text(encoding="utf-8")) if path else [] for path in (log_key, witness_key)
            )
            asked = restoring.Asked(witness or (), of_log, of_witness, accept_loss, actor, without_keys)
            done = asyncio.run(restoring.restore(home, source, secret, asked))
        except BadNote as error:
            raise fail(f"A checkpoint cannot be read: {error}") from None
        except restoring.OlderThanWitnessed as older:
            for loss in older.losses:
                err.print(f"CUT     {loss}", highlight=False)
            raise fail(
                "Nothing was restored. Look for a newer backup; if there is none, give --accept-loss with the reason. 备份比见证旧，未恢复。",
                2,
            ) from None
    out.print(f"restored  {source} into {home} · {done.seconds:.1f} s", highlight=False)
    _tell(done.manifest)
    for book, entries in sorted(done.entries.items()):
        out.print(f"verified  book {book}: {entries} entries are as they were signed", highlight=False)
    if done.resent:
        told = " · ".join(f"{name} {number}" for name, number in done.resent.items())
        out.print(f"sent again to Kafka  {told}", highlight=False)
    if done.witnessed:
        out.print(
            f"witnessed  {done.witnessed} checkpoints compared, {len(done.losses)} books are shorter", highlight=False
        )
    else:
        err.print("daohu: no --witness was given: whether a newer state was witnessed is not known.", highlight=False)


def _tell(manifest: "Manifest") -> None:
    rows = " · ".join(f"{name} {sum(store.rows.values())}" for name, store in manifest.stores.items())
    out.print(
        f"of  {manifest.taken_at.isoformat(timespec='seconds')} · {manifest.mode} · release {manifest.release}",
        highlight=False,
    )
    out.print(f"rows  {rows}", highlight=False)
    for code, book in manifest.books.items():
        sealed = book.checkpoint.split("\n")[1:3] or ["0", "none"]
        out.print(
            f"log  book {code}: {book.seq} entries, {sealed[0]} under a checkpoint, root {sealed[1]}", highlight=False
        )


@contextmanager
def _refusals() -> Iterator[None]:
    """Everything that stands against it is said in one line."""
    import errno
    import sqlite3

    from services.backup.archive import ArchiveRefused
    from services.backup.cut import NoMoment
    from services.backup.postgres import ClientMissing, RestoreFailed
    from services.backup.restore import RestoreRefused
    from services.backup.take import BackupRefused
    from services.backup.target import NotEmpty
    from shared.failures import storage_full
    from shared.keyfiles import KeyFileExposed
    from shared.observability import configure_logs

    configure_logs("WARNING")
    try:
        with databases_in_hand():
            try:
                yield
            except (OSError, sqlite3.Error) as error:
                if storage_full(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise fail("There is no room left on the disk. Nothing was kept. 磁盘已满。") from None
                if isinstance(error, OSError) and error.filename is not None:
                    raise fail(f"{error.filename}: {error.strerror}.") from None
                if isinstance(error, sqlite3.Error):
                    raise fail(f"A database cannot be read or copied ({error}). 数据库无法读写。") from None
                raise
    except (
        ArchiveRefused, BackupRefused, ClientMissing, KeyFileExposed, NoMoment, NotEmpty, RestoreFailed, RestoreRefused,
    ) as refusal:  # fmt: skip
        raise fail(str(refusal)) from None
