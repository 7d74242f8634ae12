"""`daohu witness`: the witness's own process, on a machine of its own, with its own key and its own folder."""

import asyncio
import base64
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from shared.clock import SystemClock

if TYPE_CHECKING:
    import httpx
    from cryptography.x509 import Certificate

    from services.funds.proofs.witness import Signed, Witness

witness_app = typer.Typer(
    no_args_is_help=True, help="A witness (见证) of the funds log: signs what continues, keeps it, refuses the rest."
)

EVERY_S = 60.0
STAMP_EVERY_S = 3_600.0
TIMEOUT_S = 30.0
NOT_AN_ANSWER = (ValueError, KeyError, TypeError)
"""What reading an answer raises that is not what was asked for."""

KEY, VKEY = "witness.key", "witness.vkey"

Folder = Annotated[Path, typer.Argument(help="the witness's own folder, out of reach of those it watches")]


@witness_app.command()
def init(folder: Folder, name: Annotated[str, typer.Option(help="who it is, e.g. audit.ankang.example/daohu")]) -> None:
    """Make the witness's key (见证密钥) and print its verifier key, for all who will check.

    Example: `daohu witness init /srv/witness --name audit.ankang.example/daohu`
    """
    from services.funds.proofs.notes import COSIGNATURE, BadNote, Signer, VerifierKey

    try:
        verifier = VerifierKey.read(str(Signer.at(folder / KEY).verifier(name, COSIGNATURE)))
        if (folder / VKEY).exists() and (folder / VKEY).read_text() != f"{verifier}\n":
            raise BadNote(f"{folder} is the folder of another witness: {(folder / VKEY).read_text().strip()}")
    except BadNote as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    (folder / VKEY).write_text(f"{verifier}\n")
    typer.echo(verifier)


@witness_app.command()
def run(
    folder: Folder,
    url: Annotated[str, typer.Option(help="where Daohu answers, e.g. https://daohu.pingli.example")],
    key: Annotated[
        Path, typer.Option(help="the log's verifier keys, one a line: got once, by hand; read anew each round")
    ],
    account: Annotated[str, typer.Option(help="the service account it asks with (role backend)")],
    secret_file: Annotated[Path, typer.Option(help="holds the account's secret")],
    token_url: Annotated[
        str, typer.Option(help="where a program gets its token (OAuth 2.0); default: /auth/v1/token of --url")
    ] = "",
    every: Annotated[float, typer.Option(min=1, help="seconds between two looks")] = EVERY_S,
    once: Annotated[bool, typer.Option("--once", help="look once; exit 1 when anything was refused")] = False,
    tsa: Annotated[str | None, typer.Option(help="a time-stamp authority (RFC 3161)")] = None,
    tsa_root: Annotated[Path | None, typer.Option(help="its root certificates (PEM)")] = None,
    stamp_every: Annotated[float, typer.Option(min=1, help="seconds between two stamps of a book")] = STAMP_EVERY_S,
) -> None:
    """Watch the log of each book: sign the newest checkpoint when it continues the last one, never a fork or a shrunk log.

    Example: `daohu witness run /srv/witness --url https://daohu.pingli.example --key funds.vkey --account witness --secret-file secret`
    """
    import httpx
    from cryptography.x509 import load_pem_x509_certificates

    from services.funds.proofs.notes import BadNote
    from shared import keyfiles

    if (tsa is None) != (tsa_root is None):
        raise typer.BadParameter("Give --tsa and --tsa-root together.")
    try:
        stamper = (
            Stamper(tsa, load_pem_x509_certificates(tsa_root.read_bytes()), stamp_every) if tsa and tsa_root else None
        )
        by = Account(token_url or f"{url.rstrip('/')}/auth/v1/token", account, secret_file)
        with keyfiles.alone(folder):
            watch = Watch(folder, key, url, by, stamper)
            fine = asyncio.run(watch.look() if once else watch.until_told(every))
    except (BadNote, OSError, ValueError, httpx.InvalidURL) as error:
        typer.echo(f"cannot watch: {error}", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if fine else 1)


class Account(NamedTuple):
    """A program's account, and where it gets its tokens: client credentials, RFC 6749 4.4."""

    token_url: str
    name: str
    secret_file: Path


