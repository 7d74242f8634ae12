"""A program's own reference (`client_ref`) names one act of it. Sent again, the program gets the first answer again."""

from collections.abc import Awaitable
from typing import TypeVar

from shared.errors import NotFound, Refusal

T = TypeVar("T")


class ClientRefTaken(Refusal):
    code = "client_ref_taken"


async def first_answer(show: Awaitable[T]) -> T:
    """What `show` gives of the first act. Raises ClientRefTaken when that lies outside the caller's area."""
    try:
        return await show
    except NotFound:
        raise ClientRefTaken("Your program used this client_ref in another area. Make a new one.") from None
