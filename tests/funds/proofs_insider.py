"""An insider (内鬼): somebody who owns the database, and a paid county's book that lies open before him on either database.

His copy of the tables has neither triggers nor keys nor constraints: whoever owns a schema can drop them all.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
from funds_county import RECEIVED_FEN, County, created

from services.funds.api import ROUTERS
from services.funds.consumers import HANDLERS
from services.funds.ledger import domain
from services.funds.ledger.domain import Posting
from services.funds.ledger.service import open_ledger
from services.funds.proofs import merkle
from services.funds.proofs.audit import verify_database
from services.funds.proofs.notes import Checkpoint, Signer, VerifierKey, read_keys
from services.funds.proofs.verify import Report
from services.funds.settings import Settings
from services.funds.tables import metadata
from shared.roles import Role
from shared.testing import COUNTY, running, settings_for

BOOK = COUNTY[:6]
LEDGER = (
    "ledger_book", "ledger_account", "ledger_entry", "ledger_posting", "ledger_sum", "ledger_summed", "log_node", "log_checkpoint",
)  # fmt: skip
ACTS = ("decision", "notice", "objection")
LISTS = ("project", "tranche", "tranche_line")
TABLES = (*LEDGER, *ACTS, *LISTS, "payee")

HELD, PAID, SEALED, LAST = 5, 6, 10, 13
"""Entries of the book: up to 4 money arrives and is allocated, then a hold and a payment; receipts, sealed and not."""


class Desk:
    """A copy of the tables at which an insider sits: an SQLite file, or a schema of a PostgreSQL database."""

    def __init__(self, source: str, place: Path) -> None:
        self.sqlite = source.startswith("sqlite")
        if self.sqlite:
            place.unlink(missing_ok=True)
            self.url = f"sqlite:///{place}"
            self._connection: Any = sqlite3.connect(place, isolation_level=None)
            self._connection.execute("attach ? as source", (source.removeprefix("sqlite:///"),))
            of, to = "source", "main"
        else:
            server, _, schema = source.partition("?search_path=")
            of, to = schema or "public", f"desk_{place.stem}"
            self.url = f"{server}?search_path={to}"
            self._connection = psycopg.connect(server, autocommit=True)
            self._connection.execute(f"drop schema if exists {to} cascade; create schema {to}; set search_path = {to}")
        self.execute("begin")
        for table in TABLES:
            self.execute(f"create table {to}.{table} as select * from {of}.{table}")
        self.execute("commit")
        if self.sqlite:
            self.execute("detach source")

    def execute(self, statement: str, *values: Any) -> Any:
        if self.sqlite:
            return self._connection.execute(statement, values)
        return self._connection.execute(statement.replace("?", "%s") if values else statement, values or None)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return [
            tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in self.execute(query, *values)
        ]

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Evidence:
    """The county's database, the same a while before, what was kept outside both, and the log's key, should it be stolen."""

    url: str
    earlier: str
    notes: tuple[str, ...]
    keys: list[VerifierKey]
    leaves: bytes
    signer: Signer

    async def verify(self, desk: Desk | str, **given: Any) -> Report:
        url = desk if isinstance(desk, str) else desk.url
        return await verify_database(url, self.notes, self.keys, **given)


async def live_a_while(url: str, home: Path) -> Evidence:
    """A tranche is objected to, published, and paid; then receipts. Checkpoints of PAID and of SEALED entries are kept outside."""
    settings, resources = settings_for(Settings, home, url), {"ledger": open_ledger}
    async with running(settings, metadata, ROUTERS, handlers=HANDLERS, resources=resources) as live:
        county = County(live)
        tranche = await county.ready_tranche()
        notice = (await county.finance.get("/funds/v1/notices", subject=f"tranche:{tranche}")).json()["items"][0]["id"]
        path = f"/funds/v1/notices/{notice}/objections"
        objection = created(await county.who(Role.TOWN_OFFICE).post(path, {"text": "名单有误"}))["id"]
        answer = {"finding": "rejected", "text": "核实无误"}
        created(await county.who(Role.POVERTY_OFFICE).post(f"{path}/{objection}/answers", answer))
        live.pass_days(10)
        created(await county.pay(tranche))
        await county.seal()
        notes = [await _latest(county)]
        earlier = Desk(settings.url, home / "earlier.db")
        for number in range(SEALED - PAID):
            await county.source(f"R-{number}", RECEIVED_FEN + number)
        await county.seal()
        notes.append(await _latest(county))
        keys = read_keys((await county.finance.get("/funds/v1/log-key")).text)
        now = Desk(settings.url, home / "now.db")
        leaves = b"".join(row[0] for row in now.rows("select hash from log_node where level = 0 order by place"))
        for number in range(SEALED, LAST):
            await county.source(f"R-{number}", RECEIVED_FEN + number)
    now.close()
    earlier.close()
    signer = Signer.at(home / "keys" / "funds-log.key")
    return Evidence(settings.url, earlier.url, tuple(notes), keys, leaves, signer)


async def _latest(county: County) -> str:
    return (await county.finance.get("/funds/v1/checkpoints/latest")).text


def write_anew(desk: Desk, seq: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes what an entry says, and makes its hash, all links, the head, and every node of the log fit."""
    head = domain.genesis(BOOK)
    hashed = []
    for number, body, link in desk.rows("select seq, body, link from ledger_entry order by seq"):
        if number == seq:
            said = orjson.loads(body)
            change(said)
            body = domain.canonical(said)
        digest = domain.digest_of(body)
        prev, head = head.link, domain.Head(number, domain.link(head.link, number, digest))
        hashed.append(merkle.leaf_hash(domain.record(number, prev, head.link, body)))
        if head.link != link:
            desk.execute(
                "update ledger_entry set body = ?, digest = ?, link = ? where seq = ?", body, digest, head.link, number
            )
    desk.execute("update ledger_book set link = ?", head.link)
    ((sealed,),) = desk.rows("select max(size) from log_checkpoint")
    for (level, place), hash in merkle.grow([], 0, hashed[:sealed]):
        desk.execute("update log_node set hash = ? where level = ? and place = ?", hash, level, place)


