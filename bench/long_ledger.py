"""A long, sealed ledger put straight into a database: what months of postings would have left there, in a minute."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import chain, islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bench.postings import Book
from services.funds.ledger import domain, store, sums
from services.funds.ledger.domain import MAY_OVERDRAW, AccountKey, Command
from services.funds.proofs import merkle
from services.funds.proofs import store as log
from services.funds.proofs.notes import Checkpoint, Signer
from services.funds.proofs.sequencer import SEAL_ENTRIES, origin_of
from shared.db import Database
from shared.rows import insert_rows

AT_ONCE = 20_000

Rows = list[tuple[Any, list[dict[str, Any]]]]
"""By table."""


def payments(book: Book, entries: int) -> Iterator[Command]:
    """The book's first entries: its accounts are filled, then paid from."""
    return islice(chain(book.fill(), (book.payment(n, hot=False) for n in range(entries))), entries)


async def enter(databases: Sequence[Database], code: str, commands: Iterable[Command], signer: Signer) -> str:
    """Enters these commands as entries 1, 2, … of a book in each database, seals them, and answers the last signed checkpoint."""
    laid = _Laid(code, signer)
    todo = iter(commands)
    async with AsyncExitStack() as open_ones:
        txs = [await open_ones.enter_async_context(database.write()) for database in databases]
        while some := list(islice(todo, AT_ONCE)):
            for command in some:
                laid.lay(command)
            await _insert(txs, laid.take())
        laid.seal()
        book = {"book": code, "seq": laid.head.seq, "link": laid.head.link}
        await _insert(txs, [*laid.take(), (store.account, laid.accounts()), (store.book, [book])])
        for tx in txs:
            await sums.add_up(tx, code, upto=laid.head.seq)
    return laid.note


async def _insert(txs: Sequence[AsyncConnection], rows: Rows) -> None:
    for table, some in rows:
        for tx in txs:
            await insert_rows(tx, table, some)


class _Laid:
    def __init__(self, code: str, signer: Signer) -> None:
        self.code, self.signer = code, signer
        self.head = domain.genesis(code)
        self.note = ""
        self._first_id = int(code) * 10_000_000
        self._ids: dict[AccountKey, int] = {}
        self._divisions: dict[AccountKey, str] = {}
        self._balances: dict[AccountKey, int] = {}
        self._rows: dict[Any, list[dict[str, Any]]] = {}
        self._edge: list[bytes] = []
        self._leaves: list[bytes] = []

    def lay(self, command: Command) -> None:
        seq, prev = self.head.seq + 1, self.head.link
        link = domain.link(prev, seq, command.digest)
        columns = ("kind", "ref", "once", "request_hash", "actor", "effective_on", "recorded_at", "division", "memo", "body", "digest")  # fmt: skip
        said = {name: getattr(command, name) for name in columns}
        self._add(store.entry, {"book": self.code, "seq": seq, **said, "link": link})
        for line, (account, fen, division) in enumerate(command.postings):
            id = self._ids.setdefault(account, self._first_id + len(self._ids))
            self._divisions.setdefault(account, division)
            self._balances[account] = self._balances.get(account, 0) + fen
            row = {"book": self.code, "seq": seq, "line": line, "account_id": id, "division": division}
            self._add(store.posting, {**row, "amount_fen": fen})
        self._leaves.append(merkle.leaf_hash(domain.record(seq, prev, link, command.body)))
        self.head = domain.Head(seq, link)
        self.at = command.recorded_at
        if len(self._leaves) == SEAL_ENTRIES:
            self.seal()

    def seal(self) -> None:
        if not self._leaves:
            return
        for (level, place), hash in merkle.grow(self._edge, self.head.seq - len(self._leaves), self._leaves):
            self._add(log.log_node, {"book": self.code, "level": level, "place": place, "hash": hash})
        self._leaves = []
        sealed = Checkpoint(origin_of(self.code), self.head.seq, merkle.fold(self._edge))
        self.note = self.signer.sign(sealed.text(), sealed.origin)
        row = {"book": self.code, "size": sealed.size, "root": sealed.root, "note": self.note, "signed_at": self.at}
        self._add(log.checkpoint, row)

    def take(self) -> Rows:
        rows, self._rows = self._rows, {}
        return list(rows.items())

    def accounts(self) -> list[dict[str, Any]]:
        return [
            {
                "id": id, "book": self.code, "name": key.name, "kind": key.kind, "owner": key.owner, "earmark": key.earmark,
                "division": self._divisions[key], "may_overdraw": key.kind in MAY_OVERDRAW, "balance_fen": self._balances[key],
            }
            for key, id in self._ids.items()
        ]  # fmt: skip

    def _add(self, table: Any, row: dict[str, Any]) -> None:
        self._rows.setdefault(table, []).append(row)
