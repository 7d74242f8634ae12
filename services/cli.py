"""`daohu …`: what the county office types. Each command says what it did and ends with an honest exit code.

0 done · 1 it was refused or found something wrong · 2 called wrongly (`daohu verify`: the log is shorter than its checkpoint).
Modules are imported where they are used, so that `daohu verify` runs with nothing but the files it checks.
"""

import asyncio
import json
import socket
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from demo.command import demo
from services.backup.command import backup, restore
from services.doctor.command import doctor
from services.events_command import events_app, replay
from services.funds.proofs.command import verify
from services.funds.proofs.witness_command import witness_app
from services.keys_command import keys_app
from services.sign_in_command import accounts_app, token, tokens_app
from services.terminal import HOME, Home, databases_in_hand, err, fail, out

app = typer.Typer(
    name="daohu", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown", help=__doc__
)
policies_app = typer.Typer(no_args_is_help=True, help="Policy packs (政策包): what differs from place to place.")
roles_app = typer.Typer(no_args_is_help=True, help="Roles (角色): who may do what.")
app.add_typer(policies_app, name="policies")
app.add_typer(keys_app, name="keys")
app.add_typer(roles_app, name="roles")
app.add_typer(events_app, name="events")
app.add_typer(witness_app, name="witness")
app.add_typer(tokens_app, name="tokens")
app.add_typer(accounts_app, name="accounts")
app.command()(token)
app.command()(demo)
app.command()(verify)
app.command()(replay)
app.command()(backup)
app.command()(restore)
app.command()(doctor)


def _say_version(asked: bool) -> None:
    if asked:
        out.print(f"daohu {version('daohu')}", highlight=False)
        raise typer.Exit


@app.callback(help=__doc__)
def _of_all(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="which release this is (版本)")
    ] = False,
) -> None:
    """What holds for every command."""


SHOWN = 400
"""Characters of a policy's value in a table; --json shows all."""
ERRORS_SHOWN = 20
IMPORT_SECONDS = 300


@app.command()
def up(
    home: Home = HOME,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one and prints it")
    ] = 8610,
    clock_start: Annotated[
        datetime | None,
        typer.Option(help="use a clock that stands still and is moved by POST /demo/v1/clock, starting here (UTC)"),
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR")] = "INFO",
) -> None:
    """Run all four services in this process, on SQLite (单机模式). Ctrl-C stops it.

    Example: `daohu up --home /var/lib/daohu --port 8610`
    """
    import uvicorn

    from services.embedded import Embedded, HomeInUse
    from services.serving import config, settle_memory
    from shared.clock import MovableClock
    from shared.keyfiles import KeyFileBroken, KeyFileExposed
    from shared.observability import configure_logs
    from shared.settings import Settings

    configure_logs(log_level)
    given: dict[str, Any] = {"log_level": log_level}
    if clock_start is not None:
        MovableClock(home / "clock", clock_start.replace(tzinfo=UTC))
    if (home / "clock").exists():
        given["clock"] = "movable"  # a home that began with such a clock goes on with it
    try:
        house = Embedded(home, **given)
    except (KeyFileBroken, KeyFileExposed) as refusal:
        raise fail(str(refusal)) from None
    server = uvicorn.Server(config(house, Settings(home=home), timeout_graceful_shutdown=10))
    settle_memory()
    listening = _listen(host, port)
    url = f"http://{host}:{listening.getsockname()[1]}"
    err.print(f"daohu: {url} · home {home.absolute()} · {url}/openapi.json · Ctrl-C stops it", highlight=False)
    try:
        server.run(sockets=[listening])
    except HomeInUse as refusal:
        raise fail(str(refusal)) from None
    if not server.started:
        raise fail("It did not start; the lines above say why.")


def _listen(host: str, port: int) -> socket.socket:
    from services.serving import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise fail(f"Cannot listen on {host}:{port}: {error.strerror}.") from None


@app.command()
def run(
    service: Annotated[
        Literal["registry", "funds", "assessment", "notify"], typer.Argument(help="which of the four services")
    ],
    role: Annotated[
        Literal["api", "worker", "all"],
        typer.Option(help="api answers requests; worker publishes, consumes and keeps the clock's jobs; all does both"),
    ] = "all",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 8610,
    home: Home = HOME,
) -> None:
    """Run one service as a process of its own, on PostgreSQL and Kafka (分布式). SIGTERM stops it; `daohu migrate` comes first.

    The environment says where things are: DAOHU_KAFKA_BOOTSTRAP_SERVERS, DAOHU_FUNDS_DATABASE_URL and its like, DAOHU_HOME (keys).
    Exit code 0: it was asked to stop. 1: it cannot go on, the log says why; start it again. 70: it stood still.

    Example: `daohu run funds --role worker --port 8620`
    """
    from services import process
    from shared.observability import configure_logs
    from shared.settings import Settings

    configure_logs(Settings().log_level)
    try:
        code = process.run(service, lambda: _listen(host, port), role=role, home=home)
    except process.Misplaced as refusal:
        raise fail(str(refusal), 2) from None
    raise typer.Exit(code)


