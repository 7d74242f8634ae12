"""What the proofs API gives, beside texts and bundles."""

from pydantic import BaseModel, Field

from shared.http import In

MAX_LINE = 400


class ConsistencyOut(BaseModel):
    """That the log of `to` entries begins with the log of `from` entries (RFC 9162, 2.1.4)."""

    old: int = Field(serialization_alias="from")
    new: int = Field(serialization_alias="to")
    old_root: str = Field(description="base64")
    new_root: str = Field(description="base64")
    hashes: list[str] = Field(description="base64, one a node")


class LeavesOut(BaseModel):
    """The leaf hashes of the entries over `after` up to `to` (RFC 9162, 2.1.1), for a witness."""

    after: int
    to: int
    hashes: list[str] = Field(description="base64, one an entry")


class CosignatureIn(In):
    line: str = Field(
        max_length=MAX_LINE, description="the line `— name base64`, as c2sp.org/tlog-cosignature writes it"
    )


class CosignatureOut(BaseModel):
    """That a witness's signature stands beside a checkpoint."""

    size: int
    witness: str
