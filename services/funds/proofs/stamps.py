"""Time stamps of others (可信时间戳, RFC 3161): that a checkpoint existed at a time, from somebody who knows nothing of us."""

from collections.abc import Sequence

import httpx
from cryptography.x509 import Certificate
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from services.funds.proofs.answers import ask

MAX_STAMP_BYTES = 64 << 10


class NotStamped(Exception):
    """The authority did not give a stamp that stands for these bytes."""


async def stamp(http: httpx.AsyncClient, url: str, data: bytes, roots: Sequence[Certificate]) -> bytes:
    """The authority's answer (DER) over the SHA-256 of these bytes, checked down to one of the roots, nonce included.

    `openssl ts -verify -data FILE -in STAMP -CAfile ROOTS` checks it again, years later. Raises NotStamped, httpx.HTTPError.
    """
    asked = (
        TimestampRequestBuilder()
        .data(data)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    headers = {"content-type": "application/timestamp-query"}
    answer = await ask(http, "POST", url, at_most=MAX_STAMP_BYTES, content=asked.as_bytes(), headers=headers)
    check(answer.content, data, roots, nonce=asked.nonce)
    return answer.content


def check(answer: bytes, data: bytes, roots: Sequence[Certificate], *, nonce: int | None = None) -> None:
    """Raises NotStamped unless the answer (DER) is a granted stamp over these bytes that leads to one of the roots."""
    builder = VerifierBuilder(roots=list(roots), nonce=nonce)
    try:
        builder.build().verify_message(decode_timestamp_response(answer), data)
    except (VerificationError, ValueError) as error:
        raise NotStamped(f"The stamp does not stand for the checkpoint: {error}") from None
