"""The verifier of a whole database (核对账库): every entry, every projection, and the checkpoint that somebody kept outside.

A long book is verified in stretches, a process each; what they found is put together here: the tree's roots, the balances, the head.
"""

import asyncio
import gc
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import Any, NamedTuple

from services.funds.ledger import domain
from services.funds.ledger.domain import MAY_OVERDRAW, AccountKey
from services.funds.proofs import merkle
from services.funds.proofs.books import Source, open_source, raw
from services.funds.proofs.notes import Checkpoint, VerifierKey, open_checkpoint, read_unsigned
from services.funds.proofs.stretch import MAX_PROBLEMS, PAGE, Stretch, check_stretch
from services.funds.proofs.verify import Report

OWN_PROCESS = 64 * PAGE
"""So many entries are worth a process of their own."""

_BELOW_ALL = -(2**63)


async def verify_database(
    database: str, note: str, keys: Sequence[VerifierKey], *, log_only: bool = False, stretch: int = OWN_PROCESS
) -> Report:
    """Checks a ledger database against a checkpoint kept outside it; without keys the signature is not checked.

    Recomputes chain, Merkle root, postings and balances from the entries' own bytes; with `log_only` chain and root alone.
    `stretch`: the least entries that get a process of their own. Raises BadNote when the checkpoint is not one, OSError or the
    driver's error when the database cannot be read.
    """
    checkpoint = open_checkpoint(note, keys) if keys else read_unsigned(note)
    report = Report(checkpoint)
    if not keys:
        report.notes.append("no key was given: the checkpoint is believed, its signature was not checked")
    if log_only:
        report.notes.append("only the log was checked: neither columns nor postings nor balances")
    async with open_source(database) as source:
        await _Audit(database, source, checkpoint, report, log_only).run(stretch)
    report.problems.sort(key=lambda problem: (problem.entry is None, problem.entry))
    return report


class _Audit:
    def __init__(self, database: str, source: Source, checkpoint: Checkpoint, report: Report, log_only: bool) -> None:
        self.database, self.source, self.checkpoint = database, source, checkpoint
        self.report, self.log_only = report, log_only
        self.book = checkpoint.origin.rpartition("/")[2]
        self.head = domain.genesis(self.book)
        self.balances: defaultdict[int, int] = defaultdict(int)
        self.divisions: dict[int, str] = {}
        self.summed: dict[tuple[int, str], int] = defaultdict(int)
        self.ended_early = False

    async def run(self, stretch: int) -> None:
        accounts = [] if self.log_only else await self.source.rows("accounts", self.book)
        signed = {row[0]: raw(row[1]) for row in await self.source.rows("checkpoints", self.book)}
        ((last,),) = await self.source.rows("last", self.book)
        summed = await self.source.rows("summed", self.book)
        asked = _Asked([*signed, self.checkpoint.size], summed[0][0] if summed else 0, self.log_only)
        parts = [] if last is None else await self._stretches(last, asked, stretch)
        for part in parts:
            self._take(part)
            if part.ended_early or len(self.report.problems) > MAX_PROBLEMS:
                self.report.notes.append("more is wrong; the check ended early")
                self.ended_early = True
                break
        roots = self._roots(parts)
        first_wrong = min((p.entry for p in self.report.problems if p.entry is not None), default=None)
        for size in sorted(signed.keys() & roots.keys()):
            if signed[size] != roots[size] and (first_wrong is None or size < first_wrong):
                self.report.wrong(size, "the checkpoint that was signed after it has another root")
                break
        if not self.ended_early:
            if not self.log_only:
                self._totals(accounts)
                await self._sums(accounts)
            await self._heads()
            self._ending(roots.get(self.checkpoint.size))

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
        self.head = part.head

    def _roots(self, parts: Sequence[Stretch]) -> dict[int, bytes]:
        """The tree's root at every size that was asked for; up to the first entry that is missing."""
        roots: dict[int, bytes] = {}
        edge: list[bytes] = []
        pages = 0
        for part in parts:
            if part.first_page != pages:
                break
            for page in part.pages:
                roots |= {size: merkle.fold([*edge, *local]) for size, local in page.edge_at.items()}
                merkle.grow(edge, pages, page.edge[:1])
                pages += 1
            if not part.whole:
                break
        return roots

    def _totals(self, rows: Sequence[Any]) -> None:
        """The balances, and accounts that are not as they should be."""
        seen: set[AccountKey] = set()
        for id, name, kind, owner, earmark, division, may_overdraw, balance_fen in rows:
            key = AccountKey(kind, owner, earmark)
            if key in seen:
                self.report.wrong(None, f"account {key.name} is there twice")
            seen.add(key)
            if balance_fen != (posted_fen := self.balances.pop(id, 0)):
                self.report.wrong(None, f"account {key.name} holds {balance_fen} fen, its postings make {posted_fen}")
            expected = (key.name, self.divisions.get(id, division), kind in MAY_OVERDRAW)
            if (name, division, bool(may_overdraw)) != expected:
                self.report.wrong(None, f"account {key.name} was changed")
        for id in sorted(self.balances):
            self.report.wrong(None, f"account number {id} is missing")

    async def _sums(self, rows: Sequence[Any]) -> None:
        """The sums that answers are read from, against the postings that are in them."""
        kept = {tuple(row[:3]): row[3] for row in await self.source.rows("sums", self.book)}
        made: dict[tuple[str, str, str], int] = defaultdict(int)
        accounts = {row[0]: (row[4], row[2]) for row in rows}
        for (account, division), fen in self.summed.items():
            if account in accounts:  # one that is missing has been named
                made[*accounts[account], division] += fen
        for key in sorted(kept.keys() | made.keys()):
            if kept.get(key, 0) != made.get(key, 0):
                self.report.wrong(
                    None, f"the sum of {'/'.join(key)} is {kept.get(key, 0)} fen, its postings make {made.get(key, 0)}"
                )

    async def _heads(self) -> None:
        """The head, and what is left over behind it."""
        heads = await self.source.rows("head", self.book)
        if [(row[0], raw(row[1])) for row in heads] != ([tuple(self.head)] if self.report.entries else []):
            self.report.wrong(None, f"the head of the book is not its last entry, {self.head.seq}")
        if not self.log_only and (count := (await self.source.rows("orphans", self.book, self.head.seq))[0][0]):
            self.report.wrong(None, f"{count} postings belong to no entry")

    def _ending(self, root: bytes | None) -> None:
        if self.head.seq < self.checkpoint.size:
            self.report.truncated_at = self.head.seq
        elif root is not None and root != self.checkpoint.root and not self.report.problems:
            self.report.wrong(
                None, f"entries 1 to {self.checkpoint.size} are not those of the checkpoint; which one cannot be told"
            )
        if self.head.seq > self.checkpoint.size:
            self.report.notes.append(
                f"entries {self.checkpoint.size + 1} to {self.head.seq} are newer than the checkpoint: only their chain was checked"
            )


class _Asked(NamedTuple):
    """What is wanted of every stretch of a book: see `check_stretch`."""

    sizes: Sequence[int]
    summed: int
    log_only: bool


def _in_process(database: str, book: str, after: int, last: int, asked: _Asked) -> Stretch:
    async def check() -> Stretch:
        async with open_source(database) as source:
            return await check_stretch(source, book, after, last, **asked._asdict())

    gc.disable()  # this process lives for one stretch, and none of its millions of objects is in a circle
    return asyncio.run(check())
