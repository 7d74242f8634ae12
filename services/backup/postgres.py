"""PostgreSQL's own programs for dumping and restoring: well kept, and exact to the last trigger. Passwords go by the environment alone."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from services.backup import counts
from services.backup.cut import plain


class ClientMissing(Exception):
    """pg_dump or pg_restore is not installed, or of another version than the server."""


class RestoreFailed(Exception):
    """PostgreSQL did not take a dump. Nothing of it stayed: it is one transaction."""


MAX_SAID = 400
"""Characters of a program's complaint that are shown."""


def version_of(connection: asyncpg.Connection) -> str:
    """The server's: "15.18"."""
    found = connection.get_server_version()
    return f"{found.major}.{found.minor}"


def require_client(program: str, server: str) -> None:
    """Of the server's own major version: an older one cannot read it, and what a newer one writes an older server may not take.

    Raises ClientMissing.
    """
    wanted = server.partition(".")[0]
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        raise ClientMissing(f"There is no {program} here; install the client of PostgreSQL {wanted}.") from None
    if (mine := _major(said)) != wanted:
        raise ClientMissing(
            f"{program} is of version {mine}, the server of {server}; install the client of version {wanted}."
        )


def _major(said: str) -> str:
    """ "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0)" → "15"; empty when it says something else."""
    [found] = re.findall(r"\(PostgreSQL\) (\d+)", said)[:1] or [""]
    return str(found)


async def dump(url: str, snapshot: str, to: Path) -> None:
    """Writes what a snapshot sees to a file of pg_dump's custom format. Raises ClientMissing when pg_dump refuses."""
    code, said = await _run(
        "pg_dump", url, f"--snapshot={snapshot}", "--format=custom", "--schema=public", f"--file={to}"
    )
    if code:
        raise ClientMissing(f"pg_dump ended with {code}: {said}")


async def restore(url: str, dumped: Path, contents: Path) -> None:
    """Puts a dump into a database without tables, all or nothing. `contents`: a file for the list of what is put there.

    Raises RestoreFailed.
    """
    _choose(dumped, contents)
    words = ("--single-transaction", "--exit-on-error", f"--use-list={contents}", str(dumped))
    code, said = await _run("pg_restore", url, *words)
    if code:
        raise RestoreFailed(f"pg_restore ended with {code} on {dumped.name}: {said}")


def _choose(dumped: Path, contents: Path) -> None:
    """All of a dump but the schema itself: that is there, and belongs to whoever made the database."""
    line = ["pg_restore", "--list", str(dumped)]
    listed = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
    if listed.returncode:
        raise RestoreFailed(f"pg_restore cannot read {dumped.name}.")
    wanted = [
        each for each in listed.stdout.splitlines() if not re.match(r"\d+; \d+ \d+ (SCHEMA|COMMENT|ACL) - ", each)
    ]
    contents.write_text("\n".join(wanted) + "\n", encoding="utf-8")


async def empty(connection: asyncpg.Connection) -> None:
    """Takes away what a restore that did not end has made: every table and function of the schema but the mark."""
    for table in await counts.tables(counts.of_server(connection), sqlite=False):
        await connection.execute(f'DROP TABLE IF EXISTS "{table}" CASCADE')
    functions = "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    for (signature,) in await connection.fetch(functions):
        await connection.execute(f"DROP FUNCTION IF EXISTS {signature} CASCADE")


async def _run(program: str, url: str, *words: str) -> tuple[int, str]:
    """The exit code, and what it said of errors."""
    parts = urlsplit(plain(url))
    host = parts.netloc.rpartition("@")
    user = host[0].partition(":")[0]
    without = urlunsplit(parts._replace(netloc=f"{user}@{host[2]}" if user else host[2]))
    env = {**os.environ, **({"PGPASSWORD": unquote(parts.password)} if parts.password else {})}
    process = await asyncio.create_subprocess_exec(
        program, "--no-owner", "--no-privileges", "--no-password", f"--dbname={without}", *words,
        env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    _, said = await process.communicate()
    first = said.decode(errors="replace").strip().partition("\n")[0]  # what follows may quote a row
    return process.returncode or 0, first[:MAX_SAID]
