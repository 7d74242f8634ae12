"""The ledger's own statements on PostgreSQL, and batches as their binary parameters.

A batch is one statement, so it costs one round trip and one commit whatever it holds; its arrays are packed here because
packing values one by one through a driver costs more than the server needs to write them (handbook: speed.md).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from services.funds.ledger.domain import MAX_POSTINGS, MAY_OVERDRAW, AccountKey, Decided, Head
from services.funds.ledger.pipe import HELD_IDLE_S

HEAD_MOVED = "22012"
"""How a batch fails whose books are not where it assumed: by a division by zero, the one way a plain statement can fail itself."""

BATCH = """
WITH head AS (
  UPDATE ledger_book b SET seq = x.seq, link = x.link
  FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[]) x(book, old_seq, old_link, seq, link)
  WHERE b.book = x.book AND b.seq = x.old_seq AND b.link = x.old_link
  RETURNING 1
), held AS MATERIALIZED (
  SELECT 1 / ((SELECT count(*) FROM head) = cardinality($1))::int AS ours
), new_account AS (
  INSERT INTO ledger_account (id, book, name, kind, owner, earmark, division, may_overdraw, balance_fen)
  SELECT x.* FROM held, unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
    $13::boolean[], $14::bigint[]) x
), changed AS (
  UPDATE ledger_account a SET balance_fen = a.balance_fen + x.fen
  FROM held, unnest($15::bigint[], $16::bigint[]) x(id, fen) WHERE a.id = x.id
  RETURNING 1
), new_entry AS (
  INSERT INTO ledger_entry (book, seq, kind, ref, once, request_hash, actor, effective_on, recorded_at, division, memo,
    body, digest, link)
  SELECT x.* FROM held, unnest($17::text[], $18::bigint[], $19::text[], $20::text[], $21::text[], $22::bytea[], $23::text[],
    $24::date[], $25::timestamptz[], $26::text[], $27::text[], $28::bytea[], $29::bytea[], $30::bytea[]) x
), new_posting AS (
  INSERT INTO ledger_posting (book, seq, line, account_id, division, amount_fen)
  SELECT x.* FROM held, unnest($31::text[], $32::bigint[], $33::int[], $34::bigint[], $35::text[], $36::bigint[]) x
), new_fact AS (
  INSERT INTO outbox (event_id, topic, key, type, headers, body, division, recorded_at)
  SELECT x.event_id, x.topic, x.key, x.type, x.headers::jsonb, x.body, x.division, x.recorded_at
  FROM held, unnest($37::uuid[], $38::text[], $39::text[], $40::text[], $41::text[], $42::bytea[], $43::text[],
    $44::timestamptz[]) WITH ORDINALITY x(event_id, topic, key, type, headers, body, division, recorded_at, n)
  ORDER BY x.n
)
SELECT 1 / ((SELECT count(*) FROM changed) = cardinality($15))::int,
  $45::boolean AND EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 7301 AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  )
"""
"""Moves the heads of its books by compare-and-set and writes everything that follows from it, or fails as a whole.

