"""What may be posted, and what a batch of commands does to a book. Pure: the statements are the store's.

Source of the design: handbook ledger-and-audit.md (earmark in the key, limits on the account, canonical bytes bind everything).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.errors import Refusal
from shared.money import MAX_FEN, yuan
from shared.scope import is_division

VERSION = 2
"""Of an entry's body. 2: approvals, notice and objections carry the digests of their rows (docs/decisions/0024)."""

MAX_POSTINGS = 20_000
"""Postings of one entry: a tranche to every poor household of a county, from several funds, is one entry."""

MAX_BALANCE_FEN = 2**53 - 1
"""The largest integer that RFC 8785 can write; far above MAX_FEN."""

CHECKED = 32_768
"""Accounts whose names are known to be well formed: each is named again and again."""

_KIND = re.compile(r"[a-z_]{1,32}")
_BOOK = re.compile(r"\d{6}")

REFUSED = "refused"
"""The one kind of entry that moves no money: it puts a refusal (拒付记录) on record."""


class AccountKind(StrEnum):
    """Where money can be (账户类别)."""

    SOURCE = "source"  # 资金来源: the world outside, from which a fund comes
    FUND = "fund"  # 专项资金: received, not yet allocated
    PROJECT = "project"  # 项目: allocated, not yet in a tranche
    HOLD = "hold"  # 拨付批次: set aside for one tranche until it is paid or voided
    HOUSEHOLD = "household"  # 到户: paid


MAY_OVERDRAW: frozenset[str] = frozenset({AccountKind.SOURCE})
"""Only the outside world may go below zero: its balance is minus what it gave."""

_ACCOUNT = re.compile(rf"(?:{'|'.join(AccountKind)})/[^/\x00-\x1f]{{1,64}}/[^/\x00-\x1f]{{1,64}}")


class InsufficientFunds(Refusal):
    code = "insufficient_funds"


class IdempotencyKeyReused(Refusal):
    code = "idempotency_key_reused"


class AlreadyDone(Refusal):
    """The business act was settled by an earlier entry."""

    code = "already_done"


class EntryMalformed(Refusal):
    code = "entry_malformed"


class BalanceTooLarge(Refusal):
    code = "balance_too_large"


class AccountKey(NamedTuple):
    """One account (账户): its kind, its owner's business number, and the fund its money is earmarked by (fund_no, 专款)."""

    kind: str
    owner: str
    earmark: str

    @property
    def name(self) -> str:
        """source/F01/F01, household/6109261002010001/F01: unique in its book."""
        return "/".join(self)


class Posting(NamedTuple):
    """One line of an entry: `amount_fen` into the account (negative: out of it). `division` is the account's, 12 digits."""

    account: AccountKey
    amount_fen: int
    division: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An entry asked for (记账指令), whole. Making one composes and hashes its body, outside of every lock.

    `ref` is unique in the book; the same `ref` with the same `request_hash` gives the first answer again. `once` names the
    business act that this entry settles for good (`paid:T1`): a second entry for it is refused whatever its ref.
    `request_hash` defaults to the hash of everything but the time. Everything shown to people about the entry is in its body.
    Raises EntryMalformed unless the postings conserve every earmark and all names and numbers are in their bounds.
    """

    book: str
    kind: str
    ref: str
    actor: str
    effective_on: date
    recorded_at: datetime
    division: str
    postings: tuple[Posting, ...]
    memo: str = ""
    idempotency_key: str = ""
    request_hash: bytes = b""
    once: str | None = None
    approvals: tuple[Mapping[str, Any], ...] = ()
    notice: Mapping[str, Any] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = field(init=False, repr=False)
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self)
        if self.approvals or self.notice or self.details:  # all the rest is checked text and numbers
            _canonical_only((self.approvals, self.notice, self.details))
        said = {
            "version": VERSION,
            "book": self.book,
            "kind": self.kind,
            "ref": self.ref,
            "once": self.once,
            "actor": self.actor,
            "effective_on": self.effective_on.isoformat(),
            "division": self.division,
            "memo": self.memo,
            "idempotency_key": self.idempotency_key,
            "approvals": self.approvals,
            "notice": self.notice,
            "details": self.details,
            "postings": [
                {"kind": kind, "owner": owner, "earmark": earmark, "division": division, "amount_fen": amount_fen}
                for (kind, owner, earmark), amount_fen, division in self.postings
            ],
        }
        request_hash = self.request_hash or digest_of(_canonical_bytes(said))
        said["recorded_at"], said["request_hash"] = instant_text(self.recorded_at), request_hash.hex()
        body = _canonical_bytes(said)
        for name, value in (("request_hash", request_hash), ("body", body), ("digest", digest_of(body))):
            object.__setattr__(self, name, value)


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of JSON made of objects with ASCII keys, lists, text, integers within 53 bits, booleans and null.

    For such values sorted compact JSON is the canonical form; a test holds it equal to the library `rfc8785`, which takes
    sixty times longer. Raises EntryMalformed for anything else (floats among them: money is integer fen).
    """
    _canonical_only(value)
    return _canonical_bytes(value)


