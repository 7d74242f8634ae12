"""Answers of others (对方应答): a witness takes no more of them than it asked for, whatever the one it watches sends."""

from typing import Any

import httpx

from shared.outside import AnswerRefused

MAX_ANSWER_BYTES = 1 << 20
"""Of a log: five thousand leaf hashes in JSON are a quarter of it."""


async def ask(
    http: httpx.AsyncClient, method: str, url: str, *, at_most: int = MAX_ANSWER_BYTES, **given: Any
) -> httpx.Response:
    """The whole answer to a request, of at most so many bytes. Raises AnswerRefused and httpx's other errors, also for a status of 400 or more."""
    async with http.stream(method, url, **given) as answer:
        taken = bytearray()
        async for piece in answer.aiter_bytes():
            taken += piece
            if len(taken) > at_most:
                raise AnswerRefused(f"The answer has more than {at_most} bytes.", request=answer.request)
        answer.raise_for_status()
        return httpx.Response(answer.status_code, content=bytes(taken), request=answer.request)