Answers whether another process waits for a turn, if asked ($45).
"""

STATEMENTS: Mapping[bytes, str] = {
    b"batch": BATCH,
    b"heads": "SELECT book, seq, link FROM ledger_book WHERE book = ANY($1::text[])",
    b"open": "INSERT INTO ledger_book (book, seq, link) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[]) "
    "ON CONFLICT DO NOTHING",
    # An account that is not there yet gets the id it will be made with, and no balance.
    b"accounts": "SELECT coalesce(a.id, nextval('ledger_account_id_seq')), a.balance_fen "
    "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY x(book, name, n) "
    "LEFT JOIN ledger_account a ON a.book = x.book AND a.name = x.name ORDER BY x.n",
    b"moved": "SELECT a.kind, a.owner, a.earmark, a.id, a.balance_fen FROM ledger_account a "
    "WHERE a.id IN (SELECT account_id FROM ledger_posting WHERE book = $1::text AND seq > $2::bigint)",
    b"entries": "SELECT e.book, e.ref, e.once, e.request_hash, e.seq, e.link, e.recorded_at "
    "FROM unnest($1::text[], $2::text[]) x(book, ref) JOIN ledger_entry e ON e.book = x.book AND e.ref = x.ref "
    "UNION ALL SELECT e.book, e.ref, e.once, e.request_hash, e.seq, e.link, e.recorded_at "
    "FROM unnest($3::text[], $4::text[]) x(book, once) JOIN ledger_entry e ON e.book = x.book AND e.once = x.once",
    # 7301: the ledger's own number among advisory locks. Only a session with a turn is ended when it is silent.
    b"turn": "SELECT pg_advisory_lock(7301, x.book), set_config('idle_session_timeout', $2::text, false) "
    "FROM unnest($1::int[]) x(book)",
    b"yield": "SELECT pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)",
}

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_BOOL, _BYTEA, _INT8, _INT4, _TEXT, _DATE, _INSTANT, _UUID = 16, 17, 20, 23, 25, 1082, 1184, 2950
"""PostgreSQL's numbers of the types (pg_type.oid)."""

_length = struct.Struct("!i").pack
_int8_element = struct.Struct("!iq").pack
_int4_element = struct.Struct("!ii").pack
_NULL = _length(-1)
_LINES = [_int4_element(4, line) for line in range(MAX_POSTINGS)]
_TRUE, _FALSE = _length(1) + b"\1", _length(1) + b"\0"
_HASH = _length(32)
_UUID_LENGTH = _length(16)


def _array(type_id: int, elements: Sequence[bytes]) -> bytes:
    """PostgreSQL's binary array of elements that have their length in front."""
    if not elements:
        return struct.pack("!iii", 0, 0, type_id)
    return struct.pack("!iiiii", 1, 1, type_id, len(elements), 1) + b"".join(elements)


def _bytes(value: bytes) -> bytes:
    return _length(len(value)) + value


def _text(value: str) -> bytes:
    value_bytes = value.encode()
    return _length(len(value_bytes)) + value_bytes


_common = lru_cache(4096)(_text)
"""For what many rows have in common: books, kinds, divisions, actors."""


