"""What the proofs API gives, beside texts and bundles."""

from pydantic import BaseModel, Field


class ConsistencyOut(BaseModel):
    """That the log of `to` entries begins with the log of `from` entries (RFC 9162, 2.1.4)."""

    old: int = Field(serialization_alias="from")
    new: int = Field(serialization_alias="to")
    old_root: str = Field(description="base64")
    new_root: str = Field(description="base64")
    hashes: list[str] = Field(description="base64, one a node")
