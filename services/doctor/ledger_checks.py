"""The check of the signed log: does its newest checkpoint fit its tree, and is the sequencer behind?

A quick look at the end of each book. Whether any entry was changed says `daohu verify` against a checkpoint kept outside.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.doctor.findings import Finding, State
from services.doctor.patient import Patient
from services.funds.ledger.store import book, entry
from services.funds.proofs import logkeys, merkle, store
from services.funds.proofs.notes import BadNote, VerifierKey, is_signed_by, read_unsigned
from services.funds.proofs.sequencer import origin_of

UNSEALED_WARN, UNSEALED_FAIL = timedelta(minutes=1), timedelta(minutes=30)
"""The sequencer seals every second (DaohuLedgerUnsealed)."""

CALL = "stop payments, copy the database, daohu verify with a checkpoint kept outside, call the auditor; 停止支付，保全数据库，通知审计"


async def log(patient: Patient) -> AsyncIterator[Finding]:
    """Of every book."""
    if (database := patient.databases.get("funds")) is None:
        return
    file = patient.home / "keys" / "funds-log.pub"
    publics = logkeys.publics(patient.home) if file.exists() else []  # asked for where it is not, it would be made
    async with database.read() as tx:
        heads = (await tx.execute(select(book.c.book, book.c.seq).where(book.c.seq > 0).order_by(book.c.book))).all()
        for code, seq in heads:
            yield await _look(tx, code, seq, patient.clock.now(), publics)
    if not heads:
        yield Finding("log", "", State.OK, "no book has entries yet")


async def _look(tx: AsyncConnection, code: str, seq: int, now: datetime, publics: Sequence[bytes]) -> Finding:
    last = await tx.scalar(select(func.max(entry.c.seq)).where(entry.c.book == code))
    if last != seq:
        return Finding("log", code, State.FAIL, f"the book says it has {seq} entries, the last there is {last}", CALL)
    size, note = await store.latest(tx, code)
    if size > seq:
        return Finding("log", code, State.FAIL, f"{size} entries were signed, {seq} are there", CALL)
    if size and not await _fits(tx, code, size, note):
        return Finding("log", code, State.FAIL, f"the checkpoint of {size} entries does not fit the tree", CALL)
    if size and publics and not any(is_signed_by(VerifierKey(origin_of(code), public), note) for public in publics):
        return Finding("log", code, State.FAIL, f"no key of this log signed the checkpoint of {size} entries", CALL)
    if size < seq:
        since = await tx.scalar(select(entry.c.recorded_at).where(entry.c.book == code, entry.c.seq == size + 1))
        waits = now - since if since else timedelta(0)
        if waits > UNSEALED_WARN:
            return Finding(
                "log", code, State.FAIL if waits > UNSEALED_FAIL else State.WARN,
                f"{seq - size} entries are not under a checkpoint, the oldest for {int(waits.total_seconds() / 60)} min",
                "does the funds worker run? (docs/operations.md, DaohuLedgerUnsealed); 检查 funds worker",
            )  # fmt: skip
    return Finding("log", code, State.OK, f"{size} of {seq} entries are under a checkpoint that fits the tree")


async def _fits(tx: AsyncConnection, code: str, size: int, note: str) -> bool:
    edge = merkle.root_nodes(size)
    nodes = await store.find_nodes(tx, code, edge)
    try:
        said = read_unsigned(note)
    except BadNote:
        return False
    if said.size != size or len(nodes) != len(edge):
        return False
    return merkle.fold([nodes[node] for node in edge]) == said.root