@app.command("import")
def import_file(
    kind: Annotated[
        str, typer.Argument(help="service/kind, for example registry/households, funds/payees, notify/contacts")
    ],
    file: Annotated[Path, typer.Argument(help="XLSX or CSV (UTF-8 or GB18030); for `--template`: the file to write")],
    server: Annotated[str, typer.Option(envvar="DAOHU_SERVER", help="a running daohu")] = "http://127.0.0.1:8610",
    token: Annotated[str, typer.Option(envvar="DAOHU_TOKEN", help="bearer token (daohu token)")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check only, change nothing")] = False,
    accept_valid: Annotated[
        bool, typer.Option("--accept-valid", help="enter the good rows although others are wrong")
    ] = False,
    division: Annotated[
        str | None, typer.Option(help="whose import it is, when the token holds several divisions")
    ] = None,
    template: Annotated[bool, typer.Option("--template", help="write the empty form to FILE instead")] = False,
    report: Annotated[Path | None, typer.Option(help="where to put the annotated sheet when rows are wrong")] = None,
) -> None:
    """Import a file, or fetch its template (导入). Wrong rows come back in an annotated sheet; nothing is half entered.

    Examples: `daohu import registry/households 户.xlsx --dry-run` · `daohu import registry/households form.xlsx --template`
    """
    import httpx

    from shared.ids import new_id

    service, _, name = kind.partition("/")
    base = f"{server}/{service}/v1/imports/{name}"
    headers = {"authorization": f"Bearer {token}"}
    try:
        with httpx.Client(timeout=IMPORT_SECONDS, headers=headers) as http:
            if template:
                answer = http.get(f"{base}/template")
                _refused(answer)
                file.write_bytes(answer.content)
                out.print(f"{file}: the form for {kind}. Fill it in, then: daohu import {kind} {file}")
                return
            data = file.read_bytes()
            mode = "valid" if accept_valid else "all"
            answer = http.post(
                base,
                params={"mode": mode, "dry_run": dry_run, **({"division": division} if division else {})},
                content=data,
                # A key of its own: the same file is judged anew when the register has changed since.
                headers={"idempotency-key": str(new_id()), "content-type": "application/octet-stream"},
            )
            _refused(answer)
            result = answer.json()
            wrong = int(result["rejected"])
            verb = "would enter" if dry_run else "entered"
            entered = 0 if wrong and not accept_valid else int(result["accepted"])
            out.print(f"{file.name}: {result['rows']} rows, {verb} {entered}, {wrong} wrong", highlight=False)
            for row in result["errors"][:ERRORS_SHOWN]:
                err.print(
                    f"  {row.get('row')} · {row.get('column')} · {row.get('code')} · {row.get('message')}",
                    highlight=False,
                )
            if wrong and result.get("report"):
                target = report or file.with_name(f"{file.stem}-errors.xlsx")
                annotated = http.get(f"{server}{result['report']}")
                _refused(annotated)
                target.write_bytes(annotated.content)
                err.print(f"Every wrong cell is marked in {target}")
            if wrong and not accept_valid:
                raise typer.Exit(1)
    except FileNotFoundError:
        raise fail(f"{file}: there is no such file", 2) from None
    except httpx.TransportError as error:
        raise fail(f"{server} does not answer ({type(error).__name__}). Is `daohu up` running there?") from None


def _refused(answer: Any) -> None:
    if answer.status_code < 400:
        return
    try:
        body = answer.json()
    except ValueError:
        raise fail(f"{answer.status_code}: {answer.text[:200]}") from None
    lines = [f"{body.get('code')}: {body.get('detail')}"]
    lines += [f"  {e['field']}: {e['message']}" for e in body.get("errors", [])[:ERRORS_SHOWN]]
    raise fail("\n".join(lines))


@app.command()
def migrate(
    service: Annotated[
        list[str] | None, typer.Option(help="only the tables of this service; may be given several times")
    ] = None,
    home: Home = HOME,
) -> None:
    """Bring tables up to date, and make the topics and keys that are missing (升级). It may run twice, also at once.

    Databases: the environment's DAOHU_REGISTRY_DATABASE_URL and its like, else SQLite under HOME. Topics: on
    DAOHU_KAFKA_BOOTSTRAP_SERVERS, with DAOHU_TOPIC_PARTITIONS and DAOHU_TOPIC_REPLICAS. Keys: under HOME.
    """
    from services import prepare
    from services.catalogue import NAMES
    from shared.settings import Settings

    names = service or list(NAMES)
    if unknown := [name for name in names if name not in NAMES]:
        raise fail(f"No service is called {unknown[0]}. There are: {', '.join(NAMES)}", 2)
    home.mkdir(parents=True, exist_ok=True)
    with databases_in_hand():
        asyncio.run(prepare.tables(names, home=home))
        for name in names:
            out.print(f"{name}: up to date")
        settings = Settings(home=home)
        if settings.kafka_bootstrap_servers and service is None:
            made = asyncio.run(prepare.topics(settings))
            out.print(f"topics: {len(made)}")
        out.print(f"keys: {prepare.all_keys(home)}", highlight=False)


@policies_app.command("show")
def policies_show(
    place: Annotated[str, typer.Argument(help="a pack, for example pingli")],
    basis: Annotated[str | None, typer.Option(help="only values whose basis is seed, standard or ours")] = None,
    folder: Annotated[Path, typer.Option(help="folder of the packs")] = Path(__file__).parent.parent / "policies",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Show each value of a pack with its unit, date, basis and source. A wrong pack is refused with line and reason.

    Example: `daohu policies show pingli --basis ours`
    """
    from shared.policy import PackRefused, PolicyBook

    if basis not in (None, "seed", "standard", "ours"):
        raise fail("--basis is seed, standard or ours", 2)
    try:
        rows = PolicyBook.load(folder).list(place, basis)
    except PackRefused as refusal:
        raise fail(str(refusal)) from None
    except LookupError:
        raise fail(f"There is no pack {place} in {folder}", 2) from None
    if as_json:
        sys.stdout.write(json.dumps([row.as_dict() for row in rows], ensure_ascii=False, indent=2, default=str) + "\n")
        return
    for row in rows:
        text = json.dumps(row.value, ensure_ascii=False, default=str)
        out.print(f"[bold]{row.key}[/bold]  {row.basis} · {row.unit} · from {row.effective_from}", highlight=False)
        out.print(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…", style="green", markup=False, highlight=False)
        out.print(f"source: {row.source}", style="dim", markup=False, highlight=False)
        if row.ours:
            out.print(f"ours: {row.ours}", style="yellow", markup=False, highlight=False)
        out.print()


@app.command()
def openapi(
    check: Annotated[
        Path | None,
        typer.Option(help="compare with this file instead of printing; docs/openapi.json is the committed one"),
    ] = None,
) -> None:
    """Print the APIs of all four services as one OpenAPI document. `make contracts` writes it to docs/openapi.json."""
    from services.openapi import of_this_code

    document = of_this_code()
    if check is None:
        sys.stdout.write(document.decode())
    elif not check.exists() or check.read_bytes() != document:
        raise fail(f"{check} is not what the routes say. Run: make contracts")


@roles_app.callback()
def _roles() -> None:
    """With a callback `table` is named although it is the only command."""


@roles_app.command("table")
def roles_table(
    check: Annotated[
        Path | None,
        typer.Option(help="compare with this file instead of printing; docs/roles.md is the committed one"),
    ] = None,
) -> None:
    """Print who may do what, and where, as the routes enforce it (角色权限表). `make contracts` writes it to docs/roles.md."""
    from services.roles_table import SHIPPED, acts, as_markdown
    from shared.policy import PolicyBook

    document = as_markdown(acts(), PolicyBook.load(SHIPPED))
    if check is None:
        sys.stdout.write(document)
    elif not check.exists() or check.read_text(encoding="utf-8") != document:
        raise fail(f"{check} is not what the routes say. Run: make contracts")


@app.command()
def dump(
    home: Home = HOME,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="without ids, times, hashes and attempt counts, sorted")
    ] = False,
    rows: Annotated[Path | None, typer.Option(help="also write the rows to this file, one JSON line each")] = None,
) -> None:
    """Print every table with its number of rows and a digest; `--rows` writes the rows.

    Two homes in which the same happened give the same canonical dump: `daohu dump --canonical --rows a.txt`.
    """
    from services import dump as dumps

    with databases_in_hand():
        count, lines = asyncio.run(dumps.of_home(home, canonical=canonical))
    for service, table, number, digest in count:
        sys.stdout.write(f"{service}.{table} {number} {digest}\n")
    sys.stdout.write(f"tables {len(count)} rows {sum(number for _, _, number, _ in count)}\n")
    if rows is not None:
        with rows.open("wb") as file:
            file.writelines(lines)


def main() -> None:
    app()