class Watch:
    """A witness at work: what it asks with, and the logs' keys, read anew each round. Raises BadNote, OSError."""

    def __init__(self, folder: Path, key: Path, url: str, by: Account, stamper: "Stamper | None") -> None:
        from services.funds.proofs.notes import Signer, VerifierKey

        self._folder, self._key, self._url, self._by, self._stamper = folder, key, url, by, stamper
        self._signer = Signer.at(folder / KEY)
        self._name = VerifierKey.read((folder / VKEY).read_text().strip()).name
        self._watched = key.read_text(encoding="utf-8")
        self._witness = self._made(self._watched)
        by.secret_file.read_text()

    async def until_told(self, every: float) -> bool:
        """Looks every so many seconds until SIGTERM or SIGINT. What is asked at that moment is left; what was signed is kept."""
        at_work = asyncio.current_task()
        assert at_work is not None
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, at_work.cancel)
        try:
            while True:
                await self.look()
                await asyncio.sleep(every)
        except asyncio.CancelledError:
            return True

    async def look(self) -> bool:
        """One round: every book, and the stamps that are due. False when anything was refused, or could not be asked."""
        fine = self._took_keys()
        fine &= await self._look_around()
        if self._stamper is not None:
            fine &= await self._stamper.stamp_newest(self._witness)
        return fine

    def _made(self, keys: str) -> "Witness":
        from services.funds.proofs.notes import read_keys
        from services.funds.proofs.witness import Witness

        return Witness(self._folder, self._signer, self._name, read_keys(keys))

    def _took_keys(self) -> bool:
        """Whether the key file can be read; while it cannot, the keys are those before."""
        from services.funds.proofs.notes import BadNote

        try:
            if (keys := self._key.read_text(encoding="utf-8")) != self._watched:
                self._witness, self._watched = self._made(keys), keys
        except (BadNote, OSError, ValueError) as error:
            typer.echo(f"old keys {self._key}: {type(error).__name__}: {error}", err=True)
            return False
        return True

    async def _look_around(self) -> bool:
        import httpx

        from services.funds.proofs.answers import ask

        async with httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_S) as http:
            try:
                form = {"grant_type": "client_credentials"}
                secret = self._by.secret_file.read_text().strip()
                answer = await ask(http, "POST", self._by.token_url, data=form, auth=(self._by.name, secret))
                http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
            except (httpx.HTTPError, OSError, *NOT_AN_ANSWER) as error:
                typer.echo(f"away     no token from {self._by.token_url}: {type(error).__name__}: {error}", err=True)
                return False
            return await look_around(self._witness, LogOverHttp(http))


async def look_around(witness: "Witness", log: "LogOverHttp") -> bool:
    """Looks at every book once and says what it did. False when anything was refused, or could not be asked."""
    import httpx

    from services.funds.proofs.witness import NotContinued

    fine = True
    for book in witness.books:
        try:
            signed = await witness.look(log, book, int(SystemClock().now().timestamp()))
        except NotContinued as refused:
            typer.echo(f"REFUSED  {refused}", err=True)
            fine = False
            continue
        except (httpx.HTTPError, OSError, *NOT_AN_ANSWER) as error:
            typer.echo(f"away     book {book}: {type(error).__name__}: {error}", err=True)
            fine = False
            continue
        typer.echo(f"signed   {signed.path}" if signed else f"known    book {book}")
        if (newest := witness.to_hand_in(book)) is not None:
            taken = await _hand_in(log, book, newest)
            if taken:
                witness.was_taken(book, newest)
            fine &= taken
    return fine


async def _hand_in(log: "LogOverHttp", book: str, signed: "Signed") -> bool:
    """Brings the witness's line to the log, which hands it on. False when the log does not take it: the next round brings it again."""
    import httpx

    try:
        await log.hand_in(book, signed.size, signed.line)
    except httpx.HTTPError as error:
        typer.echo(f"not taken  {signed.path}: {type(error).__name__}: {error}", err=True)
        return False
    return True


class Stamper:
    """Gets stamps of an authority over each book's newest checkpoint, not oftener than every so many seconds."""

    def __init__(self, url: str, roots: "Sequence[Certificate]", every: float) -> None:
        self._url, self._roots, self._every = url, roots, every

    async def stamp_newest(self, witness: "Witness") -> bool:
        """False when a stamp was due and not given."""
        import httpx

        from services.funds.proofs.stamps import NotStamped, stamp
        from services.funds.proofs.witness import write_once

        fine = True
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:  # our token is not for them
            for checkpoint, to in witness.to_stamp(self._every, SystemClock().now().timestamp()):
                try:
                    write_once(to, await stamp(http, self._url, checkpoint, self._roots))
                except (NotStamped, httpx.HTTPError, OSError) as error:
                    typer.echo(f"UNSTAMPED  {to}: {type(error).__name__}: {error}", err=True)
                    fine = False
                else:
                    typer.echo(f"stamped  {to}")
        return fine


class LogOverHttp:
    """A log as Daohu's API shows it. Raises httpx.HTTPError, and one of NOT_AN_ANSWER for an answer that is none."""

    def __init__(self, http: "httpx.AsyncClient") -> None:
        self._http = http

    async def latest(self, book: str) -> str:
        return (await self._get("checkpoints/latest", book=book)).text

    async def consistency(self, book: str, old: int, new: int) -> Sequence[bytes]:
        answer = await self._get("consistency", book=book, to=new, **{"from": old})
        return [base64.b64decode(hash) for hash in answer.json()["hashes"]]

    async def leaves(self, book: str, after: int, upto: int) -> bytes:
        answer = await self._get("leaves", book=book, after=after, to=upto)
        return b"".join(base64.b64decode(hash) for hash in answer.json()["hashes"])

    async def hand_in(self, book: str, size: int, line: str) -> None:
        path, key = f"/funds/v1/checkpoints/{size}/cosignatures", f"cosignature-{book}-{size}"
        given = {"params": {"book": book}, "json": {"line": line.rstrip("\n")}, "headers": {"idempotency-key": key}}
        await self._ask("POST", path, **given)

    async def _get(self, path: str, **params: str | int) -> "httpx.Response":
        return await self._ask("GET", f"/funds/v1/{path}", params=params)

    async def _ask(self, method: str, path: str, **given: Any) -> "httpx.Response":
        from services.funds.proofs.answers import ask

        return await ask(self._http, method, path, **given)
