"""`daohu keys …`: which keys a deployment has, what stands under them, and their rotation (密钥轮换) while everything runs."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.sign_in_command import clock_of
from services.terminal import HOME, Home, databases_in_hand, err, fail, out

if TYPE_CHECKING:
    from shared.keyring import Purpose, Ring, RingFile
    from shared.rotation import Held

keys_app = typer.Typer(no_args_is_help=True, help="The deployment's keys (密钥).")

NOTICE_S = 5
"""Between a key and its first use: every process that reads the same files has noticed it by then."""

SETTLED_S = 120
"""A key is retired so long after another took its place: nobody who began with it is still at work (twice a request's limit)."""

ASK_EVERY_S = 1.0

What = Literal["data", "blind", "master", "issuer", "log", "all"]
PARTS: tuple["Purpose", ...] = ("data", "blind")
EACH = (*PARTS, "master", "issuer", "log")


@dataclass(frozen=True, slots=True)
class Standing:
    """A key of the keyring: its part, since when it has it, and how many values stand under it, by `service.table.column`."""

    purpose: "Purpose"
    id: str
    state: str
    """next, current or old"""
    since: datetime
    until: datetime | None
    """When the one after it became current."""
    under: dict[str, int]

    @property
    def values(self) -> int:
        return sum(self.under.values())


@keys_app.command("init")
def init(home: Home = HOME) -> None:
    """Make the keys under HOME that are not there yet: of tokens, of personal data, of the ledger's log.

    Give every machine of a cluster the same ones, read-only. An API needs no private key but the vault's and its master key.
    """
    from services import prepare

    out.print(f"keys: {prepare.all_keys(home)}", highlight=False)


@keys_app.command("status")
def status(
    home: Home = HOME,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on standard output")] = False,
) -> None:
    """Each key: what it is for, since when, how many values stand under it and where, and what is still to do. 1: a key is missing."""
    with _in_hand():
        ring, helds = _ring(home), asyncio.run(held(home))
    keys = standings(ring, helds)
    missing = {name: one for name, one in helds.items() if one.missing}
    if as_json:
        sys.stdout.write(json.dumps(_as_dict(ring, keys, missing), indent=2, default=str) + "\n")
    else:
        out.print(f"master {ring.wrapped_by or 'none yet: the first rotation makes one'}", highlight=False)
        for key in keys:
            out.print(f"{key.purpose} {key.id} · {_said(key)} · {key.values} values", highlight=False)
            for place, number in sorted(key.under.items()):
                if number:
                    out.print(f"  {place} {number}", style="dim", highlight=False)
        for id in ring.lost:
            out.print(f"[red]key {id} is listed and cannot be unwrapped[/red]", highlight=False)
        for name, one in missing.items():
            ids = ", ".join(one.missing_ids) or "no known key"
            out.print(f"[red]{name}: {one.missing} values under keys that are not here ({ids})[/red]", highlight=False)
    if missing or ring.lost:
        raise fail("Put the keyring's copy back, or enter these values anew (docs/personal-data.md).")


@keys_app.command("rotate")
def rotate(
    what: Annotated[What, typer.Argument(help="data, blind, master, issuer, log, or all of them")],
    home: Home = HOME,
    wait: Annotated[bool, typer.Option(help="wait until nothing stands under the old key, and retire it")] = True,
    notice: Annotated[
        int, typer.Option(min=0, help="seconds until a new key is used; as long as you need to copy it")
    ] = NOTICE_S,
    settled: Annotated[int, typer.Option(min=0, help="seconds after which nobody works with the old key")] = SETTLED_S,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="issuer, log: what the old key signs from now on counts no more")
    ] = False,
) -> None:
    """Make a new key; running processes notice, use it after NOTICE seconds, and their workers renew what stands under the old one.

    On several machines copy the keys to all of them within --notice. A lost or stolen copy: docs/personal-data.md.

    Example: `daohu keys rotate data`
    """
    chosen = EACH if what == "all" else (what,)
    with _in_hand():
        for one in chosen:
            out.print(f"{one}: {_follow(one, home, timedelta(seconds=notice), at_once=at_once)}", highlight=False)
        if wait and not set(PARTS).isdisjoint(chosen):
            _retire_when_empty(home, timedelta(seconds=settled))


@keys_app.command("retire")
def retire(
    home: Home = HOME,
    settled: Annotated[int, typer.Option(min=0, help="seconds after which nobody works with the old key")] = SETTLED_S,
) -> None:
    """Take old keys out of the keyring under which nothing stands any more. 1: something does; status says what.

    The log's key before the newest is forgotten too, once every book has a checkpoint that the newest signed.
    """
    with _in_hand():
        left = retired(home, timedelta(seconds=settled))
        asyncio.run(forget_log_key(home))
        if left:
            raise fail(f"Still in use: {', '.join(key.id for key in left)}. See: daohu keys status")


@keys_app.command("forget")
def forget(key: Annotated[str, typer.Argument(help="id of a key that cannot be unwrapped")], home: Home = HOME) -> None:
    """Give a lost key up: what stands under it cannot be read any more. Only one that the master key does not open is given up."""
    with _in_hand():
        if not _file(home).forget(key):
            raise fail(f"{key} is not lost, or there is no such key.")
    out.print(f"{key}: given up", highlight=False)


