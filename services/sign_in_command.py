"""`daohu token`, `daohu tokens …` and `daohu accounts …`: who may sign in, and whose tokens end (docs/sign-in.md)."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.terminal import HOME, Home, fail, out

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.roles import Role

tokens_app = typer.Typer(no_args_is_help=True, help="Tokens that end before their time (吊销).")
accounts_app = typer.Typer(no_args_is_help=True, help="Service accounts (服务账号): programs that sign in by a secret.")

Roles = Annotated[list[str], typer.Option("--role", help="a role; may be given several times")]
Divisions = Annotated[
    list[str], typer.Option("--division", help="a 12-digit division code; may be given several times")
]


def token(
    role: Roles,
    division: Divisions,
    subject: Annotated[str, typer.Option(help="who it is for")] = "operator",
    client: Annotated[str, typer.Option(help="the program it is used by")] = "cli",
    hours: Annotated[
        int, typer.Option(min=1, max=24 * 31, help="how long it is valid; beyond 12 only on a clock that is moved")
    ] = 12,
    home: Home = HOME,
) -> None:
    """Issue a token of the local issuer (本地令牌), signed with the key under HOME. It goes to standard output, nothing else does.

    Example: `export DAOHU_TOKEN=$(daohu token --role auditor --division 610926000000)`
    """
    from shared import keys
    from shared.issuer import longest_life
    from shared.settings import Settings

    if not Settings(home=home).local_issuer:
        raise fail("Local tokens do not count here (DAOHU_LOCAL_ISSUER): get one from the county's provider.")
    roles, divisions = _known(role, division)
    if timedelta(hours=hours) > (longest := longest_life(home)):
        raise fail(f"A token lasts at most {longest // timedelta(hours=1)} hours.", 2)
    issued = keys.issuer(home).token(
        subject, roles, divisions, client=client, lifetime=timedelta(hours=hours), now=clock_of(home).now()
    )
    sys.stdout.write(issued + "\n")


@tokens_app.command("revoke")
def revoke(
    subject: Annotated[str | None, typer.Option(help="all tokens that this person or account has now")] = None,
    token_id: Annotated[str | None, typer.Option(help="one token, by its jti")] = None,
    all_before: Annotated[
        str | None, typer.Option(help="everybody's tokens issued before: `now`, or 2026-11-23T08:00+08:00")
    ] = None,
    home: Home = HOME,
) -> None:
    """End tokens before their time (吊销). Every running process refuses them within seconds; signing in again is possible.

    Examples: `daohu tokens revoke --subject li` · `daohu tokens revoke --all-before now`
    """
    from shared import revocation

    if [subject, token_id, all_before].count(None) != 2:
        raise fail("Say one of --subject, --token-id and --all-before.", 2)
    path, now, moved = _keys(home) / revocation.FILE, clock_of(home).now(), _moved(home)
    with _files_in_hand():
        if subject is not None:
            revocation.revoke_subject(path, subject, now=now, moved_clock=moved)
        elif token_id is not None:
            revocation.revoke_token(path, token_id, now=now, moved_clock=moved)
        else:
            revocation.revoke_all(path, _instant(all_before or "", now), now=now, moved_clock=moved)
    out.print(f"revoked: {subject or token_id or f'all before {all_before}'}", highlight=False)


@tokens_app.command("check")
def check(home: Home = HOME) -> None:
    """Say what a token counts for here, or why it does not (验证令牌). It is read from standard input, never from the command line.

    Providers are those of DAOHU_OIDC_ISSUERS; their keys are fetched. Example: `echo $DAOHU_TOKEN | daohu tokens check`
    """
    from shared import keys
    from shared.errors import Refusal
    from shared.observability import configure_logs
    from shared.settings import Settings

    configure_logs("WARNING")
    _keys(home)
    with _files_in_hand():
        verifier = keys.verifier(Settings(home=home, clock="movable" if _moved(home) else "system"), clock_of(home))
    try:
        caller = asyncio.run(verifier.caller(sys.stdin.readline().strip()))
    except Refusal as refusal:
        raise fail(f"{refusal.code}: {refusal.detail}") from None
    sys.stdout.write(f"subject {caller.subject}\nclient {caller.client}\n")
    sys.stdout.write(f"roles {' '.join(sorted(caller.roles))}\ndivisions {' '.join(caller.divisions)}\n")


@tokens_app.command("revoked")
def revoked(home: Home = HOME) -> None:
    """Show what is revoked at present, and up to which instant of issue."""
    from shared import revocation

    with _files_in_hand():
        for what, until in sorted(revocation.listed(_keys(home) / revocation.FILE, clock_of(home).now()).items()):
            reach = "" if what.startswith("token:") else f" {until.isoformat(timespec='seconds')}"
            sys.stdout.write(f"{what}{reach}\n")


@accounts_app.command("add")
def add(
    account: Annotated[str, typer.Argument(help="its id, for example mobile-backend")],
    role: Roles,
    division: Divisions,
    home: Home = HOME,
) -> None:
    """Make an account. Its secret goes to standard output, once: nobody can read it again.

    Example: `daohu accounts add mobile-backend --role backend --division 610926000000`
    """
    from shared import accounts
    from shared.settings import Settings

    if Settings(home=home).kafka_bootstrap_servers:
        raise fail("In a cluster programs are clients of the county's provider: docs/sign-in.md.")
    roles, divisions = _known(role, division)
    with _files_in_hand():
        secret = accounts.add(_keys(home) / accounts.FILE, account, roles, divisions, now=clock_of(home).now())
    sys.stdout.write(secret + "\n")


@accounts_app.command("list")
def list_(home: Home = HOME) -> None:
    """Show the accounts, what each may be and where. No secret."""
    from shared import accounts

    with _files_in_hand():
        for name, account in sorted(accounts.listed(_keys(home) / accounts.FILE).items()):
            since = account.since.isoformat(timespec="seconds")
            sys.stdout.write(f"{name} {','.join(account.roles)} {','.join(account.divisions)} since {since}\n")


@accounts_app.command("remove")
def remove(account: Annotated[str, typer.Argument(help="its id")], home: Home = HOME) -> None:
    """Remove an account. It gets no token any more, and those it has end within seconds."""
    from shared import accounts, revocation

    with _files_in_hand():
        accounts.remove(_keys(home) / accounts.FILE, account)
        revocation.revoke_subject(
            _keys(home) / revocation.FILE,
            accounts.PREFIX + account,
            now=clock_of(home).now(),
            moved_clock=_moved(home),
        )
    out.print(f"removed: {account}", highlight=False)


def _keys(home: Path) -> Path:
    """The folder of the deployment's keys. Raises typer.Exit where there is none: nobody would read what is written there."""
    if not (home / "keys").is_dir():
        raise fail(
            f"{home} has no keys: name the home with --home or DAOHU_HOME; a new one begins with: daohu keys init"
        )
    return home / "keys"


