"""`daohu verify`: for the auditor, who has the files, the key, and no reason to believe us."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.funds.proofs.verify import Report

SHOWN = 20
"""Problems printed; the rest are counted."""


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="a bundle (zip) of records, proofs and checkpoint")] = None,
    key: Annotated[
        Path | None, typer.Option(help="the log's verifier keys, one a line (GET /funds/v1/log-key)")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="check a whole ledger: an SQLite file or a postgresql:// address")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="with --database: a checkpoint that was kept outside it, or a witness's folder of the book; may be repeated"
        ),
    ] = None,
    witness: Annotated[
        Path | None,
        typer.Option(help="verifier keys of witnesses: one of them must have signed the newest checkpoint too"),
    ] = None,
    log_only: Annotated[
        bool, typer.Option("--log-only", help="with --database: chain and tree alone, neither columns nor balances")
    ] = False,
) -> None:
    """Check that money entries are what was signed (离线验证). Needs neither network nor server.

    Ends with 0 when all is right, 1 when something was changed (and says which entry), 2 when entries are missing at the end.

    Examples: `daohu verify bundle.zip --key funds.vkey` · `daohu verify --database funds.db --key funds.vkey --checkpoint /srv/witness/610926 --witness witness.vkey`
    """
    if (bundle is None) == (database is None):
        raise typer.BadParameter("Give a bundle, or --database with --checkpoint.")
    if bundle is not None and key is None:
        raise typer.BadParameter("A bundle is checked with the log's key: --key funds.vkey")
    if database is not None and not checkpoint:
        raise typer.BadParameter("A database is checked against a checkpoint: --checkpoint witnessed.txt")
    raise typer.Exit(_run(bundle, key, database, checkpoint or [], witness, log_only))


def _run(
    bundle: Path | None,
    key: Path | None,
    database: str | None,
    checkpoints: list[Path],
    witness: Path | None,
    log_only: bool,
) -> int:
    import asyncio

    from services.funds.proofs.notes import read_keys
    from services.funds.proofs.verify import WRONG, verify_bundle

    try:
        keys = read_keys(key.read_text(encoding="utf-8")) if key is not None else []
        witnesses = read_keys(witness.read_text(encoding="utf-8")) if witness is not None else []
        if bundle is not None:
            report = verify_bundle(bundle, keys, witnesses)
        else:
            from services.funds.proofs import kept
            from services.funds.proofs.audit import verify_database

            assert database is not None
            notes, leaves = kept.read(checkpoints)
            report = asyncio.run(
                verify_database(database, notes, keys, witnesses=witnesses, leaves=leaves, log_only=log_only)
            )
    except Exception as error:  # whatever it is, nothing was proven
        typer.echo(f"cannot be checked: {_visible(error)}", err=True)
        return WRONG
    _show(report)
    return report.exit_code


def _show(report: "Report") -> None:
    held = report.checkpoint
    if held is not None:
        typer.echo(f"log    {_visible(held.origin)}")
        typer.echo(f"size   {held.size}")
        typer.echo(f"index  {_spans([seq - 1 for seq in report.entries])}")
        typer.echo(f"root   {held.root.hex()}")
    for note in report.notes:
        typer.echo(f"note   {_visible(note)}")
    if report.truncated_at is not None and held is not None:
        typer.echo(f"CUT    the checkpoint has {held.size} entries, the database {report.truncated_at}", err=True)
    for problem in report.problems[:SHOWN]:
        typer.echo(f"WRONG  {_visible(problem)}", err=True)
    if len(report.problems) > SHOWN:
        typer.echo(f"WRONG  and {len(report.problems) - SHOWN} more", err=True)
    if report.exit_code == 0:
        typer.echo(f"ok     {len(report.entries)} entries are as they were signed")


def _visible(said: object) -> str:
    """What an insider wrote into a name must not act on the auditor's terminal: what is not printed is written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(said))


def _spans(numbers: list[int]) -> str:
    """[0, 1, 2, 5] → "0-2 5"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans) or "none"
