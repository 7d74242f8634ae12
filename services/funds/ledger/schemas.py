"""What the ledger API gives."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field


class PostingOut(BaseModel):
    kind: str
    owner: str
    earmark: str
    division: str
    amount_fen: int
    amount_yuan: str


class SealOut(BaseModel):
    """Where an entry stands in the signed log (封存)."""

    index: int = Field(description="place in the Merkle log, from 0")
    size: int = Field(description="entries under the latest checkpoint")
    proof: str = Field(description="address of its inclusion proof")


class EntryOut(BaseModel):
    book: str
    seq: int
    kind: str
    ref: str
    once: str | None
    actor: str
    effective_on: date
    recorded_at: datetime
    division: str
    memo: str
    amount_fen: int = Field(description="what it moves: the sum of the amounts that go into accounts")
    amount_yuan: str
    digest: str = Field(description="SHA-256 of its canonical body, hex")
    link: str = Field(description="its link in the book's chain, hex")
    sealed: SealOut | None = Field(description="null until the next checkpoint, about a second after posting")


class EntryDetail(EntryOut):
    postings: list[PostingOut]
    approvals: list[dict[str, Any]]
    notice: dict[str, Any] | None
    details: dict[str, Any]