async def held(home: Path) -> dict[str, "Held"]:
    """`service.table.column` → what stands there under which key. Raises what databases raise."""
    from services.catalogue import NAMES, part
    from shared import rotation
    from shared.db import Database

    ring, found = _ring(home), dict[str, "Held"]()
    for name in NAMES:
        made = part(name)
        database = Database(made.settings.of(home=home).url, service=name, pools=(1, 1), application="daohu-keys")
        try:
            for one in await rotation.held(database, ring, made.tables):
                found[f"{name}.{one.table}.{one.column}"] = one
        finally:
            await database.close()
    return found


def standings(ring: "Ring", helds: dict[str, "Held"]) -> list[Standing]:
    """Every key of the keyring with what stands under it."""
    now, found = _now(), []
    for purpose in PARTS:
        keys = ring.of(purpose)
        current = ring.current(purpose, now)
        for key, after in zip(keys, (*keys[1:], None), strict=True):
            state = "current" if key is current else "next" if key.since > now else "old"
            under = {name: one.under[key.id] for name, one in helds.items() if key.id in one.under}
            found.append(Standing(purpose, key.id, state, key.since, after.since if after else None, under))
    return found


def retired(home: Path, settled: timedelta) -> list[Standing]:
    """Takes out the old keys under which nothing stands; answers those that stay for now."""
    ring = _ring(home)
    followed = [key for key in standings(ring, asyncio.run(held(home))) if key.until is not None]
    left = [key for key in followed if key.values or not key.until or key.until + settled > _now()]
    for purpose in PARTS:
        done = [key.id for key in followed if key.purpose == purpose and key not in left]
        if done:
            _file(home).retire(purpose, done)
            out.print(f"{purpose}: {', '.join(done)} retired", highlight=False)
    return left


async def forget_log_key(home: Path) -> None:
    """For a deployment whose workers see their keys read-only; elsewhere the worker that seals has done it."""
    from services.catalogue import part
    from services.funds.proofs import logkeys, sequencer
    from shared.db import Database

    signers = logkeys.signers(home)
    if len(signers) == 1:
        return
    database = Database(
        part("funds").settings.of(home=home).url, service="funds", pools=(1, 1), application="daohu-keys"
    )
    try:
        async with database.read() as tx:
            handed_over = await sequencer.is_handed_over(tx, signers[0])
    finally:
        await database.close()
    if not handed_over:
        out.print("log: the key before the newest still signs beside it: a book has no checkpoint of both yet")
    elif logkeys.hand_over(home, signers):
        out.print("log: the key before the newest forgotten")


def _retire_when_empty(home: Path, settled: timedelta) -> None:
    said: dict[str, int] = {}
    while left := retired(home, settled):
        now = {key.id: key.values for key in left}
        if now != said:
            err.print(
                "still under old keys: " + ", ".join(f"{id} {number}" for id, number in now.items()), highlight=False
            )
        said = now
        time.sleep(ASK_EVERY_S)


def _follow(what: str, home: Path, notice: timedelta, *, at_once: bool) -> str:
    for part in PARTS:
        if what == part:
            key = _file(home).follow(part, since=_now() + notice)
            return f"{key.id}, used from {key.since.isoformat(timespec='seconds')}"
    if what == "master":
        return _file(home).follow_master()
    if what == "log":
        from services.funds.proofs.logkeys import rotate_log_key

        return rotate_log_key(home, at_once=at_once).hex()
    from shared import keys

    return keys.rotate_issuer(home, clock_of(home).now(), at_once=at_once)


def _said(key: Standing) -> str:
    if key.state == "old":
        return "old: " + ("nothing stands under it, it can be retired" if not key.values else "being renewed")
    return f"{key.state}, from {key.since.isoformat(timespec='seconds')}" if key.since.year > 1970 else key.state


def _as_dict(ring: "Ring", keys: list[Standing], missing: dict[str, "Held"]) -> dict[str, Any]:
    return {
        "master": ring.wrapped_by or None,
        "keys": [
            {
                "purpose": key.purpose,
                "id": key.id,
                "state": key.state,
                "since": key.since,
                "values": key.values,
                "under": key.under,
            }
            for key in keys
        ],
        "lost": list(ring.lost),
        "missing": {name: {"values": one.missing, "keys": list(one.missing_ids)} for name, one in missing.items()},
    }


def _file(home: Path) -> "RingFile":
    from shared.keyring import RingFile

    file = RingFile(home / "keys" / "vault.json")
    if not file.exists:
        raise fail(f"There are no keys under {home}. Make them: daohu keys init", 2)
    return file


def _ring(home: Path) -> "Ring":
    return _file(home).read()


@contextmanager
def _in_hand() -> Iterator[None]:
    from shared.keyfiles import KeyFileBroken, KeyFileExposed

    try:
        with databases_in_hand():
            yield
    except (KeyFileBroken, KeyFileExposed) as refusal:
        raise fail(str(refusal)) from None


def _now() -> datetime:
    from shared.clock import SystemClock

    return SystemClock().now()