def _instant(value: datetime) -> bytes:
    return _int8_element(8, (value - _EPOCH) // _MICROSECOND)


def texts(values: Iterable[str]) -> bytes:
    return _array(_TEXT, [_text(value) for value in values])


def int8s(values: Iterable[int]) -> bytes:
    return _array(_INT8, [_int8_element(8, value) for value in values])


def hashes(values: Iterable[bytes]) -> bytes:
    return _array(_BYTEA, [_HASH + value for value in values])


def int8(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def text(value: str) -> bytes:
    return value.encode()


def boolean(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def int_of(value: bytes | None) -> int:
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


def text_of(value: bytes | None) -> str:
    assert value is not None
    return value.decode()


def bytes_of(value: bytes | None) -> bytes:
    assert value is not None
    return value


def instant_of(value: bytes | None) -> datetime:
    return _EPOCH + int_of(value) * _MICROSECOND


def turn_params(books: Iterable[str]) -> tuple[bytes, bytes]:
    """In the order of their numbers, so that two writers never wait for each other."""
    numbers = [_int4_element(4, number) for number in sorted(map(int, books))]
    return _array(_INT4, numbers), text(str(int(HELD_IDLE_S * 1000)))


def head_params(old: Mapping[str, Head], new: Mapping[str, Head]) -> tuple[bytes, ...]:
    """$1–$5. Both name the same books, in order."""
    return (
        texts(old),
        int8s(head.seq for head in old.values()),
        hashes(head.link for head in old.values()),
        int8s(head.seq for head in new.values()),
        hashes(head.link for head in new.values()),
    )


def account_params(
    made: Sequence[tuple[int, str, AccountKey, str, int]], changes: Sequence[tuple[int, int]]
) -> tuple[bytes, ...]:
    """$6–$16: accounts to make, as (id, book, key, division, fen), and changes of others, as (id, fen)."""
    return (
        int8s(id for id, *_ in made),
        texts(book for _, book, *_ in made),
        texts(key.name for _, _, key, *_ in made),
        texts(key.kind for _, _, key, *_ in made),
        texts(key.owner for _, _, key, *_ in made),
        texts(key.earmark for _, _, key, *_ in made),
        texts(division for *_, division, _ in made),
        _array(_BOOL, [_TRUE if key.kind in MAY_OVERDRAW else _FALSE for _, _, key, *_ in made]),
        int8s(fen for *_, fen in made),
        int8s(id for id, _ in changes),
        int8s(fen for _, fen in changes),
    )


def entry_params(decided: Mapping[str, Decided]) -> tuple[bytes, ...]:
    """$17–$30, of all books."""
    entries = [entry for of_book in decided.values() for entry in of_book.entries]
    commands = [entry.command for entry in entries]
    return (
        _array(_TEXT, [_common(c.book) for c in commands]),
        int8s([entry.seq for entry in entries]),
        _array(_TEXT, [_common(c.kind) for c in commands]),
        _array(_TEXT, [_text(c.ref) for c in commands]),
        _array(_TEXT, [_NULL if c.once is None else _text(c.once) for c in commands]),
        _array(_BYTEA, [_bytes(c.request_hash) for c in commands]),
        _array(_TEXT, [_common(c.actor) for c in commands]),
        _array(_DATE, [_int4_element(4, c.effective_on.toordinal() - _EPOCH_DAY) for c in commands]),
        _array(_INSTANT, [_instant(c.recorded_at) for c in commands]),
        _array(_TEXT, [_common(c.division) for c in commands]),
        _array(_TEXT, [_text(c.memo) for c in commands]),
        _array(_BYTEA, [_bytes(c.body) for c in commands]),
        _array(_BYTEA, [_HASH + c.digest for c in commands]),
        _array(_BYTEA, [_HASH + entry.link for entry in entries]),
    )


def posting_params(decided: Mapping[str, Decided], ids: Mapping[str, Mapping[AccountKey, int]]) -> tuple[bytes, ...]:
    """$31–$36, of all books. `ids`: book → account → id."""
    books: list[bytes] = []
    seqs: list[bytes] = []
    lines: list[bytes] = []
    accounts: list[bytes] = []
    divisions: list[bytes] = []
    amounts: list[bytes] = []
    for code, of_book in decided.items():
        book, id_of = _common(code), ids[code]
        for command, number, *_ in of_book.entries:
            postings = command.postings
            books += [book] * len(postings)
            seqs += [_int8_element(8, number)] * len(postings)
            lines += _LINES[: len(postings)]
            accounts += [_int8_element(8, id_of[account]) for account, _, _ in postings]
            divisions += [_common(division) for _, _, division in postings]
            amounts += [_int8_element(8, amount_fen) for _, amount_fen, _ in postings]
    return (
        _array(_TEXT, books),
        _array(_INT8, seqs),
        _array(_INT4, lines),
        _array(_INT8, accounts),
        _array(_TEXT, divisions),
        _array(_INT8, amounts),
    )


def fact_params(rows: Sequence[Mapping[str, Any]]) -> tuple[bytes, ...]:
    """$37–$44: rows of the outbox, in order."""
    return (
        _array(_UUID, [_UUID_LENGTH + row["event_id"].bytes for row in rows]),
        _array(_TEXT, [_common(row["topic"]) for row in rows]),
        _array(_TEXT, [_text(row["key"]) for row in rows]),
        _array(_TEXT, [_common(row["type"]) for row in rows]),
        _array(_TEXT, [_bytes(orjson.dumps(row["headers"])) for row in rows]),
        _array(_BYTEA, [_bytes(row["body"]) for row in rows]),
        _array(_TEXT, [_common(row["division"]) for row in rows]),
        _array(_INSTANT, [_instant(row["recorded_at"]) for row in rows]),
    )
