"""The sequencer (封存): about every second the entries posted since are hashed into the log and a checkpoint is signed.

Off the writer's lock on purpose: an entry is "posted" at once and "sealed" afterwards. It refuses to sign a book that does not
follow from what it signed before.
"""

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.funds.ledger import domain, sums
from services.funds.ledger import store as ledger
from services.funds.proofs import logkeys, merkle, store
from services.funds.proofs.notes import Checkpoint, Signer, is_signed_by, sign
from shared.scope import EVERYWHERE
from shared.service import Job, Service

SEAL_EVERY_S = 1.0
SEAL_ENTRIES = 2_000
"""Entries of one checkpoint, at most; a longer backlog is sealed in several."""

ORIGIN = "daohu.local/funds"
"""The log's name; each book's log is `<name>/<book>`."""


class DoesNotFollow(RuntimeError):
    """The entries do not continue the log that was signed: somebody changed the database. Nothing more is sealed."""


def origin_of(book: str) -> str:
    return f"{ORIGIN}/{book}"


async def seal(service: Service) -> None:
    """Seals every book up to its last entry. Several replicas may run it: the tables let one of them through.

    Raises DoesNotFollow for a book that was changed, after the others are sealed: counties never wait for each other.
    """
    signers = logkeys.signers(service.settings.home)
    async with service.database.read() as tx:
        books = await ledger.books(tx, EVERYWHERE)
    broken: list[DoesNotFollow] = []
    sealed = False
    for book in books:
        try:
            while await _seal_some(service, signers, book):
                sealed = True
        except IntegrityError:
            service.log.info("sealed_elsewhere", book=book)
        except DoesNotFollow as error:
            service.log.error("book_not_sealed", book=book, reason=str(error))
            broken.append(error)
    if sealed and len(signers) > 1:
        await _hand_over(service, signers)
    if broken:
        raise broken[0]


async def _hand_over(service: Service, signers: Sequence[Signer]) -> None:
    """Where its keys are read-only (docker compose) the old one goes on signing too, until `daohu keys retire`."""
    async with service.database.read() as tx:
        if not await is_handed_over(tx, signers[0]):
            return
    try:
        if logkeys.hand_over(service.settings.home, signers):
            service.log.info("log_key_handed_over")
    except OSError as error:
        service.log.warning("log_key_not_forgotten", error=type(error).__name__)


async def is_handed_over(tx: AsyncConnection, newest: Signer) -> bool:
    """Whether the latest checkpoint of every book that has one carries the newest key's signature."""
    for book in await ledger.books(tx, EVERYWHERE):
        _, note = await store.latest(tx, book)
        if note and not is_signed_by(newest.verifier(origin_of(book)), note):
            return False
    return True


async def _seal_some(service: Service, signers: Sequence[Signer], book: str) -> bool:
    """Signs one checkpoint more, if there is anything new."""
    async with service.database.read() as tx:
        size, _ = await store.latest(tx, book)
        rows = await ledger.linked(tx, book, after=size, limit=SEAL_ENTRIES)
        nodes = await store.find_nodes(tx, book, [*merkle.root_nodes(size), (0, size - 1)] if size else [])
        previous = (await ledger.records(tx, book, [size], EVERYWHERE)).get(size) if size else None
    head = domain.genesis(book)
    if size:
        if previous is None or merkle.leaf_hash(domain.record(size, *previous)) != nodes.get((0, size - 1)):
            raise DoesNotFollow(f"entry {size} of book {book} is not the one that was sealed")
        head = domain.Head(size, previous[1])
    leaves: list[bytes] = []
    for row in rows:
        linked, body = bytes(row.link), bytes(row.body)
        if row.seq != head.seq + 1 or linked != domain.link(head.link, row.seq, domain.digest_of(body)):
            raise DoesNotFollow(f"entry {row.seq} of book {book} does not follow the one before it")
        leaves.append(merkle.leaf_hash(domain.record(row.seq, head.link, linked, body)))
        head = domain.Head(row.seq, linked)
    if not leaves:
        return False
    edge = [nodes[node] for node in merkle.root_nodes(size)]
    made = merkle.grow(edge, size, leaves)
    sealed = Checkpoint(origin_of(book), head.seq, merkle.fold(edge))
    note = sign(sealed.text(), sealed.origin, signers)
    async with service.database.write() as tx:
        await store.add_checkpoint(
            tx, book, made, size=sealed.size, root=sealed.root, note=note, at=service.clock.now()
        )
        await sums.add_up(tx, book, upto=sealed.size)
    return True


SEALING = Job("seal", SEAL_EVERY_S, seal)