def _moved(home: Path) -> bool:
    """Whether the clock of this home is one that is moved by hand."""
    return (home / "clock").exists()


def clock_of(home: Path) -> "Clock":
    from shared.clock import MovableClock, SystemClock

    return MovableClock(home / "clock") if _moved(home) else SystemClock()


def _known(roles: list[str], divisions: list[str]) -> "tuple[list[Role], list[str]]":
    """Raises typer.Exit for what does not exist."""
    from shared.roles import Role
    from shared.scope import is_division

    if unknown := sorted(set(roles) - set(Role)):
        raise fail(f"Unknown role {', '.join(unknown)}. Roles: {', '.join(Role)}", 2)
    if wrong := [code for code in divisions if not is_division(code)]:
        raise fail(f"{wrong[0]} is not a 12-digit division code", 2)
    return [Role(name) for name in roles], divisions


def _instant(text: str, now: datetime) -> datetime:
    """`now`, or an instant that has passed, with its offset from UTC."""
    if text == "now":
        return now
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"{text} is no instant; write it so: 2026-11-23T08:00+08:00", 2) from None
    if given.tzinfo is None:
        raise fail(f"{text} does not say which zone it is in; write it so: {text}+08:00", 2)
    if given > now:
        raise fail(f"{text} is to come: tokens that are not issued yet cannot be revoked.", 2)
    return given.astimezone(UTC)


@contextmanager
def _files_in_hand() -> Iterator[None]:
    """What stands against it is said in one line."""
    from shared.accounts import AccountRefused
    from shared.keyfiles import KeyFileBroken, KeyFileExposed
    from shared.revocation import TooManyRevoked

    try:
        yield
    except AccountRefused as refusal:
        raise fail(refusal.detail) from None
    except (KeyFileBroken, KeyFileExposed, TooManyRevoked) as refusal:
        raise fail(str(refusal)) from None
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}") from None
