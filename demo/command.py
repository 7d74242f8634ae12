"""`daohu demo`: starts the house, lives the county's month through it, checks what came of it, and says where to look."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from demo.driver import Issue, Who
    from demo.server import Server

COUNTIES = ("pingli",)
TOKEN_LIFETIME = timedelta(days=60)
CLIENT = "demo"
PAPERS = "out"
"""Folder of the home that the month's papers go to; it stays when the rest is removed."""


def demo(
    county: Annotated[str, typer.Option(help="which county is generated: pingli")] = "pingli",
    seed: Annotated[int, typer.Option(min=0, help="another seed makes other households under the same figures")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output, nothing else")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave it running; print addresses and tokens")] = False,
    home: Annotated[
        Path | None, typer.Option(help="an empty folder to keep its data in (default: a temporary one)")
    ] = None,
) -> None:
    """Live a county's month (演示): import, identify, exit, pay, prove, prompt, score. Ends by itself in under a minute.

    Examples: `daohu demo` · `daohu demo --seed 2 --json` · `daohu demo --keep`
    """
    from rich.console import Console

    from demo.driver import Gone, Unexpected
    from demo.month import CheckFailed
    from demo.server import NotStarted

    err = Console(stderr=True)
    if county not in COUNTIES:
        err.print(f"[red]There is no county {county}. Counties: {', '.join(COUNTIES)}[/red]")
        raise typer.Exit(2)
    if home is not None and home.exists() and any(home.iterdir()):
        err.print(f"[red]{home} is not empty. Choose an empty folder for --home.[/red]", highlight=False)
        raise typer.Exit(2)
    # a SIGTERM must stop the house as Ctrl-C does, or it would run on alone
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = (home or Path(tempfile.mkdtemp(prefix="daohu-demo-"))).absolute()
    try:
        _run(place, seed, as_json=as_json, keep=keep, temporary=home is None)
    except (CheckFailed, Unexpected, Gone, NotStarted) as error:
        err.print(f"[red]{type(error).__name__}: {error}[/red]", highlight=False, markup=True)
        err.print(f"The data is in {place}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _run(place: Path, seed: int, *, as_json: bool, keep: bool, temporary: bool) -> None:
    import time

    from rich.console import Console

    from demo.county import generate
    from demo.driver import Driver
    from demo.month import STARTS_AT, Stage, live
    from demo.report import Voice, report
    from demo.server import Server

    started = time.monotonic()
    papers = place / PAPERS
    papers.mkdir(parents=True, exist_ok=True)
    server = Server(place, STARTS_AT)
    left_running = False
    with Voice(Console(), silent=as_json) as voice:
        try:
            server.launch()
            voice.doing("生成县域数据", "generating the county")
            made = generate(seed, papers / "county")
            server.wait()
            voice.say(
                f"生成 {len(made.households):,} 户 {sum(len(h.people) for h in made.households):,} 人（人员均为虚构）",
                "the county was generated; nobody in it exists",
            )
            voice.doing("度过一个月", "living the month")
            issue = issuing(place)
            with Driver(server.url, issue, key_prefix=f"{CLIENT}-{seed}") as driver:
                result = live(Stage(driver, made, papers, voice.say))
            result["trail"] |= _verify_offline(papers)
            left_running = keep
        finally:
            if not left_running:
                server.stop()
    result["seconds"] = round(time.monotonic() - started, 1)
    places = _places(papers, server, issue, keep=keep, temporary=temporary)
    if as_json:
        if keep:
            tokens = {who.subject: issue(who) for who in _keepers()}
            result["keep"] = {"url": server.url, "pid": server.pid, "home": str(place), "tokens": tokens}
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    else:
        report(Console(), result, places)
    if temporary and not keep:
        for path in place.iterdir():
            if path != papers:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def issuing(home: Path) -> "Issue":
    """Gives tokens of the local issuer whose key lies under `home`, from the start of the month on."""
    from demo.month import STARTS_AT
    from shared import keys

    issuer = keys.issuer(home)

    def issue(who: "Who") -> str:
        return issuer.token(
            subject=who.subject,
            roles=list(who.roles),
            divisions=list(who.divisions),
            client=CLIENT,
            lifetime=TOKEN_LIFETIME,
            now=STARTS_AT,
        )

    return issue


def _verify_offline(papers: Path) -> dict[str, Any]:
    """Runs `daohu verify` on the bundle in a process that knows nothing of this one. Raises CheckFailed."""
    from demo.month import CheckFailed

    command = [sys.executable, "-c", "from services.cli import main; main()", "verify"]
    given = [str(papers / "bundle.zip"), "--key", str(papers / "funds.vkey")]
    done = subprocess.run([*command, *given], env={}, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise CheckFailed(f"daohu verify ended with {done.returncode}: {done.stdout}{done.stderr}")
    return {"verified_offline": True, "verify": done.stdout.strip().splitlines()}


def _places(papers: Path, server: "Server", issue: "Issue", *, keep: bool, temporary: bool) -> dict[str, str]:
    places = {
        "县里交来的文件 the county's files": str(papers / "county"),
        "批注退回的表 the annotated sheet": str(papers / "bad-rows-annotated.xlsx"),
        "离线验证 verify it offline": f"daohu verify {papers / 'bundle.zip'} --key {papers / 'funds.vkey'}",
    }
    if keep:
        places |= {
            "地址 address": server.url,
            "接口 API": f"{server.url}/openapi.json",
            "停止 stop": f"kill {server.pid}",
            "home": str(server.home),
        }
        for who in _keepers():
            places[f"token {who.subject}"] = issue(who)
    elif not temporary:
        places["数据 data"] = f"daohu dump --home {server.home}"
    return places


def _keepers() -> "tuple[Who, ...]":
    """Whose tokens are printed when the house is left running."""
    from demo import cast

    return cast.ADMIN, cast.POVERTY_OFFICE, cast.STATISTICS, cast.FINANCE, cast.PAYER, cast.AUDITOR
