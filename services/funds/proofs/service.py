"""Use cases of the log: checkpoints, proofs, bundles. Sealing is the sequencer's."""

import asyncio
import base64
from collections.abc import Sequence

from services.funds.ledger import domain
from services.funds.ledger import store as ledger
from services.funds.ledger.service import book_meant
from services.funds.proofs import bundle, merkle, sequencer, store
from services.funds.proofs.notes import BadNote, Proof, VerifierKey, read_unsigned, require_witness
from services.funds.proofs.schemas import ConsistencyOut, CosignatureOut, LeavesOut
from shared.errors import FieldError, Malformed, NotFound, Refusal, TooLarge
from shared.work import Work

MAX_BODY_BYTES = bundle.MAX_BUNDLE_BYTES // 2
"""Bodies of the entries of one bundle: the other half is room for their proofs and the frame."""


MAX_LEAVES = 5_000
"""Leaf hashes of one answer."""


class NotSealedYet(Refusal):
    """Posted, but the next checkpoint is still to come."""

    code = "not_sealed_yet"
    retryable = True


class NoWitnessKnown(Refusal):
    code = "no_witness_known"


class CosignatureWrong(Refusal):
    code = "cosignature_wrong"


async def latest_checkpoint(work: Work, book: str | None, *, witnessed: bool = False) -> str:
    """The latest signed checkpoint, or the latest that a witness has signed, as a C2SP note with all its signatures."""
    _, note = await _sealed(work, await book_meant(work, book), witnessed=witnessed)
    return note


async def cosign(
    work: Work, size: int, line: str, *, book: str | None, witnesses: Sequence[VerifierKey]
) -> CosignatureOut:
    """Puts a witness's signature beside a checkpoint. Raises NotFound, NoWitnessKnown, CosignatureWrong."""
    code = await book_meant(work, book)
    note = await store.note_of(work.tx, code, size)
    if note is None:
        raise NotFound(f"There is no checkpoint of {size} entries.")
    if not witnesses:
        raise NoWitnessKnown("Put the witness's verifier key into keys/witnesses.vkey first; then sign again.")
    try:
        if "\n" in line:
            raise BadNote("one line is expected")
        require_witness(f"{note}{line}\n", witnesses)
    except BadNote as error:
        raise CosignatureWrong(f"{error}. Sign the checkpoint with a key of keys/witnesses.vkey.") from None
    witness = line.split(" ")[1]
    await store.add_cosignature(work.tx, code, size, witness, f"{line}\n", work.now)
    return CosignatureOut(size=size, witness=witness)


async def log_keys(work: Work, publics: Sequence[bytes]) -> str:
    """The verifier keys of the books in the caller's area, one a line; of each book the newest first."""
    books = await ledger.books(work.tx, work.area)
    if not books:
        raise NotFound("There is no ledger with entries in your area.")
    return "".join(f"{VerifierKey(sequencer.origin_of(book), public)}\n" for book in books for public in publics)


async def prove(work: Work, seq: int, *, book: str | None) -> str:
    """The inclusion proof of an entry under the latest checkpoint, as c2sp.org/tlog-proof@v1."""
    code = await book_meant(work, book)
    if await ledger.find_entry(work.tx, code, seq, work.area) is None:
        raise NotFound("There is no such entry in your area.")
    size, note = await _sealed(work, code)
    return (await _proofs(work, code, [seq], size, note))[seq].text()


async def prove_consistency(work: Work, old: int, new: int, *, book: str | None) -> ConsistencyOut:
    """That nothing was taken out or changed between two sizes of the log."""
    code = await book_meant(work, book)
    size, _ = await _sealed(work, code)
    if not 0 < old <= new <= size:
        raise Malformed(
            f"Ask with 0 < from ≤ to ≤ {size}.",
            errors=[FieldError("from", "out_of_range", f"The log has {size} entries.")],
        )
    ranges = merkle.consistency_ranges(old, new)
    wanted = [*merkle.nodes_of(ranges), *merkle.root_nodes(old), *merkle.root_nodes(new)]
    nodes = await store.find_nodes(work.tx, code, wanted)
    old_root, new_root = (merkle.fold([nodes[node] for node in merkle.root_nodes(n)]) for n in (old, new))
    hashes = [base64.b64encode(hash).decode() for hash in merkle.hashes_of(ranges, nodes)]
    return ConsistencyOut(
        old=old,
        new=new,
        old_root=base64.b64encode(old_root).decode(),
        new_root=base64.b64encode(new_root).decode(),
        hashes=hashes,
    )