def _canonical_bytes(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except (TypeError, RecursionError) as error:
        raise EntryMalformed(f"This cannot be written canonically: {error}.") from error


def _canonical_only(value: Any) -> None:
    """Raises EntryMalformed for what JSON libraries write in several ways, or not at all."""
    try:
        _require_canonical(value)
    except (TypeError, RecursionError) as error:
        raise EntryMalformed(f"This cannot be written canonically: {error}.") from error


def _require_canonical(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        for name, inner in value.items():
            if type(name) is not str or not name.isascii():
                raise TypeError("a name that is not ASCII text")
            _require_canonical(inner)
    elif kind is list or kind is tuple:
        for inner in value:
            _require_canonical(inner)
    elif not isinstance(value, str | int | None):
        raise TypeError(f"a {kind.__name__}")


def instant_text(instant: datetime) -> str:
    """An instant as entries write it: UTC with microseconds, 2016-11-01T01:00:00.000000+00:00."""
    if instant.tzinfo is not UTC and (instant.utcoffset() is None or instant.utcoffset()):
        raise EntryMalformed("The time of an entry is in UTC.")
    return instant.isoformat(timespec="microseconds")


def _check(command: Command) -> None:
    texts = (command.ref, command.actor, command.memo, command.idempotency_key, command.once or "")
    if not (_BOOK.fullmatch(command.book) and _KIND.fullmatch(command.kind) and is_division(command.division)):
        raise EntryMalformed(
            "An entry needs a book (6 digits), a kind (lower-case letters) and a division (12 digits)."
        )
    if not command.ref or not command.actor or max(map(len, texts)) > 300 or "\0" in "".join(texts):
        raise EntryMalformed("An entry needs a ref and an actor; its texts have at most 300 characters and no NUL.")
    if command.kind == REFUSED:
        if command.postings:
            raise EntryMalformed("A refusal on record moves no money.")
        return
    if not 2 <= len(command.postings) <= MAX_POSTINGS:
        raise EntryMalformed(f"An entry has 2 to {MAX_POSTINGS} postings, this one {len(command.postings)}.")
    sums: dict[str, int] = {}
    for account, amount_fen, division in command.postings:
        if not _is_account(account):
            raise EntryMalformed(
                f"There is no account {account.name!r}: name its kind, its owner's number and its fund."
            )
        if type(amount_fen) is not int or not 0 < abs(amount_fen) <= MAX_FEN or not is_division(division):
            raise EntryMalformed(
                f"A posting moves 1 to {MAX_FEN} fen and names a division of 12 digits ({account.name})."
            )
        earmark = account[2]
        sums[earmark] = sums.get(earmark, 0) + amount_fen
    if len({account for account, _, _ in command.postings}) != len(command.postings):
        raise EntryMalformed("An account stands in an entry once; add its amounts up.")
    if unequal := {earmark: rest for earmark, rest in sorted(sums.items()) if rest}:
        raise EntryMalformed(f"The postings do not add up to zero for each fund: {unequal}.", unbalanced=unequal)


@lru_cache(CHECKED)
def _is_account(account: AccountKey) -> bool:
    return _ACCOUNT.fullmatch(account.name) is not None


def refusal_of(command: Command, refusal: Refusal) -> Command:
    """The entry that puts a refused command on record (handbook: refusals are bound too). One for each request and code."""
    request = digest_of(f"{refusal.code} {command.ref} ".encode() + command.request_hash)
    return replace(
        command,
        kind=REFUSED,
        ref=f"refused:{refusal.code}:{request.hex()}",
        request_hash=request,
        once=None,
        postings=(),
        memo=refusal.detail[:300],
        details={
            "code": refusal.code,
            "refused_kind": command.kind,
            "refused_ref": command.ref,
            "refused_once": command.once,
            "refused_digest": command.digest.hex(),
            "amount_fen": sum(p.amount_fen for p in command.postings if p.amount_fen > 0),
        },
    )


class Head(NamedTuple):
    """The last entry of a book: its number and its link. An empty book has number 0."""

    seq: int
    link: bytes


class Entry(NamedTuple):
    """A command that was accepted: its dense number in the book, the link before it and its own."""

    command: Command
    seq: int
    prev: bytes
    link: bytes


class Posted(NamedTuple):
    """The answer to a posted command. `replayed`: it had been posted before, nothing happened now."""

    seq: int
    link: bytes
    recorded_at: datetime
    replayed: bool = False


class Known(NamedTuple):
    """What an already posted ref answers to."""

    request_hash: bytes
    posted: Posted


@dataclass(frozen=True, slots=True)
class Decided:
    """What a batch does: the new head, the entries to write, the change of each touched balance, one outcome a command.

    `known` and `onces`: what its entries add to what is known.
    """

    head: Head
    entries: list[Entry]
    deltas: dict[AccountKey, int]
    outcomes: list[Posted | Refusal]
    known: dict[str, Known]
    onces: dict[str, int]


def book_of(division: str) -> str:
    """The book (账套) of a 12-digit division: its county's six digits."""
    return division[:6]


def genesis(book: str) -> Head:
    return Head(0, hashlib.sha256(f"daohu ledger {book}".encode()).digest())


def digest_of(body: bytes) -> bytes:
    """An entry's own hash: SHA-256 of its canonical body."""
    return hashlib.sha256(body).digest()


def row_digest(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """SHA-256 (hex) of these columns of a row, written canonically: days and instants as entries write them, ids as text.

    So an entry binds a row that stands elsewhere. Raises EntryMalformed.
    """
    return digest_of(canonical({name: _as_text(row[name]) for name in columns})).hex()


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def link(prev: bytes, seq: int, digest: bytes) -> bytes:
    """SHA-256(link before ‖ number as 8 bytes, big-endian ‖ SHA-256 of the body)."""
    return hashlib.sha256(prev + seq.to_bytes(8, "big") + digest).digest()


RECORD = b'{"body":%b,"link":"%b","prev":"%b","seq":%d}'
"""The leaf of the Merkle log: canonical JSON around the body's own bytes, links in hex (docs/decisions/0006)."""


def record(seq: int, prev: bytes, linked: bytes, body: bytes) -> bytes:
    return RECORD % (body, linked.hex().encode(), prev.hex().encode(), seq)


def touched(commands: Iterable[Command]) -> list[AccountKey]:
    """Every account the commands name, in one order for all batches, so that locks never cross."""
    return sorted({posting.account for command in commands for posting in command.postings})


def answer_again(known: Known, request_hash: bytes, ref: str) -> Posted:
    """The first answer for a ref seen before. Raises IdempotencyKeyReused when it was another request."""
    if known.request_hash != request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key already stands for another request. Use a new key for a new act.",
            ref=ref,
            seq=known.posted.seq,
        )
    return known.posted._replace(replayed=True)


def decide(
    head: Head,
    balances: Mapping[AccountKey, int],
    known: Mapping[str, Known],
    onces: Mapping[str, int],
    commands: Sequence[Command],
) -> Decided:
    """Decides each command alone, in order, against the state the ones before it leave behind.

    `balances` in fen (an account that does not exist yet may be missing), `known` the refs and `onces` (once → entry) of the
    book, at least those that these commands name. Nothing given is changed.
    Refusals: idempotency_key_reused, already_done, insufficient_funds, balance_too_large.
    """
    deltas: dict[AccountKey, int] = {}
    refs: dict[str, Known] = {}
    settled: dict[str, int] = {}
    entries: list[Entry] = []
    outcomes: list[Posted | Refusal] = []
    seq, last = head
    for command in commands:
        ref, once = command.ref, command.once
        try:
            if (first := refs.get(ref) or known.get(ref)) is not None:
                outcomes.append(answer_again(first, command.request_hash, ref))
                continue
            if once is not None and (done := settled.get(once) or onces.get(once)) is not None:
                raise AlreadyDone("This was settled before; nothing more is to be done.", once=once, seq=done)
            for account, amount_fen, _ in command.postings:
                before = balances.get(account, 0) + deltas.get(account, 0)
                if not 0 <= before + amount_fen <= MAX_BALANCE_FEN:
                    _admit(account, amount_fen, before)
        except Refusal as refusal:
            outcomes.append(refusal)
            continue
        for account, amount_fen, _ in command.postings:
            deltas[account] = deltas.get(account, 0) + amount_fen
        seq, before_it = seq + 1, last
        last = link(before_it, seq, command.digest)
        posted = Posted(seq, last, command.recorded_at)
        entries.append(Entry(command, seq, before_it, last))
        outcomes.append(posted)
        refs[ref] = Known(command.request_hash, posted)
        if once is not None:
            settled[once] = seq
    return Decided(Head(seq, last), entries, deltas, outcomes, refs, settled)


def _admit(account: AccountKey, amount_fen: int, balance_fen: int) -> None:
    """Raises InsufficientFunds, BalanceTooLarge."""
    after = balance_fen + amount_fen
    if amount_fen < 0 and after < 0 and account.kind not in MAY_OVERDRAW:
        raise InsufficientFunds(
            f"{account.name} has {yuan(balance_fen)} yuan, {yuan(-amount_fen)} are needed. Allocate more, or ask for less.",
            account=account.name,
            available_fen=balance_fen,
            needed_fen=-amount_fen,
        )
    if abs(after) > MAX_BALANCE_FEN:
        raise BalanceTooLarge(f"{account.name} would hold more than the ledger can count.", account=account.name)
