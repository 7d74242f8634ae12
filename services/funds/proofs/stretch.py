"""A stretch of a book (账段), verified page by page: the page at once when all of it is right, entry by entry when not.

Two stretches know nothing of each other, so each can have a process of its own; `audit` puts together what they found.
"""

import struct
from binascii import hexlify
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from services.funds.ledger import domain
from services.funds.ledger.domain import AccountKey, AccountKind, Head, Posting
from services.funds.proofs import merkle
from services.funds.proofs.books import PAGE_LEVEL, Source, raw
from services.funds.proofs.lists import LIST, LISTED, PAID, Lists
from services.funds.proofs.verify import Problem

PAGE = 1 << PAGE_LEVEL
"""Entries read at once."""

MAX_PROBLEMS = 100
"""After so many the verifier counts no more: something is thoroughly wrong."""

_SAID = ("kind", "ref", "once", "actor", "effective_on", "recorded_at", "division", "memo")
_COLUMNS = itemgetter(*_SAID)
_LINE = itemgetter("kind", "owner", "earmark", "division", "amount_fen")
_POSTINGS, _RECORDED = b',"postings":[', b'],"recorded_at":"'
_OPENS = b'{"amount_fen":'
_FIRST, _NEXT = '\n{"amount_fen":', ',{"amount_fen":'
"""No body has a line break: what stands between two cannot be the half of one posting and the half of the next."""

Tally = defaultdict[tuple[int, str], int]

Levels = list[list[bytes]]
"""The complete nodes over a page's entries: its leaves, then level by level."""

Nodes = Mapping[merkle.Node, bytes]

_LEAF = b"\x00" + domain.RECORD
_NOWHERE = AccountKey("", "", "")


@dataclass(frozen=True, slots=True)
class Page:
    """What a page adds to the log's tree: its own right edge, and what that edge was at the sizes asked for."""

    edge: list[bytes]
    edge_at: dict[int, list[bytes]]


class Bound(NamedTuple):
    """What an entry says of the decisions and the notice that opened its door, and of what. `details`: without the accounts."""

    seq: int
    version: int
    kind: str
    effective_on: str
    recorded_at: str
    approvals: Sequence[Mapping[str, str]]
    notice: Mapping[str, Any] | None
    details: Mapping[str, Any]


@dataclass(slots=True)
class Stretch:
    """What was found in the entries over `after`: `first_page` is where its pages stand in the tree, `head` its last entry.

    `whole`: no entry is missing. `ended_early`: too much is wrong. `summed` and `since`: fen by account and division, of the entries
    up to the one to which the ledger keeps sums, and of those after it; accounts stand in the order of their first postings.
    `bound`: of the entries that bind decisions, a notice or a list. `unopened`: the first MAX_PROBLEMS that pay households and
    do not bind all three.
    """

    after: int
    head: Head
    first_page: int = 0
    whole: bool = True
    ended_early: bool = False
    entries: list[range] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    summed: Tally = field(default_factory=lambda: defaultdict(int))
    since: Tally = field(default_factory=lambda: defaultdict(int))
    bound: list[Bound] = field(default_factory=list)
    unopened: list[int] = field(default_factory=list)


async def check_stretch(
    source: Source,
    book: str,
    after: int,
    last: int,
    *,
    sizes: Sequence[int],
    sealed: int = 0,
    summed: int = 0,
    log_only: bool = False,
) -> Stretch:
    """Verifies the entries of a book with numbers over `after` (a multiple of PAGE, or below 1) up to `last`.

    `sizes`: of the checkpoints whose roots are wanted. `sealed`: entries in the log, of which it keeps the nodes. `summed`: the entry to which the ledger keeps sums. `log_only`: links and
    tree, neither columns nor postings.
    """
    before = await source.rows("before", book, after)
    head = Head(before[0][0], raw(before[0][1])) if before else domain.genesis(book)
    rows = [] if log_only else await source.rows("accounts", book)
    accounts = {row[0]: AccountKey(row[2], row[3], row[4]) for row in rows}
    reader = _Reader(source, book, accounts, sizes, sealed, summed, log_only)
    reader.found = Stretch(after, head, first_page=max(0, after) >> PAGE_LEVEL)
    await reader.read(after, last)
    return reader.found


