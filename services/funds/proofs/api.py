"""Routes of the signed log. What they give checks without us; texts are those of C2SP."""

from typing import Annotated

from fastapi import Query, Request, Response

from services.funds.ledger.api import CHECKERS, CHECKING, MAX_SEQ, BookQuery, Seq
from services.funds.proofs import logkeys, service
from services.funds.proofs.bundle import MAX_ENTRIES
from services.funds.proofs.schemas import ConsistencyOut, CosignatureIn, CosignatureOut, LeavesOut
from shared.http import Reach, Router, WorkDep, allow
from shared.roles import Role

router = Router(prefix="/funds/v1", tags=["proofs"])

TEXT = "text/plain; charset=utf-8"

WitnessedQuery = Annotated[bool, Query(description="under the latest checkpoint that a witness has signed too")]

OF_THE_LOG = allow(*CHECKING, Role.BACKEND, reach=Reach.COUNTY)
"""The log is one for the county: its size, hashes and keys tell nothing of what its entries say. A witness is a program."""


@router.get("/checkpoints/latest", dependencies=[OF_THE_LOG], response_class=Response)
async def show_checkpoint(work: WorkDep, book: BookQuery = None, witnessed: WitnessedQuery = False) -> Response:
    """The latest signed checkpoint (检查点), a C2SP note. Keep it outside: it catches a cut tail."""
    return Response(await service.latest_checkpoint(work, book, witnessed=witnessed), media_type=TEXT)


@router.post(
    "/checkpoints/{size}/cosignatures", status_code=201, dependencies=[allow(Role.BACKEND, reach=Reach.COUNTY)]
)
async def cosign(
    work: WorkDep, request: Request, size: Seq, order: CosignatureIn, book: BookQuery = None
) -> CosignatureOut:
    """A witness puts its signature (见证签名) beside a checkpoint; only keys in `keys/witnesses.vkey` are taken."""
    witnesses = logkeys.witnesses(request.app.state.service.settings.home)
    return await service.cosign(work, size, order.line, book=book, witnesses=witnesses)


@router.get("/log-key", dependencies=[OF_THE_LOG], response_class=Response)
async def show_log_key(work: WorkDep, request: Request) -> Response:
    """The log's public keys (验证公钥), C2SP verifier keys, one line a book: save them as `funds.vkey`."""
    publics = logkeys.publics(request.app.state.service.settings.home)
    return Response(await service.log_keys(work, publics), media_type=TEXT)


@router.get("/proofs/{seq}", dependencies=[CHECKERS], response_class=Response)
async def show_proof(work: WorkDep, seq: Seq, book: BookQuery = None) -> Response:
    """The inclusion proof of an entry (存证证明), c2sp.org/tlog-proof@v1."""
    return Response(await service.prove(work, seq, book=book), media_type=TEXT)


@router.get("/consistency", dependencies=[OF_THE_LOG])
async def show_consistency(
    work: WorkDep,
    old: Annotated[int, Query(alias="from", ge=1, le=MAX_SEQ)],
    new: Annotated[int, Query(alias="to", ge=1, le=MAX_SEQ)],
    book: BookQuery = None,
) -> ConsistencyOut:
    """That the log of `to` entries (一致性证明) continues the log of `from` entries."""
    return await service.prove_consistency(work, old, new, book=book)


@router.get("/leaves", dependencies=[OF_THE_LOG])
async def show_leaves(
    work: WorkDep,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ)],
    to: Annotated[int, Query(ge=1, le=MAX_SEQ)],
    book: BookQuery = None,
) -> LeavesOut:
    """The leaf hashes of a stretch of the log (叶哈希), for a witness who keeps them: one says which entry was changed."""
    return await service.show_leaves(work, after, to, book=book)


@router.get("/bundles", dependencies=[CHECKERS], response_class=Response)
async def download_bundle(
    work: WorkDep,
    seq: Annotated[list[Seq], Query(min_length=1, max_length=MAX_ENTRIES)],
    book: BookQuery = None,
    witnessed: WitnessedQuery = False,
) -> Response:
    """The bundle (存证包) of entries, `?seq=1&seq=2`: check it with `daohu verify bundle.zip --key funds.vkey`."""
    return as_zip(await service.bundle_of(work, seq, book=book, witnessed=witnessed))


def as_zip(data: bytes) -> Response:
    headers = {"content-disposition": 'attachment; filename="bundle.zip"'}
    return Response(data, media_type="application/zip", headers=headers)