async def show_leaves(work: Work, after: int, to: int, *, book: str | None) -> LeavesOut:
    """The hashes of a stretch of the log's leaves."""
    code = await book_meant(work, book)
    size, _ = await _sealed(work, code)
    if not after < to <= min(size, after + MAX_LEAVES):
        raise Malformed(
            f"Ask with after < to ≤ {size}, for at most {MAX_LEAVES} leaves.",
            errors=[FieldError("to", "out_of_range", f"The log has {size} entries.")],
        )
    hashes = await store.leaves(work.tx, code, after, to)
    return LeavesOut(after=after, to=to, hashes=[base64.b64encode(hash).decode() for hash in hashes])


async def bundle_of(work: Work, seqs: Sequence[int], *, book: str | None, witnessed: bool = False) -> bytes:
    return await build_bundle(work, await book_meant(work, book), seqs, witnessed=witnessed)


async def build_bundle(work: Work, book: str, seqs: Sequence[int], *, witnessed: bool = False) -> bytes:
    """The bundle (zip) over these entries of a book; all must lie in the caller's area. `witnessed`: as in `latest_checkpoint`.

    Raises NotFound (an entry is unknown here), NotSealedYet (ask again in a second), TooLarge.
    """
    wanted = sorted(set(seqs))
    if not wanted:
        raise NotFound("There are no entries to prove.")
    if len(wanted) > bundle.MAX_ENTRIES:
        raise TooLarge(
            f"A bundle holds at most {bundle.MAX_ENTRIES} entries. Ask for them in parts.", limit=bundle.MAX_ENTRIES
        )
    if await ledger.body_bytes(work.tx, book, wanted, work.area) > MAX_BODY_BYTES:
        raise TooLarge(
            f"These entries are larger than {MAX_BODY_BYTES} bytes. Ask for them in parts.", limit=MAX_BODY_BYTES
        )
    found = await ledger.records(work.tx, book, wanted, work.area)
    if len(found) != len(wanted):
        raise NotFound("Some of these entries do not exist in your area.")
    size, note = await _sealed(work, book, witnessed=witnessed)
    proofs = await _proofs(work, book, wanted, size, note)
    records = {seq: domain.record(seq, *found[seq]) for seq in wanted}
    return await asyncio.to_thread(bundle.compose, read_unsigned(note), note, records, proofs)


async def _sealed(work: Work, book: str, *, witnessed: bool = False) -> tuple[int, str]:
    size, note = await store.latest(work.tx, book, witnessed=witnessed)
    if not size:
        what = "No witness has signed a checkpoint" if witnessed else "Nothing is sealed"
        raise NotSealedYet(f"{what} yet. Ask again in a second.")
    return size, note + "".join(await store.cosignatures(work.tx, book, size))


async def _proofs(work: Work, book: str, seqs: Sequence[int], size: int, note: str) -> dict[int, Proof]:
    if max(seqs) > size:
        raise NotSealedYet("The newest of these entries are not sealed yet. Ask again in a second.", sealed=size)
    ranges = {seq: merkle.inclusion_ranges(seq - 1, size) for seq in seqs}
    nodes = await store.find_nodes(
        work.tx, book, [node for needed in ranges.values() for node in merkle.nodes_of(needed)]
    )

    def prove_each() -> dict[int, Proof]:
        return {seq: Proof(seq - 1, tuple(merkle.hashes_of(needed, nodes)), note) for seq, needed in ranges.items()}

    return await asyncio.to_thread(prove_each)
