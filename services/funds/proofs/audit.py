"""The verifier of a whole database (核对账库): every entry, every projection, and the checkpoint that somebody kept outside.

A long book is verified in stretches, a process each; what they found is put together here: the tree's roots, the balances, the head.
"""

import asyncio
import gc
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

from services.funds.ledger import domain
from services.funds.ledger.domain import MAY_OVERDRAW, AccountKey
from services.funds.proofs import acts, merkle
from services.funds.proofs.books import PAGE_LEVEL, Source, open_source, raw
from services.funds.proofs.kept import LEAF_BYTES, Kept
from services.funds.proofs.notes import BadNote, Checkpoint, NotSigned, VerifierKey, open_checkpoint, read_unsigned
from services.funds.proofs.stretch import MAX_PROBLEMS, PAGE, Bound, Stretch, check_stretch
from services.funds.proofs.verify import Report

OWN_PROCESS = 64 * PAGE
"""So many entries are worth a process of their own."""

_BELOW_ALL = -(2**63)


async def verify_database(
    database: str,
    note: str | Sequence[str],
    keys: Sequence[VerifierKey],
    *,
    witnesses: Sequence[VerifierKey] = (),
    leaves: bytes = b"",
    log_only: bool = False,
    stretch: int = OWN_PROCESS,
) -> Report:
    """Checks a ledger database against checkpoints kept outside it; without keys their signatures are not checked.

    Recomputes chain, tree, postings, balances and what opened the door from the entries' own bytes; with `log_only` chain, leaves and root
    alone. `witnesses`: the newest checkpoint must carry the signature of one of these too. `leaves`: the leaf hashes that a witness
    kept; a history written anew is then named to the entry. `stretch`: the least entries that get a process of their own.
    Raises BadNote when a note is no checkpoint, OSError or the driver's error when the database cannot be read.
    """
    kept = Kept.open([note] if isinstance(note, str) else note, keys, witnesses)
    report = Report(kept.newest)
    if not keys:
        report.notes.append("no key was given: the checkpoint is believed, its signature was not checked")
    if log_only:
        report.notes.append("only the log was checked: neither columns nor postings nor balances")
    async with open_source(database) as source:
        await _Audit(database, source, kept, keys, report, log_only, leaves).run(stretch)
    report.problems.sort(key=lambda problem: (problem.entry is None, problem.entry))
    return report