class _Rests(dict[tuple[int, str], str]):
    """What bodies write of a posting after its amount, by account and division."""

    def __init__(self, accounts: Mapping[int, AccountKey]) -> None:
        self._accounts = accounts

    def __missing__(self, key: tuple[int, str]) -> str:
        (kind, owner, earmark), division = self._accounts[key[0]], key[1]
        named = {"division": division, "earmark": earmark, "kind": kind, "owner": owner}
        self[key] = rest = "," + domain.canonical(named)[1:].decode()
        return rest


def _parted(body: bytes) -> tuple[bytes, bytes]:
    """A body without its postings, and these as they are written. Raises ValueError when it is not built as ours are.

    What follows the postings holds no brace but the last: so they are those of the body itself, and not of its details.
    """
    at, end = body.index(_POSTINGS) + len(_POSTINGS), body.rindex(_RECORDED)
    if at > end or body.find(b"}", end) != len(body) - 1:
        raise ValueError("another shape")
    return body[:at] + body[end:], body[at:end]


class _Reader:
    found: Stretch

    def __init__(
        self,
        source: Source,
        book: str,
        accounts: dict[int, AccountKey],
        sizes: Sequence[int],
        sealed: int,
        summed: int,
        log_only: bool,
    ) -> None:
        self.source, self.book, self.accounts = source, book, accounts
        self.sealed, self.summed, self.log_only = sealed, summed, log_only
        self.top = 0 if log_only else PAGE_LEVEL
        self.rests = _Rests(accounts)
        self.sizes = frozenset(sizes)
        self.homes = frozenset(id for id, key in accounts.items() if key.kind == AccountKind.HOUSEHOLD)
        self.lists = Lists(source)
        self.listed: dict[int, Mapping[str, Any]] = {}

    async def read(self, after: int, last: int) -> None:
        read_to = self.found.head.seq if after > 0 else after
        while after < last:
            end = min(after - after % PAGE + PAGE, last)
            entries = await self.source.rows("links" if self.log_only else "entries", self.book, read_to, end)
            if not entries:
                ((following,),) = await self.source.rows("next", self.book, end)
                if following is None or following > last:
                    break
                after = (following - 1) // PAGE * PAGE
                continue
            to = entries[-1][0]
            posted = [] if self.log_only else await self.source.rows("postings", self.book, read_to, to)
            await self._page(entries, posted)
            if len(self.found.problems) > MAX_PROBLEMS:
                self.found.ended_early = True
                break
            after, read_to = end, to

    async def _page(self, entries: Sequence[Any], posted: Sequence[Any]) -> None:
        start = self.found.head.seq
        kept = start, min(start + len(entries), self.sealed)
        levels = self._at_once(entries, posted, await self.source.rows("nodes", self.book, *kept, self.top))
        if levels is None:
            kept = max(0, entries[0][0] - 1), min(entries[-1][0], self.sealed)
            rows = await self.source.rows("nodes one by one", self.book, *kept)
            nodes = {(row[0], row[1]): raw(row[2]) for row in rows}
            if len(nodes) != len(rows):
                self._wrong(entries[0][0], "a node of the log over it, or over an entry soon after it, is there twice")
            levels = self._one_by_one(start, entries, posted, nodes)
        if self.found.whole:
            self.found.pages.append(self._grown(start, levels))
        if self.listed:
            await self._check_lists(posted)

    def _at_once(self, entries: Sequence[Any], posted: Sequence[Any], nodes: Sequence[Any]) -> Levels | None:
        """The tree over a page of which everything is right; None when something is not, or cannot be read."""
        head, n = self.found.head, len(entries)
        if head.seq % PAGE or (entries[0][0], entries[-1][0]) != (head.seq + 1, head.seq + n):
            return None
        seqs, bodies, digests, links, *columns = zip(*entries, strict=True)
        packed = struct.pack(f">{n}q", *seqs)
        numbers = [packed[at : at + 8] for at in range(0, 8 * n, 8)]
        try:
            if [sha256(body).digest() for body in bodies] != list(digests):
                return None
            prevs = (head.link, *links[:-1])
            if [sha256(p + s + d).digest() for p, s, d in zip(prevs, numbers, digests, strict=True)] != list(links):
                return None
            hexes = [hexlify(link) for link in (head.link, *links)]
            records = zip(bodies, hexes[1:], hexes, seqs, strict=False)
            hashed = [sha256(_LEAF % record).digest() for record in records]
            levels = _levels(hashed)
            if [tuple(row) for row in nodes] != self._kept(head.seq, levels):
                return None
            if not self.log_only and not self._said(seqs, bodies, columns[0], columns[1:], posted):
                return None
        except (ValueError, KeyError, TypeError, struct.error):
            return None
        self._add(posted)
        self.found.entries.append(range(seqs[0], seqs[-1] + 1))
        self.found.head = Head(seqs[-1], links[-1])
        return levels

    def _kept(self, start: int, levels: Levels) -> list[tuple[int, str, bytes]]:
        """What the log keeps of a page's tree: by level the places of the nodes, and their hashes, each in one."""
        upto = min(start + len(levels[0]), self.sealed)
        places = [range(start >> level, upto >> level) for level in range(min(len(levels), self.top + 1))]
        return [(n, ",".join(map(str, at)), b"".join(levels[n][: len(at)])) for n, at in enumerate(places) if at]

    def _said(
        self,
        seqs: Sequence[int],
        bodies: Sequence[bytes],
        asked: Sequence[bytes],
        columns: Sequence[Sequence[Any]],
        posted: Sequence[Any],
    ) -> bool:
        """Whether columns and postings are exactly those that the bodies say."""
        parted = [_parted(body) for body in bodies]
        said = [orjson.loads(rest) for rest, _ in parted]
        same = (
            list(map(_COLUMNS, said)) == list(zip(*columns, strict=True))
            and [one["request_hash"] for one in said] == [hexlify(hash).decode() for hash in asked]
            and all(one["book"] == self.book for one in said)
            and self._posted_as_written(seqs, [written for _, written in parted], posted)
        )
        if same:
            self._bind(seqs, said, posted)
        return same

    def _bind(self, seqs: Sequence[int], said: Sequence[Mapping[str, Any]], posted: Sequence[Any]) -> None:
        unopened = {row[0] for row in posted if row[2] in self.homes}
        for seq, one in zip(seqs, said, strict=True):
            approvals, notice, details = one["approvals"], one["notice"], one["details"]
            if not (approvals or notice or LIST in details):
                continue
            if LIST in details and one["kind"] in LISTED:
                self.listed[seq] = one
                if one["kind"] == PAID and approvals and notice:
                    unopened.discard(seq)
            told = {name: value for name, value in details.items() if name != "payees"}
            when = one["effective_on"], one["recorded_at"]
            self.found.bound.append(Bound(seq, one["version"], one["kind"], *when, approvals, notice, told))
        self.found.unopened += sorted(unopened)[: MAX_PROBLEMS - len(self.found.unopened)]

    async def _check_lists(self, posted: Sequence[Any]) -> None:
        """Of the entries of a page that move a tranche's money."""
        moved: dict[int, list[Posting]] = {seq: [] for seq in self.listed}
        for seq, _, account, division, fen in posted:
            if seq in moved:
                moved[seq].append(Posting(self.accounts.get(account, _NOWHERE), fen, division))
        named = {problem.entry for problem in self.found.problems}
        for seq, said in self.listed.items():
            if seq not in named and (what := await self.lists.problem(said, moved[seq])):
                self._wrong(seq, what)
        self.listed = {}

    def _posted_as_written(self, seqs: Sequence[int], written: Sequence[bytes], posted: Sequence[Any]) -> bool:
        """Whether the postings, written as bodies write them, are these texts, one an entry. Nothing is parsed."""
        if not posted:
            return not any(written)
        numbers, lines, accounts, divisions, fens = zip(*posted, strict=True)
        counts = [text.count(_OPENS) for text in written]
        if numbers != tuple(chain.from_iterable(map(repeat, seqs, counts))):
            return False
        if lines != tuple(chain.from_iterable(map(range, counts))):
            return False
        openings = [_NEXT if line else _FIRST for line in lines]
        rests = map(self.rests.__getitem__, zip(accounts, divisions, strict=True))
        text = "".join(chain.from_iterable(zip(openings, map(str, fens), rests, strict=True)))
        return text.encode() == b"".join(b"\n" + text for text in written if text)

    def _grown(self, start: int, levels: Levels) -> Page:
        hashed = levels[0]

        def edge(size: int) -> list[bytes]:
            return [levels[level][place] for level, place in merkle.root_nodes(size)]

        wanted = self.sizes.intersection(range(start + 1, start + len(hashed) + 1))
        return Page(edge(len(hashed)), {size: edge(size - start) for size in sorted(wanted)})

    def _add(self, posted: Sequence[Any]) -> None:
        """Adds postings of entries in their order to the tallies."""
        if not posted:
            return
        seqs, _, accounts, divisions, fens = zip(*posted, strict=True)
        cut = bisect_right(seqs, self.summed)
        lines = zip(zip(accounts, divisions, strict=True), fens, strict=True)
        for tally, some in ((self.found.summed, islice(lines, cut)), (self.found.since, lines)):
            for place, fen in some:
                tally[place] += fen

    # What follows names what is wrong

    def _one_by_one(self, start: int, entries: Sequence[Any], posted: Sequence[Any], nodes: Nodes) -> Levels:
        lines: dict[int, list[Any]] = {}
        for *line, fen in posted:
            lines.setdefault(line[0], []).append((*line, fen if isinstance(fen, int) else 0))  # no body has a 0
        before = len(self.found.problems)
        levels = _levels([self._entry(row, lines, nodes) for row in entries])
        if self.found.whole and len(self.found.problems) == before:
            self._nodes(start, levels, nodes)
        for seq in lines:
            self._wrong(seq, "it is missing, and postings of it are there")
        return levels

    def _nodes(self, start: int, levels: Levels, nodes: Nodes) -> None:
        """Names the first node of the log that is not made of the entries under it: a later root would be made of it."""
        for level in range(1, len(levels)):
            for place, hash in enumerate(levels[level], start >> level):
                if (place + 1) << level <= self.sealed and nodes.get((level, place)) != hash:
                    first, last = (place << level) + 1, (place + 1) << level
                    self._wrong(first, f"the log's node over the entries {first} to {last} is not made of them")
                    return

    def _wrong(self, seq: int, what: str) -> None:
        self.found.problems.append(Problem(seq, what))

    def _entry(self, row: Any, lines: dict[int, list[Any]], nodes: Nodes) -> bytes:
        found, head = self.found, self.found.head
        seq, body, digest, linked = row[0], raw(row[1]), raw(row[2]), raw(row[3])
        if seq < 1:
            self._wrong(seq, "an entry cannot have this number")
            found.whole = False
            return b""
        for missing in range(head.seq + 1, min(seq, head.seq + 1 + MAX_PROBLEMS)):
            self._wrong(missing, "it is missing")
            self._add(lines.pop(missing, []))
            found.whole = False  # nothing more can be said about the root
        posted = lines.pop(seq, [])
        self._add(posted)
        hashed = merkle.leaf_hash(domain.record(seq, head.link, linked, body))
        if domain.digest_of(body) != digest:
            what = "its body was edited: it does not have its hash any more"
        elif domain.link(head.link, seq, digest) != linked:
            what = "its link does not follow from it and the entry before it"
        elif seq <= self.sealed and nodes.get((0, seq - 1)) != hashed:
            what = "it is not the one that was sealed"
        else:
            what = "" if self.log_only else self._difference(row, body, posted)
        if what:
            self._wrong(seq, what)
        found.entries.append(range(seq, seq + 1))
        found.head = Head(seq, linked)
        return hashed

    def _difference(self, row: Any, body: bytes, posted: Sequence[Any]) -> str:
        """Where the columns and postings differ from what the entry's body says; "" when they do not."""
        try:
            said = orjson.loads(body)
            lines = [_LINE(line) for line in said["postings"]]
            columns = tuple(row[5:])
            if not ({"version", "approvals", "notice"} <= said.keys() and isinstance(said["details"], dict)):
                return "its body cannot be read"
            if columns != _COLUMNS(said) and (
                wrong := [name for name, value in zip(_SAID, columns, strict=True) if value != said[name]]
            ):
                return f"its columns say otherwise than its body: {', '.join(wrong)}"
            if said["book"] != self.book or said["request_hash"] != raw(row[4]).hex():
                return "its columns say otherwise than its body: book or request_hash"
        except (ValueError, KeyError, TypeError):
            return "its body cannot be read"
        self._bind([row[0]], [said], posted)
        found = [(*self.accounts.get(account, _NOWHERE), division, fen) for _, _, account, division, fen in posted]
        if found != lines or any(line[1] != at for at, line in enumerate(posted)):
            return "its postings are not those of its body"
        return ""


def _levels(leaves: list[bytes]) -> Levels:
    levels = [leaves]
    while len(row := levels[-1]) > 1:
        levels.append([merkle.node_hash(a, b) for a, b in zip(row[::2], row[1::2], strict=False)])
    return levels
