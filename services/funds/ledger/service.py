"""Use cases of the ledger: reading it. Writing goes through `writer.Writer`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import RowMapping

from services.funds.ledger import store
from services.funds.ledger.schemas import EntryDetail, EntryOut, PostingOut, SealOut
from services.funds.ledger.writer import Writer
from services.funds.proofs import store as seals
from shared.errors import FieldError, Malformed, NotFound
from shared.http import Page, PageQuery, decode_cursor, encode_cursor, page_of
from shared.money import yuan
from shared.service import Service
from shared.work import Work


@asynccontextmanager
async def open_ledger(service: Service) -> AsyncIterator[Writer]:
    """The writer of a process, running; its commits wake the relay.

    On PostgreSQL it has a connection of its own: requests that wait for it hold all of the pool's, at worst (handbook: one
    posting that took a second connection of its pool hung a peer). On SQLite there is only the one that writes.
    """
    on_commit = service.relay.wake if service.relay is not None else lambda: None
    writer: Writer
    # Each with its driver only where it runs: the other one's would be a tenth of a cold start.
    if service.database.sqlite:
        from services.funds.ledger.sqlite import SqliteWriter

        writer = SqliteWriter(service.database, on_commit=on_commit)
    else:
        from services.funds.ledger.postgres import PostgresWriter

        writer = PostgresWriter(service.settings.url, on_commit=on_commit)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def book_meant(work: Work, book: str | None) -> str:
    """The book a caller means: the one named, or the only one with anything in the caller's area.

    Raises NotFound when there is none, Malformed when there are several and none is named.
    """
    books = await store.books(work.tx, work.area)
    if book is not None:
        books = [code for code in books if code == book]
    if not books:
        raise NotFound("There is no ledger with entries in your area.")
    if len(books) > 1:
        raise Malformed(
            f"Name the county: book={books[0]} …",
            errors=[FieldError("book", "required", f"One of {', '.join(books)}.")],
        )
    return books[0]


async def list_entries(
    work: Work, page: PageQuery, *, book: str | None, kind: str | None, account: str | None
) -> Page[EntryOut]:
    code = await book_meant(work, book)
    after = decode_cursor(page.after, int)[0] if page.after else 0
    rows = await store.page_entries(
        work.tx, code, work.area, after=after, limit=page.limit + 1, kind=kind, account_name=account
    )
    shown, following = page_of(rows, page.limit, lambda row: encode_cursor(row["seq"]))
    size = await seals.sealed_size(work.tx, code)
    return Page(items=[EntryOut(**_shown(row, size)) for row in shown], next=following)


async def show_entry(work: Work, seq: int, *, book: str | None) -> EntryDetail:
    code = await book_meant(work, book)
    row = await store.find_entry(work.tx, code, seq, work.area)
    if row is None:
        raise NotFound("There is no such entry in your area.")
    body = orjson.loads(row["body"])
    return EntryDetail(
        **_shown(row, await seals.sealed_size(work.tx, code)),
        postings=[PostingOut(**posting, amount_yuan=yuan(posting["amount_fen"])) for posting in body["postings"]],
        approvals=body["approvals"],
        notice=body["notice"],
        details=body["details"],
    )


def seal_of(book: str, seq: int, size: int) -> SealOut | None:
    """Where an entry is sealed; None while the latest checkpoint, of `size` entries, does not reach it."""
    said = seal_said(book, seq, size)
    return SealOut(**said) if said else None


def seal_said(book: str, seq: int, size: int) -> dict[str, Any] | None:
    """The fields of `seal_of`, for answers that are written without models."""
    return {"index": seq - 1, "size": size, "proof": f"/funds/v1/proofs/{seq}?book={book}"} if seq <= size else None


def _shown(row: RowMapping, size: int) -> dict[str, Any]:
    amount_fen = int(row["amount_fen"])
    return {
        **row,
        "amount_fen": amount_fen,
        "amount_yuan": yuan(amount_fen),
        "digest": bytes(row["digest"]).hex(),
        "link": bytes(row["link"]).hex(),
        "sealed": seal_of(row["book"], row["seq"], size),
    }