class _Audit:
    def __init__(
        self,
        database: str,
        source: Source,
        kept: Kept,
        keys: Sequence[VerifierKey],
        report: Report,
        log_only: bool,
        leaves: bytes,
    ) -> None:
        self.database, self.source, self.kept, self.keys = database, source, kept, keys
        self.checkpoint = kept.newest
        self.report, self.log_only, self.leaves = report, log_only, leaves
        self.book = self.checkpoint.origin.rpartition("/")[2]
        self.head = domain.genesis(self.book)
        self.balances: defaultdict[int, int] = defaultdict(int)
        self.divisions: dict[int, str] = {}
        self.summed: dict[tuple[int, str], int] = defaultdict(int)
        self.bound: list[Bound] = []
        self.unopened: list[int] = []
        self.upper: dict[merkle.Node, bytes] = {}
        self.ended_early = False
        self.signed = 0

    async def run(self, stretch: int) -> None:
        accounts = [] if self.log_only else await self.source.rows("accounts", self.book)
        own = self._own(await self.source.rows("checkpoints", self.book))
        sealed = max(own, default=0)
        ((last,),) = await self.source.rows("last", self.book)
        summed = await self.source.rows("summed", self.book)
        if len(summed) > 1:
            self.report.wrong(None, "up to which entry the sums reach is there twice")
        sizes = sorted({*own, *self.kept.roots})
        asked = _Asked(sizes, sealed, (summed[0][0] or 0) if summed else 0, self.log_only)
        parts = [] if last is None else await self._stretches(last, asked, stretch)
        for part in parts:
            self._take(part)
            if part.ended_early or len(self.report.problems) > MAX_PROBLEMS:
                self.report.notes.append("more is wrong; the check ended early")
                self.ended_early = True
                break
        roots = self._roots(parts, sealed)
        await self._history(roots, own)
        if not self.ended_early:
            if not self.log_only:
                self._totals(accounts)
                await self._sums(accounts)
                await acts.check(self.source, self.book, self.bound, self.report, self.unopened)
            await self._nodes(sealed, whole=all(part.whole for part in parts))
            await self._heads()
            self._ending(own)

    def _own(self, rows: Sequence[Any]) -> dict[int, bytes]:
        """Size → root of the checkpoints in the database that are as they were signed; names the others, and those of unknown keys."""
        own: dict[int, bytes] = {}
        unknown: list[int] = []
        for size, root, note in rows:
            said = Checkpoint(self.checkpoint.origin, size, raw(root))
            shown, signed = _shown(note, self.keys)
            if shown != said or size in own:
                self.report.wrong(None, f"the database's checkpoint of {size} entries was changed, or is there twice")
                continue
            own[size] = said.root
            if signed:
                self.signed = max(self.signed, size)
            else:
                unknown.append(size)
        if unknown and self.keys:
            self.report.wrong(
                None,
                f"none of the given keys signed {len(unknown)} checkpoints of the database (of {unknown[0]} to {unknown[-1]} entries): "
                "if the log's key was rotated, get its new verifier key by hand and check again; if not, somebody else signed them",
            )
        return own

    async def _stretches(self, last: int, asked: "_Asked", least: int) -> list[Stretch]:
        """Processes read the rows up to `last` each in a view of its own: what was added since is not looked at, and the rest never changes."""
        workers = min(os.cpu_count() or 1, max(1, last // least))
        if workers == 1:
            return [await check_stretch(self.source, self.book, _BELOW_ALL, last, **asked._asdict())]
        pages = -(-last // PAGE)
        starts = [pages * n // workers * PAGE for n in range(workers)]
        ends = [*starts[1:], last]
        starts[0] = _BELOW_ALL
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            jobs = [
                loop.run_in_executor(pool, _in_process, self.database, self.book, start, end, asked)
                for start, end in zip(starts, ends, strict=True)
            ]
            return await asyncio.gather(*jobs)

    def _take(self, part: Stretch) -> None:
        self.report.problems += part.problems
        for numbers in part.entries:
            self.report.entries.extend(numbers)
        for (account, division), fen in chain(part.summed.items(), part.since.items()):
            self.divisions.setdefault(account, division)
            self.balances[account] += fen
        for place, fen in part.summed.items():
            self.summed[place] += fen
        self.bound += part.bound
        self.unopened += part.unopened
        self.head = part.head

    def _roots(self, parts: Sequence[Stretch], sealed: int) -> dict[int, bytes]:
        """The tree's root at every size that was asked for; up to the first entry that is missing. Keeps the log's upper nodes."""
        roots: dict[int, bytes] = {}
        edge: list[bytes] = []
        pages = 0
        for part in parts:
            if part.first_page != pages:
                break
            for page in part.pages:
                roots |= {size: merkle.fold([*edge, *local]) for size, local in page.edge_at.items()}
                made = merkle.grow(edge, pages, page.edge[:1])
                pages += 1
                if pages <= sealed >> PAGE_LEVEL:
                    self.upper |= {(level + PAGE_LEVEL, place): hash for (level, place), hash in made[1:]}
            if not part.whole:
                break
        return roots

    async def _history(self, roots: Mapping[int, bytes], own: Mapping[int, bytes]) -> None:
        """Whether the tree had the roots that were signed. Says where it was written anew, as closely as what was kept allows."""
        first_wrong = min((p.entry for p in self.report.problems if p.entry is not None), default=None)
        anchors = sorted({*own.items(), *self.kept.roots.items()})
        wrong = [size for size, root in anchors if size in roots and roots[size] != root]
        if not wrong or (first_wrong is not None and first_wrong <= wrong[0]):
            return
        upto, outside = wrong[0], self.kept.roots
        agreeing = [size for size, root in outside.items() if roots.get(size) == root]
        if max(agreeing, default=0) >= upto:
            self.report.wrong(None, f"the database's checkpoint of {upto} entries has another root than they have")
            return
        after = max(
            agreeing, default=0
        )  # what the database holds itself may have been signed after it was written anew
        if self.leaves and (first := await self._first_unlike(upto)):
            self.report.wrong(first, "it is not the one that was witnessed; what follows was made to fit")
        elif after + 1 == upto:
            self.report.wrong(upto, "it is not the one under the signed root")
        else:
            what = f"it, or one after it up to entry {upto}, is not the one under the signed root: which one cannot be told"
            self.report.wrong(after + 1, what)

    async def _first_unlike(self, upto: int) -> int | None:
        """The first entry whose leaf is not the one a witness kept; None when what it kept does not make the root of its checkpoint."""
        at = max((size for size in self.kept.roots if size * LEAF_BYTES <= len(self.leaves)), default=0)
        kept = [self.leaves[n : n + LEAF_BYTES] for n in range(0, at * LEAF_BYTES, LEAF_BYTES)]
        edge: list[bytes] = []
        merkle.grow(edge, 0, kept)
        if merkle.fold(edge) != self.kept.roots.get(at):
            self.report.notes.append("the leaves that were kept do not make the root of their checkpoint: not used")
            return None
        link = domain.genesis(self.book).link
        for start in range(0, min(upto, at), PAGE):
            for seq, body, _, linked in await self.source.rows("links", self.book, start, min(upto, at, start + PAGE)):
                if merkle.leaf_hash(domain.record(seq, link, raw(linked), raw(body))) != kept[seq - 1]:
                    return int(seq)
                link = raw(linked)
        return None

    async def _nodes(self, sealed: int, *, whole: bool) -> None:
        """The log's nodes above pages, and those there should not be."""
        if strays := await self.source.rows("nodes too many", self.book, sealed):
            level, place = strays[0]
            what = f"the log has {len(strays)} nodes too many, the first at level {level}, place {place}"
            self.report.wrong(None, what)
        found = {(row[0], row[1]): raw(row[2]) for row in await self.source.rows("nodes above", self.book)}
        if whole and not self.report.problems and (other := found.items() ^ self.upper.items()):
            level, place = min(other)[0]
            first, last = (place << level) + 1, (place + 1) << level
            self.report.wrong(first, f"the log's node over the entries {first} to {last} is not made of them")

    def _totals(self, rows: Sequence[Any]) -> None:
        """The balances, and accounts that are not as they should be."""
        seen: set[AccountKey] = set()
        for id, name, kind, owner, earmark, division, may_overdraw, balance_fen in rows:
            key = AccountKey(str(kind), str(owner), str(earmark))
            if key in seen:
                self.report.wrong(None, f"account {key.name} is there twice")
            seen.add(key)
            if balance_fen != (posted_fen := self.balances.pop(id, 0)):
                self.report.wrong(None, f"account {key.name} holds {balance_fen} fen, its postings make {posted_fen}")
            elif balance_fen < 0 and kind not in MAY_OVERDRAW:
                self.report.wrong(None, f"account {key.name} gave {-balance_fen} fen that it did not have")
            expected = (key.name, self.divisions.get(id, division), kind in MAY_OVERDRAW)
            if (name, division, may_overdraw) != expected:
                self.report.wrong(None, f"account {key.name} was changed")
        for id in sorted(self.balances, key=str):
            self.report.wrong(None, f"account number {id} is missing")

    async def _sums(self, accounts: Sequence[Any]) -> None:
        """The sums that answers are read from, against the postings that are in them."""
        kept: dict[tuple[str, str, str], int] = defaultdict(int)
        rows = await self.source.rows("sums", self.book)
        rows = [row for row in rows if isinstance(row[3], int)]  # whatever else stands there is no sum
        for earmark, kind, division, fen in rows:
            kept[str(earmark), str(kind), str(division)] += fen
        if len(kept) != len(rows):
            self.report.wrong(None, "a sum is there twice")
        made: dict[tuple[str, str, str], int] = defaultdict(int)
        named = {row[0]: (str(row[4]), str(row[2])) for row in accounts}
        for (account, division), fen in self.summed.items():
            if account in named:  # one that is missing has been named
                made[*named[account], str(division)] += fen
        for key in sorted(kept.keys() | made.keys()):
            if kept.get(key) != made.get(key):  # a sum of 0 fen is there too once there was a posting
                self.report.wrong(
                    None, f"the sum of {'/'.join(key)} is {kept.get(key)} fen, its postings make {made.get(key)}"
                )

    async def _heads(self) -> None:
        """The head, and what is left over behind it."""
        heads = await self.source.rows("head", self.book)
        if [(row[0], raw(row[1])) for row in heads] != ([tuple(self.head)] if self.report.entries else []):
            self.report.wrong(None, f"the head of the book is not its last entry, {self.head.seq}")
        if not self.log_only and (count := (await self.source.rows("orphans", self.book, self.head.seq))[0][0]):
            self.report.wrong(None, f"{count} postings belong to no entry")
        for (book,) in [] if self.log_only else await self.source.rows("headless"):
            self.report.wrong(None, f"there are postings in book {book}, which does not exist")
        if others := await self.source.rows("other books", self.book):
            said = ", ".join(str(row[0]) for row in others)
            self.report.notes.append(f"not checked: books {said}; each has a log, and checkpoints, of its own")

    def _ending(self, own: Mapping[int, bytes]) -> None:
        held, last, sealed = self.checkpoint.size, self.head.seq, max(own, default=0)
        if gone := sorted(size for size in self.kept.roots.keys() - own.keys() if size <= sealed):
            self.report.notes.append(
                f"a checkpoint of {gone[0]} entries was kept outside and is not among the database's own: "
                "it was deleted, or an older copy was put back and sealed anew"
            )
        if self.head.seq < self.checkpoint.size:
            self.report.truncated_at = last
        elif sealed < held:
            self.report.wrong(
                None,
                f"the database's own log ends with entry {sealed}, the checkpoint kept outside with {held}: "
                "an older copy was put back, or checkpoints were deleted",
            )
        if last > held:
            said = f"entries {held + 1} to {last} are newer than the checkpoint kept outside and not covered by it: "
            said += "only their chain was checked"
            if self.signed > held:
                said += f"; up to {min(self.signed, last)} the database's own checkpoints, which the log's key signed, agree"
            self.report.notes.append(said)


def _shown(note: Any, keys: Sequence[VerifierKey]) -> tuple[Checkpoint | None, bool]:
    """What a note in the database says, None when it is none or a known key's signature is wrong; whether one of the keys signed it."""
    try:
        try:
            return open_checkpoint(note, keys), True
        except NotSigned:
            return read_unsigned(note), False
    except (BadNote, AttributeError, TypeError):
        return None, False


class _Asked(NamedTuple):
    """What is wanted of every stretch of a book: see `check_stretch`."""

    sizes: Sequence[int]
    sealed: int
    summed: int
    log_only: bool


def _in_process(database: str, book: str, after: int, last: int, asked: _Asked) -> Stretch:
    async def check() -> Stretch:
        async with open_source(database) as source:
            return await check_stretch(source, book, after, last, **asked._asdict())

    gc.disable()  # this process lives for one stretch, and none of its millions of objects is in a circle
    return asyncio.run(check())
