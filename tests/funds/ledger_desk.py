"""What the tests of the ledger's writers share: commands, a ledger on either database, and its invariants."""

from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import func, select

from services.funds.ledger import domain, store
from services.funds.ledger.domain import AccountKey, Command, Posting
from services.funds.ledger.postgres import PostgresWriter
from services.funds.ledger.sqlite import SqliteWriter
from services.funds.ledger.writer import Writer
from services.funds.tables import metadata
from shared import tables
from shared.db import Database
from shared.events.base import Envelope
from shared.events.funds import FundReceived
from shared.ids import new_id
from shared.outbox import Fact

COUNTY, OTHER_COUNTY = "610926000000", "610924000000"
AT = datetime(2016, 11, 1, 1, tzinfo=UTC)


def key(kind: str, owner: str = "1", earmark: str = "F1") -> AccountKey:
    return AccountKey(kind, owner, earmark)


def move(ref: str, fen: int, payer: AccountKey, payee: AccountKey, *, county: str = COUNTY, **given) -> Command:
    return Command(
        **{
            "book": county[:6], "kind": "moved", "ref": ref, "actor": "a", "effective_on": date(2016, 11, 1), "recorded_at": AT,
            "division": county, "postings": (Posting(payer, -fen, county), Posting(payee, fen, county)), **given,
        }
    )  # fmt: skip


def receive(ref: str, fen: int, **given) -> Command:
    return move(ref, fen, key("source", "F1"), key("fund", "F1"), **given)


def fact(seq: int) -> Fact:
    return fact_about(receive("r", 1), seq)


def fact_about(command: Command, seq: int, key: str = "") -> Fact:
    """What happened by an entry; its key is the entry's number unless another is given."""
    event = FundReceived(
        fund_id=UUID(int=seq),
        fund_no="F1",
        level="county",
        division=command.division,
        amount_fen=1,
        received_on=command.effective_on,
        entry_seq=seq,
    )
    return Fact(
        event, Envelope(new_id(), event.type_name, "/daohu/funds", key or str(seq), AT, command.division, "a", 1)
    )


def writer_of(database: Database) -> Writer:
    return SqliteWriter(database) if database.sqlite else PostgresWriter(database.url)


@asynccontextmanager
async def ledger(url: str):
    database = Database(url, service="funds")
    async with database.write() as tx:
        await tx.run_sync(tables.metadata.create_all)
        await tx.run_sync(metadata.create_all)
    writer = writer_of(database)
    await writer.start()
    try:
        yield database, writer
    finally:
        await writer.stop()
        await database.close()


async def whole(database: Database) -> dict[str, object]:
    """Everything the ledger holds, for comparing before and after."""
    async with database.read() as tx:
        state = {
            table.name: [tuple(row) for row in await tx.execute(select(table).order_by(*table.primary_key.columns))]
            for table in (store.account, store.entry, store.posting)
        }
        state["heads"] = [tuple(row) for row in await tx.execute(select(store.book).order_by(store.book.c.book))]
        state["facts"] = (await tx.execute(select(func.count()).select_from(tables.outbox))).scalar_one()
        return state


async def head_of(tx, code: str) -> domain.Head:
    row = (await tx.execute(select(store.book).where(store.book.c.book == code))).one_or_none()
    return domain.Head(row.seq, bytes(row.link)) if row else domain.genesis(code)


async def fen_in(tx, *keys: AccountKey) -> list[int]:
    found = await store.balances(tx, "610926", keys)
    return [found[key][1] for key in keys]


async def consistent(database: Database) -> None:
    """The invariants of the ledger, each read from the tables alone (as handbook reference/ledger/verify.py)."""
    async with database.read() as tx:
        for code in (await tx.execute(select(store.book.c.book))).scalars().all():
            head = domain.genesis(code)
            for row in await store.linked(tx, code, after=0, limit=1_000_000):
                assert row.seq == head.seq + 1
                assert bytes(row.link) == domain.link(head.link, row.seq, domain.digest_of(bytes(row.body)))
                head = domain.Head(row.seq, bytes(row.link))
            assert await head_of(tx, code) == head
        p, a, e = store.posting.c, store.account.c, store.entry.c
        sums = {
            id: int(fen)
            for id, fen in await tx.execute(select(p.account_id, func.sum(p.amount_fen)).group_by(p.account_id))
        }
        assert {row.id: row.balance_fen for row in await tx.execute(select(store.account))} == sums
        by_earmark = select(func.sum(a.balance_fen)).group_by(a.book, a.earmark)
        assert all(int(fen) == 0 for (fen,) in await tx.execute(by_earmark))
        of_entry = (p.book == e.book) & (p.seq == e.seq)
        orphans = (
            select(func.count()).select_from(store.posting.outerjoin(store.entry, of_entry)).where(e.seq.is_(None))
        )
        assert await tx.scalar(orphans) == 0
        assert not (await tx.execute(select(a.name).where(a.owner.startswith("never"), a.balance_fen != 0))).all()
