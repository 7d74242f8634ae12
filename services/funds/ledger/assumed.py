"""What a writer assumes of its books: the state they will be in when all batches in flight are committed.

It is a guess that costs no read. A wrong one writes nothing: the batch compares the heads it was decided against with those
that are, and the unique keys of refs, onces and accounts stand behind.
"""

from collections.abc import Iterable
from typing import Any

from services.funds.ledger.domain import AccountKey, Command, Decided, Head, Known, Posted, genesis
from services.funds.ledger.pipe import Row
from services.funds.ledger.statements import bytes_of, instant_of, int_of, text_of

ACCOUNTS_KEPT = 100_000
"""Accounts remembered, over all books; the oldest are forgotten and read again when they are needed."""

ANSWERS_KEPT = 5_000
"""Refs, and onces, remembered of a book: far more than can be in flight. Older ones are found by their unique keys."""

BOOKS_KEPT = 64


class Book:
    __slots__ = ("fen", "head", "ids", "known", "new", "onces")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.fen: dict[AccountKey, int] = {}
        self.ids: dict[AccountKey, int] = {}
        self.new: set[AccountKey] = set()  # ids reserved, rows not made yet
        self.known: dict[str, Known] = {}
        self.onces: dict[str, int] = {}

    def learn(self, key: AccountKey, id: int, fen: int | None) -> None:
        """What was read of an account; without a balance it is still to be made."""
        self.ids[key] = id
        self.fen[key] = fen or 0
        if fen is None:
            self.new.add(key)
        else:
            self.new.discard(key)

    def knows_accounts_of(self, command: Command) -> bool:
        fen = self.fen
        return all(account in fen for account, _, _ in command.postings)

    def suppose(self, decided: Decided) -> None:
        """The batch is on its way: from here on its effects are assumed."""
        self.head = decided.head
        for key, delta in decided.deltas.items():
            self.fen[key] += delta
        self.new.difference_update(decided.deltas)
        self.known.update(decided.known)
        self.onces.update(decided.onces)

    def forget_accounts(self) -> None:
        self.fen.clear()
        self.ids.clear()
        self.new.clear()


class Assumed:
    """`epoch` counts up when everything is forgotten and when others have written: what was read before is then not learned,
    and what was looked up before is looked up again."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.epoch = 0

    def forget(self) -> None:
        self.books.clear()
        self.epoch += 1

    def book(self, code: str) -> Book:
        if (book := self.books.get(code)) is None:
            book = self.books[code] = Book(genesis(code))
        return book

    def unknown_accounts(self, commands: Iterable[Command]) -> list[tuple[str, AccountKey]]:
        """(book, account), each once."""
        named = {(command.book, account) for command in commands for account, _, _ in command.postings}
        return [(code, account) for code, account in named if account not in self.books[code].fen]

    def learn_accounts(self, keys: Iterable[tuple[str, AccountKey]], rows: Iterable[Row]) -> None:
        """The answer of `accounts`. What is known already was read twice, and may have been written since."""
        for (code, account), (number, fen) in zip(keys, rows, strict=True):
            if account not in self.books[code].fen:
                self.books[code].learn(account, int_of(number), None if fen is None else int_of(fen))

    def learn_moved(self, code: str, rows: Iterable[Row]) -> None:
        """The answer of `moved`: what others left of the accounts of a book."""
        book = self.books[code]
        for kind, owner, earmark, number, fen in rows:
            key = AccountKey(text_of(kind), text_of(owner), text_of(earmark))
            if key in book.fen:
                book.learn(key, int_of(number), int_of(fen))

    def learn_entries(self, rows: Iterable[Row]) -> None:
        """The answer of `entries`."""
        for code, ref, once, request_hash, seq, link, at in rows:
            book, number = self.books[text_of(code)], int_of(seq)
            book.known[text_of(ref)] = Known(bytes_of(request_hash), Posted(number, bytes_of(link), instant_of(at)))
            if once is not None:
                book.onces[text_of(once)] = number

    def trim(self) -> None:
        """Forgets the oldest. Only while no account is being read: a value read before could come after one forgotten."""
        accounts = ACCOUNTS_KEPT // max(1, len(self.books))
        for book in self.books.values():
            while len(book.fen) > accounts:
                key = _drop_first(book.fen)
                book.ids.pop(key)
                book.new.discard(key)
            while len(book.known) > ANSWERS_KEPT:
                _drop_first(book.known)
            while len(book.onces) > ANSWERS_KEPT:
                _drop_first(book.onces)


def _drop_first(kept: dict[Any, Any]) -> Any:
    first = next(iter(kept))
    del kept[first]
    return first