def forge(desk: Desk, postings: Sequence[Posting], **given: Any) -> int:
    """Posts an entry as the ledger would, and nobody asked: its body, hash, link, postings, balances and the head all fit. Its number."""
    ((seq, link, body),) = desk.rows(
        "select e.seq, e.link, e.body from ledger_entry e join ledger_book b on b.seq = e.seq"
    )
    last = orjson.loads(body)
    day, at = date.fromisoformat(last["effective_on"]), datetime.fromisoformat(last["recorded_at"])
    said = {"book": BOOK, "kind": "paid", "ref": f"forged-{seq}", "actor": "payer-1", "division": COUNTY, **given}
    command = domain.Command(**said, effective_on=day, recorded_at=at.astimezone(UTC), postings=tuple(postings))
    number = int(seq) + 1
    linked = domain.link(link, number, command.digest)
    names = ("kind", "ref", "once", "request_hash", "actor", "division", "memo", "body", "digest")
    values = [getattr(command, name) for name in names]
    desk.execute(
        f"insert into ledger_entry (book, effective_on, recorded_at, seq, link, {', '.join(names)}) "
        f"select book, effective_on, recorded_at, ?, ?, {', '.join('?' * len(names))} from ledger_entry where seq = ?",
        number, linked, *values, seq,
    )  # fmt: skip
    for line, (account, fen, division) in enumerate(postings):
        desk.execute(
            "insert into ledger_posting (book, seq, line, account_id, division, amount_fen) "
            "select book, ?, ?, id, ?, ? from ledger_account where name = ?",
            number, line, division, fen, account.name,
        )  # fmt: skip
        desk.execute("update ledger_account set balance_fen = balance_fen + ? where name = ?", fen, account.name)
    desk.execute("update ledger_book set seq = ?, link = ?", number, linked)
    return number


def sign_anew(desk: Desk, signer: Signer, origin: str) -> str:
    """With the log's key stolen: every checkpoint gets the root that its entries now have, and a good signature. The last one."""
    leaves = [row[0] for row in desk.rows("select hash from log_node where level = 0 order by place")]
    note = ""
    for (size,) in desk.rows("select size from log_checkpoint order by size"):
        edge: list[bytes] = []
        merkle.grow(edge, 0, leaves[:size])
        checkpoint = Checkpoint(origin, size, merkle.fold(edge))
        note = signer.sign(checkpoint.text(), origin)
        desk.execute("update log_checkpoint set root = ?, note = ? where size = ?", checkpoint.root, note, size)
    return note
